// The root key of a KMIP server, in use.
#include "hsm/kmip/kmip_root.h"

#include <string_view>
#include <utility>

#include "hsm/file/aes_key_wrap.h"
#include "hsm/key_wrap_root.h"
#include "hsm/kmip/probe.h"
#include "hsm/kmip/root_key.h"
#include "hsm/random.h"

namespace rewrap {
namespace {

class KmipRoot final : public KeyWrapRoot {
 public:
  KmipRoot(std::string uri, KmipConnect connect, KmipUri parsed)
      : KeyWrapRoot(std::move(uri)), connect_(std::move(connect)), parsed_(std::move(parsed)) {}

  // fetch takes the root key from the server.
  Status fetch(KmipClient& client) {
    REWRAP_ASSIGN(const KmipRootKey found, find_root_key(client, parsed_));
    REWRAP_ASSIGN(key_, client.get(found.id));
    state_ = found.state;
    key_ref_ = "id=" + found.id;
    return {};
  }

  // go_without notes why there is no root key.
  void go_without(const Status& why) { missing_ = why; }

  Status random(ByteSpan out) override {
    REWRAP_TRY(check_process());
    REWRAP_TRY(check_random_len(out.size()));
    return random_bytes(out);
  }

  Result<RootReport> probe() override {
    REWRAP_TRY(check_process());
    REWRAP_ASSIGN(const auto client, connect_());
    return probe_kmip(*client, key_ref_);
  }

 protected:
  Status ready() override { return missing_; }
  [[nodiscard]] const std::string& key_ref() const override { return key_ref_; }
  [[nodiscard]] Mechanism mechanism() const override { return Mechanism::kAesKeyWrap; }

  Result<Bytes> seal_new_key(std::size_t len, ByteView binding) override {
    // KMIP 1.2 has RNG Retrieve, which few servers offer; what makes KEKs must not depend on the
    // server met.
    REWRAP_ASSIGN(const SecretBuffer key, random_key(len));
    return seal_key(key, binding);
  }

  Result<Bytes> seal_key(const SecretBuffer& key, ByteView /*binding*/) override {
    if (state_ != KmipState::kActive) {
      return Status(
          Errc::kRefused,
          "the root key is deactivated or compromised: it opens KEKs but protects no new ones",
          "take the keyset to another root: rewrap reprotect");
    }
    return openssl_wrap(key_.expose_secret(), key.expose_secret());
  }

  Result<SecretBuffer> open_key(ByteView blob, ByteView /*binding*/) override {
    return openssl_unwrap(key_.expose_secret(), blob);
  }

  Status try_key(ByteView blob, ByteView binding) override {
    return open_key(blob, binding).status();
  }

 private:
  KmipConnect connect_;
  KmipUri parsed_;  // names the root key
  SecretBuffer key_;
  KmipState state_ = KmipState::kActive;
  std::string key_ref_;
  Status missing_;
};

constexpr std::string_view kIdPrefix = "id=";  // of key references

// KmipProviderRoot has a root key for each KEK; a KmipRoot does the work for each.
class KmipProviderRoot final : public Root {
 public:
  KmipProviderRoot(std::string uri, KmipConnect connect, std::string key_name)
      : uri_(std::move(uri)), connect_(std::move(connect)), key_name_(std::move(key_name)) {}

  Result<ProtectedKek> create(std::size_t kek_len, ByteView context) override {
    REWRAP_ASSIGN(const auto root, make_key());
    return root->create(kek_len, context);
  }

  Result<Protector> protect(const SecretBuffer& kek, ByteView context) override {
    REWRAP_ASSIGN(const auto root, make_key());
    return root->protect(kek, context);
  }

  Result<SecretBuffer> open(const Protector& protector, ByteView context) override {
    if (!std::string_view(protector.key_ref).starts_with(kIdPrefix)) {
      return Status(Errc::kCorruption, "the protector names no key of a KMIP server",
                    "restore the protector from a copy of the store");
    }
    REWRAP_TRY(guard_.check());
    REWRAP_ASSIGN(const auto client, connect_());
    REWRAP_ASSIGN(const auto root, fetch(*client, protector.key_ref.substr(kIdPrefix.size())));
    return root->open(protector, context);
  }

  Status destroy(const Protector& /*protector*/) override { return {}; }

  Status random(ByteSpan out) override {
    REWRAP_TRY(guard_.check());
    REWRAP_TRY(check_random_len(out.size()));
    return random_bytes(out);
  }

  Result<RootReport> probe() override {
    REWRAP_TRY(guard_.check());
    REWRAP_ASSIGN(const auto client, connect_());
    return probe_kmip(*client, "");
  }

 private:
  Result<std::unique_ptr<KmipRoot>> fetch(KmipClient& client, const std::string& id) {
    KmipUri key;
    key.id = id;
    auto root = std::make_unique<KmipRoot>(uri_, connect_, std::move(key));
    REWRAP_TRY(root->fetch(client));
    return root;
  }

  // make_key makes the next root key. Names are taken once: a key that has this one already is what
  // was made for the same KEK before its protector could be stored.
  Result<std::unique_ptr<KmipRoot>> make_key() {
    REWRAP_TRY(guard_.check());
    KmipUri key;
    REWRAP_ASSIGN(key.name, next_name());
    REWRAP_ASSIGN(const auto client, connect_());
    const auto made = make_root_key(*client, key);
    if (made.ok()) return fetch(*client, made.value());
    if (made.status().code() != Errc::kAlreadyExists) return made.status();
    REWRAP_ASSIGN(const KmipRootKey found, find_root_key(*client, key));
    return fetch(*client, found.id);
  }

  Result<std::string> next_name() {
    if (!key_name_.empty()) return "rewrap-" + std::exchange(key_name_, {});
    DekId random_name{};
    REWRAP_TRY(random_bytes(random_name));
    return "rewrap-" + encode_hex(random_name);
  }

  std::string uri_;
  KmipConnect connect_;
  std::string key_name_;
  ProcessGuard guard_;
};

// can_go_without says whether a probe has something to look at although there is no root key.
bool can_go_without(const Status& status) {
  return status.code() == Errc::kNotFound || status.code() == Errc::kInvalidArgument;
}

}  // namespace

Result<std::unique_ptr<Root>> open_kmip_root(const std::string& uri, KmipKeyNeed need) {
  REWRAP_ASSIGN(const KmipUri parsed, parse_kmip_uri(uri));
  REWRAP_ASSIGN(const auto client, connect_kmip(parsed));
  auto root = std::make_unique<KmipRoot>(
      uri, [parsed] { return connect_kmip(parsed); }, parsed);
  const Status fetched = root->fetch(*client);
  if (!fetched.ok() && (need == KmipKeyNeed::kUsable || !can_go_without(fetched))) return fetched;
  if (!fetched.ok()) root->go_without(fetched);
  return std::unique_ptr<Root>(std::move(root));
}

Result<std::unique_ptr<Root>> make_kmip_provider_root(const std::string& uri, KmipConnect connect,
                                                      std::string key_name) {
  if (!connect) return Status(Errc::kInvalidArgument, "a KMIP root needs a way to connect");
  return std::unique_ptr<Root>(
      std::make_unique<KmipProviderRoot>(uri, std::move(connect), std::move(key_name)));
}

Status create_kmip_root_key(const std::string& uri) {
  REWRAP_ASSIGN(const KmipUri parsed, parse_kmip_uri(uri));
  REWRAP_ASSIGN(const auto client, connect_kmip(parsed));
  REWRAP_ASSIGN(const std::string id, make_root_key(*client, parsed));
  return client->get(id).status();
}

}  // namespace rewrap
