// The stored form of a protector, and the check value that binds a KEK to it.
#include "hsm/protector.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include <algorithm>
#include <memory>
#include <string_view>
#include <utility>

namespace rewrap {
namespace {

// Stored form: format (1 byte), mechanism (1), check (16), then root_uri, key_ref, blob and canary,
// each behind its length (4).
constexpr std::uint8_t kStoredFormat = 1;
constexpr std::size_t kLengthLen = 4;
constexpr std::size_t kCheckKeyLen = 32;
constexpr std::size_t kMacLen = 32;
constexpr std::string_view kCheckInfo = "rewrap protector check v1";

// append_field adds `bytes` behind their length, so that no two lists of fields give the same text.
void append_field(Bytes* out, ByteView bytes) {
  std::array<std::uint8_t, kLengthLen> length{};
  store_be32(length.data(), static_cast<std::uint32_t>(bytes.size()));
  out->insert(out->end(), length.begin(), length.end());
  out->insert(out->end(), bytes.begin(), bytes.end());
}

// take_field cuts one field of at most `max_len` bytes from the front of `*rest`; false if it is
// not there.
bool take_field(ByteView* rest, std::size_t max_len, ByteView* field) {
  if (rest->size() < kLengthLen) return false;
  const std::size_t len = load_be32(rest->data());
  *rest = rest->subspan(kLengthLen);
  if (len > max_len || len > rest->size()) return false;
  *field = rest->first(len);
  *rest = rest->subspan(len);
  return true;
}

bool take_text(ByteView* rest, std::size_t max_len, std::string* text) {
  ByteView field;
  if (!take_field(rest, max_len, &field)) return false;
  text->assign(field.begin(), field.end());
  return true;
}

bool take_bytes(ByteView* rest, std::size_t max_len, Bytes* bytes) {
  ByteView field;
  if (!take_field(rest, max_len, &field)) return false;
  bytes->assign(field.begin(), field.end());
  return true;
}

struct KdfDeleter {
  void operator()(EVP_KDF* kdf) const { EVP_KDF_free(kdf); }
  void operator()(EVP_KDF_CTX* context) const { EVP_KDF_CTX_free(context); }
};
struct MacDeleter {
  void operator()(EVP_MAC* mac) const { EVP_MAC_free(mac); }
  void operator()(EVP_MAC_CTX* context) const { EVP_MAC_CTX_free(context); }
};

Status openssl_failed() {
  ERR_clear_error();
  return {Errc::kInternal, "OpenSSL cannot compute a check value",
          "run openssl list -kdf-algorithms: HKDF must be there"};
}

// text_param: OpenSSL takes the digest's name by a pointer to char that it only reads.
OSSL_PARAM text_param(const char* name, std::string* text) {
  return OSSL_PARAM_construct_utf8_string(name, text->data(), 0);
}

// derive_check_key is HKDF-SHA256 (RFC 5869) without salt.
Result<SecretBuffer> derive_check_key(ByteView kek) {
  REWRAP_ASSIGN(SecretBuffer key, SecretBuffer::create(kCheckKeyLen));
  const std::unique_ptr<EVP_KDF, KdfDeleter> kdf(
      EVP_KDF_fetch(nullptr, OSSL_KDF_NAME_HKDF, nullptr));
  if (!kdf) return openssl_failed();
  const std::unique_ptr<EVP_KDF_CTX, KdfDeleter> context(EVP_KDF_CTX_new(kdf.get()));
  if (!context) return openssl_failed();
  std::string digest = "SHA256";
  std::string info(kCheckInfo);
  // OpenSSL's parameters are not const, but it only reads these.
  auto* kek_data = const_cast<std::uint8_t*>(kek.data());
  const std::array<OSSL_PARAM, 4> params = {
      text_param(OSSL_KDF_PARAM_DIGEST, &digest),
      OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, kek_data, kek.size()),
      OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, info.data(), info.size()),
      OSSL_PARAM_construct_end(),
  };
  const ByteSpan out = key.expose_secret();
  if (EVP_KDF_derive(context.get(), out.data(), out.size(), params.data()) != 1)
    return openssl_failed();
  return key;
}

Result<std::array<std::uint8_t, kMacLen>> hmac_sha256(ByteView key, ByteView message) {
  const std::unique_ptr<EVP_MAC, MacDeleter> mac(
      EVP_MAC_fetch(nullptr, OSSL_MAC_NAME_HMAC, nullptr));
  if (!mac) return openssl_failed();
  const std::unique_ptr<EVP_MAC_CTX, MacDeleter> context(EVP_MAC_CTX_new(mac.get()));
  if (!context) return openssl_failed();
  std::string digest = "SHA256";
  const std::array<OSSL_PARAM, 2> params = {text_param(OSSL_MAC_PARAM_DIGEST, &digest),
                                            OSSL_PARAM_construct_end()};
  std::array<std::uint8_t, kMacLen> out{};
  std::size_t len = 0;
  const bool done = EVP_MAC_init(context.get(), key.data(), key.size(), params.data()) == 1 &&
                    EVP_MAC_update(context.get(), message.data(), message.size()) == 1 &&
                    EVP_MAC_final(context.get(), out.data(), &len, out.size()) == 1;
  if (!done || len != out.size()) return openssl_failed();
  return out;
}

}  // namespace

const char* mechanism_name(Mechanism mechanism) {
  switch (mechanism) {
    case Mechanism::kAesKeyWrap:
      return "AES-KW (RFC 3394)";
  }
  return "unknown";
}

Bytes encode_protector(const Protector& protector) {
  const bool fits = protector.root_uri.size() <= kMaxRootUriLen &&
                    protector.key_ref.size() <= kMaxKeyRefLen &&
                    protector.blob.size() <= kMaxBlobLen && protector.canary.size() <= kMaxBlobLen;
  if (!fits) return {};
  Bytes out = {kStoredFormat, static_cast<std::uint8_t>(protector.mechanism)};
  out.insert(out.end(), protector.check.begin(), protector.check.end());
  append_field(&out, as_bytes(protector.root_uri));
  append_field(&out, as_bytes(protector.key_ref));
  append_field(&out, protector.blob);
  append_field(&out, protector.canary);
  return out;
}

Result<Protector> decode_protector(ByteView stored) {
  const Status damaged(Errc::kCorruption, "the stored protector is damaged",
                       "restore it from a copy of the store");
  Protector protector;
  constexpr std::size_t kHeadLen = 2 + sizeof protector.check;
  if (stored.size() < kHeadLen || stored[0] != kStoredFormat) return damaged;
  if (stored[1] != static_cast<std::uint8_t>(Mechanism::kAesKeyWrap)) return damaged;
  protector.mechanism = Mechanism::kAesKeyWrap;
  std::copy_n(stored.begin() + 2, protector.check.size(), protector.check.begin());
  ByteView rest = stored.subspan(kHeadLen);
  const bool whole = take_text(&rest, kMaxRootUriLen, &protector.root_uri) &&
                     take_text(&rest, kMaxKeyRefLen, &protector.key_ref) &&
                     take_bytes(&rest, kMaxBlobLen, &protector.blob) &&
                     take_bytes(&rest, kMaxBlobLen, &protector.canary) && rest.empty();
  if (!whole) return damaged;
  return protector;
}

Result<std::array<std::uint8_t, 16>> check_value(ByteView kek, const Protector& protector,
                                                 ByteView context) {
  if (kek.empty()) return Status(Errc::kInternal, "a check value needs a key");
  Bytes message = {static_cast<std::uint8_t>(protector.mechanism)};
  append_field(&message, context);
  append_field(&message, as_bytes(protector.key_ref));
  append_field(&message, protector.blob);
  REWRAP_ASSIGN(const SecretBuffer key, derive_check_key(kek));
  REWRAP_ASSIGN(const auto mac, hmac_sha256(key.expose_secret(), message));
  std::array<std::uint8_t, 16> check{};
  std::copy_n(mac.begin(), check.size(), check.begin());
  return check;
}

}  // namespace rewrap
