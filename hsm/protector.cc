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

#include "engine/base/codec.h"

namespace rewrap {
namespace {

// Stored form: format (1 byte), mechanism (1), check (16), then root_uri, key_ref, blob and canary
// as fields.
constexpr std::uint8_t kStoredFormat = 1;
constexpr std::size_t kCheckKeyLen = 32;
constexpr std::size_t kMacLen = 32;
constexpr std::string_view kCheckInfo = "rewrap protector check v1";

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
    case Mechanism::kAesGcm:
      return "AES-GCM";
    case Mechanism::kRsaOaep:
      return "RSA-OAEP";
    case Mechanism::kTpm2Seal:
      return "TPM 2.0 sealed object";
    case Mechanism::kTokenKey:
      return "key in the token";
    case Mechanism::kAwsKms:
      return "AWS KMS ciphertext";
  }
  return "unknown";
}

std::string_view counter_of(const Protector& protector) {
  if (protector.mechanism != Mechanism::kTpm2Seal) return {};
  const std::size_t at = protector.key_ref.find(kCounterField);
  return at == std::string::npos ? std::string_view()
                                 : std::string_view(protector.key_ref).substr(at);
}

Bytes encode_protector(const Protector& protector) {
  const bool fits = protector.root_uri.size() <= kMaxRootUriLen &&
                    protector.key_ref.size() <= kMaxKeyRefLen &&
                    protector.blob.size() <= kMaxBlobLen && protector.canary.size() <= kMaxBlobLen;
  if (!fits) return {};
  Encoder out;
  out.u8(kStoredFormat);
  out.u8(static_cast<std::uint8_t>(protector.mechanism));
  out.raw(protector.check);
  out.field(protector.root_uri);
  out.field(protector.key_ref);
  out.field(protector.blob);
  out.field(protector.canary);
  return out.take();
}

Result<Protector> decode_protector(ByteView stored) {
  Decoder in(stored);
  Protector protector;
  const std::uint8_t format = in.u8();
  const std::uint8_t mechanism = in.u8();
  in.read_array(&protector.check);
  protector.root_uri = in.text(kMaxRootUriLen);
  protector.key_ref = in.text(kMaxKeyRefLen);
  const ByteView blob = in.field(kMaxBlobLen);
  const ByteView canary = in.field(kMaxBlobLen);
  const bool known = mechanism >= static_cast<std::uint8_t>(Mechanism::kAesKeyWrap) &&
                     mechanism <= static_cast<std::uint8_t>(Mechanism::kAwsKms);
  if (!in.done() || format != kStoredFormat || !known) {
    return Status(Errc::kCorruption, "the stored protector is damaged",
                  "restore it from a copy of the store");
  }
  protector.mechanism = static_cast<Mechanism>(mechanism);
  protector.blob.assign(blob.begin(), blob.end());
  protector.canary.assign(canary.begin(), canary.end());
  return protector;
}

Result<std::array<std::uint8_t, 16>> check_value(ByteView kek, const Protector& protector,
                                                 ByteView context) {
  if (kek.empty()) return Status(Errc::kInternal, "a check value needs a key");
  // Every part behind its length, so that no two lists of parts give the same message.
  Encoder message;
  message.u8(static_cast<std::uint8_t>(protector.mechanism));
  message.field(context);
  message.field(protector.key_ref);
  message.field(protector.blob);
  REWRAP_ASSIGN(const SecretBuffer key, derive_check_key(kek));
  REWRAP_ASSIGN(const auto mac, hmac_sha256(key.expose_secret(), message.bytes()));
  std::array<std::uint8_t, 16> check{};
  std::copy_n(mac.begin(), check.size(), check.begin());
  return check;
}

}  // namespace rewrap
