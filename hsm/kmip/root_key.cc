// Finding, making and judging keys by their names and states.
#include "hsm/kmip/root_key.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "hsm/secret_file.h"

namespace rewrap {
namespace {

constexpr std::size_t kMaxPemLen = std::size_t{64} << 10;
// Of one name. More than one is too many already, but destroyed ones may still be listed.
constexpr int kMaxLocated = 64;
constexpr std::int32_t kRootKeyBits = 256;
constexpr std::int32_t kRootKeyUsage = kmip::kUsageWrapKey | kmip::kUsageUnwrapKey;

Result<std::string> read_public_file(const std::string& path, Literal hint) {
  const auto bytes = read_small_file(path, kMaxPemLen);
  if (!bytes.ok()) return bytes.status().with_hint(hint);
  const ByteView text = bytes->expose_secret();
  return std::string(text.begin(), text.end());
}

Result<TlsIdentity> read_identity(const KmipUri& uri) {
  TlsIdentity identity;
  REWRAP_ASSIGN(identity.ca, read_public_file(uri.ca_file, "check the path after ca="));
  REWRAP_ASSIGN(identity.certificate,
                read_public_file(uri.cert_file, "check the path after cert="));
  auto key = uri.key_is_credential ? read_small_file(uri.key_file, kMaxPemLen)
                                   : read_key_file(uri.key_file, kMaxPemLen);
  if (!key.ok() && key.status().code() == Errc::kNotFound)
    return key.status().with_hint("check the path after key=");
  if (!key.ok()) return key.status();
  identity.key = std::move(key).value();
  return identity;
}

// Candidate is a key of the right name, in whatever state.
struct Candidate {
  std::string id;
  KmipAttributes attributes;

  [[nodiscard]] bool is(KmipState state) const { return attributes.state == state; }
  [[nodiscard]] bool is_destroyed() const {
    return is(KmipState::kDestroyed) || is(KmipState::kDestroyedCompromised);
  }
};

// candidates gives the keys of that name which are not destroyed.
Result<std::vector<Candidate>> candidates(KmipClient& client, const std::string& name) {
  REWRAP_ASSIGN(const auto ids, client.locate(name, kMaxLocated));
  if (ids.size() >= kMaxLocated) {
    return Status(Errc::kConflict, "dozens of keys on the KMIP server have this name",
                  "name the root key by id= instead of name=");
  }
  std::vector<Candidate> found;
  for (const std::string& id : ids) {
    const auto attributes = client.get_attributes(id);
    if (!attributes.ok() && attributes.status().code() == Errc::kNotFound) continue;  // just gone
    if (!attributes.ok()) return attributes.status();
    Candidate candidate{.id = id, .attributes = attributes.value()};
    if (!candidate.is_destroyed()) found.push_back(std::move(candidate));
  }
  return found;
}

Status more_than_one() {
  return {Errc::kConflict, "more than one key on the KMIP server has this name",
          "name the root key by id= instead of name="};
}

Status not_activated() {
  return {Errc::kNotFound, "the root key was made on the KMIP server but never activated",
          "run rewrap root create with its name again: it finishes what was interrupted"};
}

// check_kind refuses keys that are good for something else: what a root key wraps, nothing else may
// be able to open.
Status check_kind(const KmipAttributes& attributes) {
  const bool is_aes_256 = attributes.object_type == kmip::kObjectTypeSymmetricKey &&
                          attributes.algorithm == kmip::kAlgorithmAes &&
                          attributes.length == kRootKeyBits;
  if (!is_aes_256) {
    return {Errc::kRefused, "the key on the KMIP server is not an AES-256 key",
            "use a key that rewrap root create made, or one like it"};
  }
  if (attributes.usage == kRootKeyUsage) return {};
  return {
      Errc::kRefused,
      "the key on the KMIP server may be used for other things than wrapping and unwrapping keys",
      "use a key with exactly the usages Wrap Key and Unwrap Key"};
}

Result<KmipRootKey> judge(const Candidate& key) {
  REWRAP_TRY(check_kind(key.attributes));
  if (!key.attributes.state.has_value())
    return Status(Errc::kUnsupported, "the KMIP server does not tell the root key's state",
                  "let this client read the attribute State");
  if (key.is_destroyed()) {
    return Status(Errc::kNotFound, "the root key was destroyed on the KMIP server",
                  "open by another protector of the KEK");
  }
  if (key.is(KmipState::kPreActive)) return not_activated();
  return KmipRootKey{.id = key.id, .state = *key.attributes.state};
}

Result<KmipRootKey> find_by_name(KmipClient& client, const std::string& name) {
  REWRAP_ASSIGN(auto found, candidates(client, name));
  if (found.empty()) {
    return Status(Errc::kNotFound, "the KMIP server has no key of this name for this client",
                  "make the root key first: rewrap root create URI; or check name= and cert=");
  }
  // Beside a key that was activated, one that never was is a leftover.
  const auto pre_active = [](const Candidate& key) { return key.is(KmipState::kPreActive); };
  if (!std::all_of(found.begin(), found.end(), pre_active)) std::erase_if(found, pre_active);
  if (found.size() > 1) return more_than_one();
  return judge(found.front());
}

// activate_once makes the key active; it is no failure if that was done already.
Status activate_once(KmipClient& client, const std::string& id) {
  const Status activated = client.activate(id);
  if (activated.ok()) return {};
  const auto now = client.get_attributes(id);
  if (now.ok() && now->state == KmipState::kActive) return {};
  return activated;
}

// make_new makes a key where there was none. Two programs that do so at the same time both see two
// keys then, and both take theirs back: nothing was sealed by them yet.
Result<std::string> make_new(KmipClient& client, const std::string& name) {
  REWRAP_ASSIGN(std::string id, client.create(name));
  REWRAP_ASSIGN(const auto all, candidates(client, name));
  if (all.size() > 1) {
    REWRAP_TRY(client.destroy(id));
    return Status(Errc::kConflict, "another program is making a root key of this name",
                  "let one of them do it, alone");
  }
  REWRAP_TRY(activate_once(client, id));
  return id;
}

}  // namespace

Result<std::unique_ptr<KmipClient>> connect_kmip(const KmipUri& uri) {
  KmipEndpoint server{.host = uri.host, .port = uri.port, .identity = {}, .timeout = uri.timeout};
  REWRAP_ASSIGN(server.identity, read_identity(uri));
  return KmipClient::connect(server);
}

Result<KmipRootKey> find_root_key(KmipClient& client, const KmipUri& uri) {
  if (!uri.name.empty()) return find_by_name(client, uri.name);
  if (uri.id.empty()) {
    return Status(Errc::kInvalidArgument, "the kmip URI names no root key",
                  "add name=NAME, or id=UNIQUE-IDENTIFIER");
  }
  REWRAP_ASSIGN(const KmipAttributes attributes, client.get_attributes(uri.id));
  return judge({.id = uri.id, .attributes = attributes});
}

Result<std::string> make_root_key(KmipClient& client, const KmipUri& uri) {
  if (uri.name.empty()) {
    return Status(Errc::kInvalidArgument, "the kmip URI has no name for the new root key",
                  "add name=NAME; the server gives the id");
  }
  REWRAP_ASSIGN(const auto found, candidates(client, uri.name));
  if (found.empty()) return make_new(client, uri.name);
  const bool is_leftover = found.size() == 1 && found.front().is(KmipState::kPreActive);
  if (!is_leftover) {
    return Status(Errc::kAlreadyExists, "the KMIP server has a key of this name already",
                  "use it, or choose another name");
  }
  REWRAP_TRY(check_kind(found.front().attributes));
  REWRAP_TRY(activate_once(client, found.front().id));
  return found.front().id;
}

}  // namespace rewrap
