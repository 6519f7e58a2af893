// Somebody else's KEK in a token.
#include "hsm/pkcs11/pkcs11_wrapping_key.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "hsm/pkcs11/error.h"
#include "hsm/pkcs11/keys.h"

namespace rewrap {
namespace {

constexpr CK_ULONG kMaxMechanisms = 1024;
constexpr std::size_t kBlockLen = 16;
constexpr std::size_t kSemiblockLen = 8;
constexpr std::size_t kMaxChunkLen = std::size_t{64} << 10;  // per call to the token
constexpr std::size_t kMinDekLen = 16;
constexpr std::size_t kMaxDekLen = 64;

Status no_such_access() {
  return {Errc::kInternal, "the wrapping key was asked for an access that it does not have"};
}

// lists_mechanism asks the list: some tokens describe mechanisms that are switched off.
Result<bool> lists_mechanism(Session& session, CK_MECHANISM_TYPE wanted) {
  std::vector<CK_MECHANISM_TYPE> listed(kMaxMechanisms);
  CK_ULONG num = listed.size();
  REWRAP_TRY(check(session.api().C_GetMechanismList(session.slot(), listed.data(), &num),
                   "C_GetMechanismList", "the token does not list its mechanisms"));
  listed.resize(std::min<std::size_t>(num, listed.size()));
  return std::find(listed.begin(), listed.end(), wanted) != listed.end();
}

// choose_access takes the fastest way that the key's attributes allow.
Result<WrappingAccess> choose_access(Session& session, CK_OBJECT_HANDLE key, WrappingUse use) {
  REWRAP_ASSIGN(const bool extractable, read_flag(session, key, CKA_EXTRACTABLE));
  REWRAP_ASSIGN(const bool sensitive, read_flag(session, key, CKA_SENSITIVE));
  if (extractable && !sensitive) return WrappingAccess::kValue;
  const CK_ATTRIBUTE_TYPE bulk_use = use == WrappingUse::kUnwrap ? CKA_DECRYPT : CKA_ENCRYPT;
  REWRAP_ASSIGN(const bool bulk_allowed, read_flag(session, key, bulk_use));
  REWRAP_ASSIGN(const bool has_ecb, lists_mechanism(session, CKM_AES_ECB));
  if (bulk_allowed && has_ecb) return WrappingAccess::kBulkEcb;
  REWRAP_ASSIGN(const bool unwraps, read_flag(session, key, CKA_UNWRAP));
  if (use == WrappingUse::kUnwrap && unwraps) return WrappingAccess::kUnwrapKey;
  return Status(Errc::kUnsupported,
                "the token lets the wrapping key be used in no way that serves here",
                "to import, the key needs CKA_DECRYPT or CKA_UNWRAP; to export, CKA_ENCRYPT");
}

class Pkcs11WrappingKey final : public WrappingKey {
 public:
  Pkcs11WrappingKey(std::unique_ptr<Session> session, CK_OBJECT_HANDLE key, WrappingAccess access,
                    WrappingUse use, std::size_t key_len)
      : session_(std::move(session)), key_(key), access_(access), use_(use), key_len_(key_len) {}

  [[nodiscard]] WrappingAccess access() const override { return access_; }
  [[nodiscard]] std::size_t key_len() const override { return key_len_; }

  Result<SecretBuffer> take_value() override {
    if (access_ != WrappingAccess::kValue) {
      return Status(Errc::kUnsupported, "the token does not let the wrapping key out");
    }
    REWRAP_TRY(session_->check_process());
    REWRAP_ASSIGN(SecretBuffer value, read_value(*session_, key_));
    if (value.size() != key_len_)
      return Status(Errc::kUnsupported, "the wrapping key's value has an odd length");
    return value;
  }

  Status ecb_encrypt(ByteSpan blocks) override {
    if (use_ != WrappingUse::kWrap) return no_such_access();
    return run_ecb(blocks);
  }

  Status ecb_decrypt(ByteSpan blocks) override {
    if (use_ != WrappingUse::kUnwrap) return no_such_access();
    return run_ecb(blocks);
  }

  Status unwrap_key(ByteView wrapped, ByteSpan dek) override;

 private:
  Status run_ecb(ByteSpan blocks);
  Status run_chunk(ByteSpan chunk);

  std::unique_ptr<Session> session_;
  CK_OBJECT_HANDLE key_;
  WrappingAccess access_;
  WrappingUse use_;
  std::size_t key_len_;
};

Status Pkcs11WrappingKey::run_ecb(ByteSpan blocks) {
  if (access_ != WrappingAccess::kBulkEcb) return no_such_access();
  if (blocks.size() % kBlockLen != 0)
    return {Errc::kInvalidArgument, "ECB needs whole blocks of 16 bytes"};
  REWRAP_TRY(session_->check_process());
  while (!blocks.empty()) {
    const std::size_t len = std::min(blocks.size(), kMaxChunkLen);
    const Status status = run_chunk(blocks.first(len));
    if (!status.ok()) {
      (void)session_->renew();  // whatever operation was left open must not meet the next call
      return status;
    }
    blocks = blocks.subspan(len);
  }
  return {};
}

// run_chunk works in place, which the standard allows for single-part encryption and decryption.
Status Pkcs11WrappingKey::run_chunk(ByteSpan chunk) {
  CK_FUNCTION_LIST& api = session_->api();
  CK_MECHANISM how{.mechanism = CKM_AES_ECB, .pParameter = nullptr, .ulParameterLen = 0};
  CK_ULONG len = chunk.size();
  constexpr Literal kMessage = "the token failed in the middle of bulk work";
  if (use_ == WrappingUse::kWrap) {
    REWRAP_TRY(check(api.C_EncryptInit(session_->handle(), &how, key_), "C_EncryptInit", kMessage));
    REWRAP_TRY(
        check(api.C_Encrypt(session_->handle(), chunk.data(), chunk.size(), chunk.data(), &len),
              "C_Encrypt", kMessage));
  } else {
    REWRAP_TRY(check(api.C_DecryptInit(session_->handle(), &how, key_), "C_DecryptInit", kMessage));
    REWRAP_TRY(
        check(api.C_Decrypt(session_->handle(), chunk.data(), chunk.size(), chunk.data(), &len),
              "C_Decrypt", kMessage));
  }
  if (len != chunk.size()) return {Errc::kUnavailable, "the token gave fewer bytes than it took"};
  return {};
}

Status Pkcs11WrappingKey::unwrap_key(ByteView wrapped, ByteSpan dek) {
  if (access_ != WrappingAccess::kUnwrapKey) return no_such_access();
  const bool fits = dek.size() >= kMinDekLen && dek.size() <= kMaxDekLen &&
                    dek.size() % kSemiblockLen == 0 && wrapped.size() == dek.size() + kSemiblockLen;
  if (!fits) return {Errc::kInvalidArgument, "a DEK has 16 to 64 bytes, and its wrap 8 more"};
  REWRAP_TRY(session_->check_process());
  // As a generic secret, because tokens take AES keys of 16, 24 and 32 bytes only, and DEKs may
  // have 48 or 64.
  REWRAP_ASSIGN(SessionObject key, unwrap_session_key(*session_, CKM_AES_KEY_WRAP, key_, wrapped,
                                                      CKK_GENERIC_SECRET, Readability::kReadable));
  REWRAP_TRY(read_value_into(*session_, key.handle(), dek));
  return key.destroy();
}

}  // namespace

Result<std::unique_ptr<WrappingKey>> open_pkcs11_wrapping_key(const std::string& uri,
                                                              WrappingUse use,
                                                              const RootOptions& options) {
  REWRAP_ASSIGN(const Pkcs11Uri parsed, parse_pkcs11_uri(uri));
  if (!parsed.names_key()) {
    return Status(Errc::kInvalidArgument, "the URI names no wrapping key",
                  "add object=LABEL or id=%01 to the URI");
  }
  REWRAP_ASSIGN(auto session, Session::open(parsed, SessionMode::kReadOnly, options));
  REWRAP_ASSIGN(const CK_OBJECT_HANDLE key, find_secret_key(*session, parsed.object, parsed.id));
  REWRAP_ASSIGN(const CK_ULONG key_type, read_number(*session, key, CKA_KEY_TYPE));
  if (key_type != CKK_AES) return Status(Errc::kUnsupported, "the wrapping key is not an AES key");
  REWRAP_ASSIGN(const CK_ULONG key_len, read_number(*session, key, CKA_VALUE_LEN));
  REWRAP_ASSIGN(const WrappingAccess access, choose_access(*session, key, use));
  return std::unique_ptr<WrappingKey>(
      std::make_unique<Pkcs11WrappingKey>(std::move(session), key, access, use, key_len));
}

}  // namespace rewrap
