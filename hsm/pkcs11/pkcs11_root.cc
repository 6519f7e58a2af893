// The PKCS#11 root.
#include "hsm/pkcs11/pkcs11_root.h"

#include <utility>

#include "hsm/key_wrap_root.h"
#include "hsm/pkcs11/error.h"
#include "hsm/pkcs11/keys.h"
#include "hsm/pkcs11/probe.h"

namespace rewrap {
namespace {

constexpr std::size_t kRootKeyLen = 32;
constexpr std::size_t kRandomIdLen = 16;
constexpr std::size_t kMaxRandomLen = std::size_t{1} << 20;
constexpr char kDefaultLabel[] = "rewrap-root";

// RootKey is the key that the URI names, or why it cannot be used.
struct RootKey {
  CK_OBJECT_HANDLE handle = CK_INVALID_HANDLE;
  std::string key_ref;
  Status status;
};

Status fill_random(Session& session, ByteSpan out) {
  if (out.size() > kMaxRandomLen)
    return {Errc::kInvalidArgument, "more than 1 MiB of random bytes at once"};
  if (out.empty()) return {};
  return check(session.api().C_GenerateRandom(session.handle(), out.data(), out.size()),
               "C_GenerateRandom", "the token gives no random bytes");
}

// check_attributes refuses a root key that does not hold what it is trusted with. An attribute that
// the token does not tell counts as unsafe.
Status check_attributes(Session& session, CK_OBJECT_HANDLE key) {
  REWRAP_ASSIGN(const CK_ULONG key_type, read_number(session, key, CKA_KEY_TYPE));
  if (key_type != CKK_AES)
    return {Errc::kUnsupported, "the root key is not an AES key",
            "make one: rewrap root create URI"};
  REWRAP_ASSIGN(const bool sensitive, read_flag(session, key, CKA_SENSITIVE));
  REWRAP_ASSIGN(const bool extractable, read_flag(session, key, CKA_EXTRACTABLE));
  REWRAP_ASSIGN(const bool wraps, read_flag(session, key, CKA_WRAP));
  REWRAP_ASSIGN(const bool unwraps, read_flag(session, key, CKA_UNWRAP));
  REWRAP_ASSIGN(const bool encrypts, read_flag(session, key, CKA_ENCRYPT));
  REWRAP_ASSIGN(const bool decrypts, read_flag(session, key, CKA_DECRYPT));
  constexpr Literal kHint = "make a safe one under another name: rewrap root create URI";
  if (extractable || !sensitive) {
    return {Errc::kRefused,
            "the root key can leave its token (CKA_EXTRACTABLE, or not CKA_SENSITIVE)", kHint};
  }
  if ((wraps && decrypts) || (unwraps && encrypts)) {
    return {Errc::kRefused,
            "the root key may both wrap keys and decrypt data, so what it wraps can be read",
            kHint};
  }
  if (!wraps || !unwraps)
    return {Errc::kRefused, "the root key may not wrap and unwrap keys", kHint};
  return {};
}

// make_key_ref names the key by the token's serial number, the key's id and its label (last, since
// it may hold anything).
Result<std::string> make_key_ref(Session& session, CK_OBJECT_HANDLE key) {
  REWRAP_ASSIGN(const Bytes id, read_bytes(session, key, CKA_ID));
  REWRAP_ASSIGN(const Bytes label, read_bytes(session, key, CKA_LABEL));
  std::string key_ref = "serial=" + session.token().serial + ";id=" + encode_hex(id) + ";label=";
  key_ref.append(label.begin(), label.end());
  if (key_ref.size() > kMaxKeyRefLen)
    return Status(Errc::kUnsupported, "the root key's label and id are too long");
  return key_ref;
}

RootKey find_root_key(Session& session, const Pkcs11Uri& uri) {
  RootKey key;
  auto found = find_secret_key(session, uri.object, uri.id);
  if (!found.ok()) {
    key.status = found.status();
    if (key.status.code() == Errc::kNotFound) {
      key.status = key.status.with_hint(
          "check object= and id= in the URI, or make the key: rewrap root create URI");
    }
    return key;
  }
  key.handle = found.value();
  auto key_ref = make_key_ref(session, key.handle);
  key.status = key_ref.ok() ? check_attributes(session, key.handle) : key_ref.status();
  if (key_ref.ok()) key.key_ref = std::move(key_ref).value();
  return key;
}

class Pkcs11Root final : public KeyWrapRoot {
 public:
  Pkcs11Root(std::string uri, std::unique_ptr<Session> session, RootKey key)
      : KeyWrapRoot(std::move(uri)), session_(std::move(session)), key_(std::move(key)) {}

  Status random(ByteSpan out) override {
    REWRAP_TRY(check_process());
    return fill_random(*session_, out);
  }

  Result<RootReport> probe() override {
    REWRAP_TRY(check_process());
    RootReport report = probe_token(*session_);
    report.key_ref = key_.key_ref;
    if (key_.handle != CK_INVALID_HANDLE) {
      report.capabilities.push_back(
          {.name = "root key is fit for use",
           .works = key_.status.ok(),
           .detail = key_.status.ok() ? std::string() : key_.status.describe()});
    }
    return report;
  }

 protected:
  Status ready() override { return key_.status; }

  [[nodiscard]] const std::string& key_ref() const override { return key_.key_ref; }

  Result<Bytes> wrap_new_key(std::size_t len) override {
    REWRAP_ASSIGN(SessionObject key,
                  generate_session_key(*session_, len, Readability::kReadable, {}));
    REWRAP_ASSIGN(Bytes blob, wrap_key(*session_, CKM_AES_KEY_WRAP, key_.handle, key.handle()));
    REWRAP_TRY(key.destroy());
    return blob;
  }

  Result<SecretBuffer> unwrap_key(ByteView blob) override {
    REWRAP_ASSIGN(SessionObject key, unwrap_session_key(*session_, CKM_AES_KEY_WRAP, key_.handle,
                                                        blob, CKK_AES, Readability::kReadable));
    REWRAP_ASSIGN(SecretBuffer value, read_value(*session_, key.handle()));
    REWRAP_TRY(key.destroy());
    return value;
  }

  Status try_canary(ByteView canary) override {
    REWRAP_ASSIGN(SessionObject key, unwrap_session_key(*session_, CKM_AES_KEY_WRAP, key_.handle,
                                                        canary, CKK_AES, Readability::kNever));
    return key.destroy();
  }

 private:
  std::unique_ptr<Session> session_;
  RootKey key_;
};

Result<CK_OBJECT_HANDLE> generate_root_key(Session& session, const std::string& label,
                                           ByteView id) {
  Template attributes;
  attributes.number(CKA_CLASS, CKO_SECRET_KEY)
      .number(CKA_KEY_TYPE, CKK_AES)
      .number(CKA_VALUE_LEN, kRootKeyLen)
      .flag(CKA_TOKEN, true)
      .flag(CKA_PRIVATE, true)
      .flag(CKA_SENSITIVE, true)
      .flag(CKA_EXTRACTABLE, false)
      .flag(CKA_MODIFIABLE, false)
      .bytes(CKA_LABEL, as_bytes(label))
      .bytes(CKA_ID, id);
  add_usage(attributes, {.wrap = true, .unwrap = true});
  CK_MECHANISM mechanism{.mechanism = CKM_AES_KEY_GEN, .pParameter = nullptr, .ulParameterLen = 0};
  CK_OBJECT_HANDLE key = CK_INVALID_HANDLE;
  REWRAP_TRY(check(session.api().C_GenerateKey(session.handle(), &mechanism, attributes.data(),
                                               attributes.size(), &key),
                   "C_GenerateKey", "the token does not make a root key"));
  return key;
}

}  // namespace

Result<std::unique_ptr<Root>> open_pkcs11_root(const std::string& uri, const RootOptions& options,
                                               KeyNeed need) {
  REWRAP_ASSIGN(const Pkcs11Uri parsed, parse_pkcs11_uri(uri));
  if (need == KeyNeed::kUsable && !parsed.names_key()) {
    return Status(Errc::kInvalidArgument, "the URI names no root key",
                  "add object=LABEL or id=%01 to the URI");
  }
  REWRAP_ASSIGN(auto session, Session::open(parsed, SessionMode::kReadOnly, options));
  RootKey key = find_root_key(*session, parsed);
  if (need == KeyNeed::kUsable) REWRAP_TRY(key.status);
  return std::unique_ptr<Root>(
      std::make_unique<Pkcs11Root>(uri, std::move(session), std::move(key)));
}

Status create_pkcs11_root_key(const std::string& uri, const RootOptions& options) {
  REWRAP_ASSIGN(const Pkcs11Uri parsed, parse_pkcs11_uri(uri));
  if (!parsed.names_key()) {
    return {Errc::kInvalidArgument, "the URI names no root key",
            "add object=LABEL or id=%01 to the URI"};
  }
  REWRAP_ASSIGN(const auto session, Session::open(parsed, SessionMode::kReadWrite, options));
  const auto existing = find_secret_key(*session, parsed.object, parsed.id);
  if (existing.ok() || existing.status().code() == Errc::kConflict) {
    return {Errc::kAlreadyExists, "the token already has a secret key of that name",
            "choose another object= or id="};
  }
  if (existing.status().code() != Errc::kNotFound) return existing.status();
  Bytes id = parsed.id;
  if (id.empty()) {
    id.resize(kRandomIdLen);
    REWRAP_TRY(fill_random(*session, id));
  }
  const std::string label = parsed.object.empty() ? kDefaultLabel : parsed.object;
  REWRAP_ASSIGN(const CK_OBJECT_HANDLE key, generate_root_key(*session, label, id));
  const Status made_as_told = check_attributes(*session, key);
  if (!made_as_told.ok()) {
    session->api().C_DestroyObject(session->handle(), key);
    return {
        Errc::kUnsupported,
        "the token made a root key with other attributes than asked for; it was destroyed again",
        "this token cannot guard a root key"};
  }
  return {};
}

}  // namespace rewrap
