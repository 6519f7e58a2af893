// AES-256-GCM by OpenSSL under the service key.
#include "api/service/secret_box.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include <array>

#include "engine/base/codec.h"
#include "hsm/random.h"

namespace rewrap {
namespace {

constexpr std::uint8_t kFormat = 1;
constexpr std::size_t kIvLen = 12;
constexpr std::size_t kSealTagLen = 16;
constexpr std::size_t kHeadLen = 1 + kIvLen;

// The service key is no KEK of any keyset: no keyset has this context.
ByteView service_key_context() { return as_bytes("rewrap service key v1"); }

struct CipherFree {
  void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
};
using Cipher = std::unique_ptr<EVP_CIPHER_CTX, CipherFree>;

Status gcm_failed() {
  return {Errc::kInternal, "OpenSSL's AES-GCM failed", "check the installation of OpenSSL"};
}

Status not_ours() {
  return {Errc::kIntegrity, "a stored secret is damaged, or not from this place or service key",
          "store the secret anew"};
}

Bytes encode_place(const SecretPlace& place) {
  Encoder out;
  out.field(place.table);
  out.field(place.row);
  out.field(place.column);
  return out.take();
}

// start makes a cipher that is keyed and has taken the additional data.
Cipher start(bool encrypt, ByteView key, ByteView iv, ByteView aad) {
  Cipher cipher(EVP_CIPHER_CTX_new());
  int len = 0;
  const bool started =
      cipher != nullptr &&
      EVP_CipherInit_ex(cipher.get(), EVP_aes_256_gcm(), nullptr, key.data(), iv.data(),
                        encrypt ? 1 : 0) == 1 &&
      EVP_CipherUpdate(cipher.get(), nullptr, &len, aad.data(), static_cast<int>(aad.size())) == 1;
  return started ? std::move(cipher) : nullptr;
}

// update takes at most kMaxSecretLen bytes. A null output would mean additional data.
bool update(const Cipher& cipher, ByteSpan out, ByteView in) {
  int len = 0;
  return in.empty() || EVP_CipherUpdate(cipher.get(), out.data(), &len, in.data(),
                                        static_cast<int>(in.size())) == 1;
}

}  // namespace

Result<std::unique_ptr<SecretBox>> SecretBox::take(SecretBuffer key) {
  if (key.size() != kServiceKeyLen)
    return Status(Errc::kCorruption, "the service key has a wrong length");
  return std::unique_ptr<SecretBox>(new SecretBox(std::move(key)));
}

Result<std::unique_ptr<SecretBox>> SecretBox::make(Root* root, Protector* protector) {
  REWRAP_ASSIGN(ProtectedKek made, root->create(kServiceKeyLen, service_key_context()));
  *protector = std::move(made.protector);
  return take(std::move(made.kek));
}

Result<std::unique_ptr<SecretBox>> SecretBox::open(Root* root, const Protector& protector) {
  REWRAP_ASSIGN(SecretBuffer key, root->open(protector, service_key_context()));
  return take(std::move(key));
}

Result<Bytes> SecretBox::seal(const SecretPlace& place, ByteView secret) const {
  if (secret.size() > kMaxSecretLen)
    return Status(Errc::kInvalidArgument, "a stored secret is at most 64 KiB long");
  Bytes sealed(kHeadLen + secret.size() + kSealTagLen);
  const ByteSpan out(sealed);
  sealed[0] = kFormat;
  const ByteSpan iv = out.subspan(1, kIvLen);
  REWRAP_TRY(random_bytes(iv));
  const Bytes aad = encode_place(place);
  const Cipher cipher = start(true, key_.expose_secret(), iv, aad);
  int len = 0;
  const ByteSpan tag = out.last(kSealTagLen);
  const bool done = cipher != nullptr &&
                    update(cipher, out.subspan(kHeadLen, secret.size()), secret) &&
                    EVP_CipherFinal_ex(cipher.get(), tag.data(), &len) == 1 &&
                    EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_GCM_GET_TAG,
                                        static_cast<int>(kSealTagLen), tag.data()) == 1;
  if (!done) return gcm_failed();
  return sealed;
}

Result<SecretBuffer> SecretBox::unseal(const SecretPlace& place, ByteView sealed) const {
  if (sealed.size() < kHeadLen + kSealTagLen || sealed[0] != kFormat ||
      sealed.size() > kHeadLen + kMaxSecretLen + kSealTagLen) {
    return not_ours();
  }
  const ByteView text = sealed.subspan(kHeadLen, sealed.size() - kHeadLen - kSealTagLen);
  std::array<std::uint8_t, kSealTagLen> tag{};
  copy_bytes(tag, sealed.last(kSealTagLen));
  // One byte more: also an empty secret is authenticated, and there is no buffer of no bytes.
  REWRAP_ASSIGN(SecretBuffer secret, SecretBuffer::create(text.size() + 1));
  const Bytes aad = encode_place(place);
  const Cipher cipher = start(false, key_.expose_secret(), sealed.subspan(1, kIvLen), aad);
  if (cipher == nullptr || !update(cipher, secret.expose_secret(), text) ||
      EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_GCM_SET_TAG, static_cast<int>(kSealTagLen),
                          tag.data()) != 1) {
    return gcm_failed();
  }
  std::array<std::uint8_t, kSealTagLen> none{};
  int len = 0;
  if (EVP_CipherFinal_ex(cipher.get(), none.data(), &len) != 1) return not_ours();
  secret.shrink_to(text.size());
  return secret;
}

Result<SecretBuffer> SecretBox::derive(std::string_view purpose) const {
  REWRAP_ASSIGN(SecretBuffer derived, SecretBuffer::create(kServiceKeyLen));
  std::size_t len = 0;
  const ByteView key = key_.expose_secret();
  const ByteView name = as_bytes(purpose);
  const unsigned char* made =
      EVP_Q_mac(nullptr, "HMAC", nullptr, "SHA256", nullptr, key.data(), key.size(), name.data(),
                name.size(), derived.expose_secret().data(), derived.size(), &len);
  if (made == nullptr || len != derived.size()) return gcm_failed();
  return derived;
}

}  // namespace rewrap
