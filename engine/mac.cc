// GMAC and SHA-256 by OpenSSL.
#include "engine/mac.h"

#include <openssl/evp.h>

namespace rewrap {

struct Mac::Impl {
  struct Deleter {
    void operator()(EVP_CIPHER_CTX* owned) const {
      EVP_CIPHER_CTX_free(owned);
    }  // wipes the key schedule
  };
  std::unique_ptr<EVP_CIPHER_CTX, Deleter> ctx;
};

Mac::Mac(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Mac::Mac(Mac&&) noexcept = default;
Mac& Mac::operator=(Mac&&) noexcept = default;
Mac::~Mac() = default;

Result<Mac> Mac::create(ByteView key) {
  if (key.size() != kMacKeyLen) return Status(Errc::kInvalidArgument, "a MAC key is 32 bytes");
  auto impl = std::make_unique<Impl>();
  impl->ctx.reset(EVP_CIPHER_CTX_new());
  // The nonce of kMacNonceLen bytes is GCM's default; each tag() sets its own and keeps the key
  // schedule.
  if (!impl->ctx ||
      EVP_EncryptInit_ex(impl->ctx.get(), EVP_aes_256_gcm(), nullptr, key.data(), nullptr) != 1) {
    return Status(Errc::kInternal, "OpenSSL cannot set up GMAC");
  }
  return Mac(std::move(impl));
}

Result<Tag> Mac::tag(const MacNonce& nonce, ByteView message) {
  if (message.size() > INT_MAX)
    return Status(Errc::kInvalidArgument, "a record over 2 GiB cannot be authenticated");
  EVP_CIPHER_CTX* ctx = impl_->ctx.get();
  Tag tag{};
  int ignored = 0;
  std::uint8_t none = 0;
  if (EVP_EncryptInit_ex(ctx, nullptr, nullptr, nullptr, nonce.data()) != 1 ||
      EVP_EncryptUpdate(ctx, nullptr, &ignored, message.data(), static_cast<int>(message.size())) !=
          1 ||
      EVP_EncryptFinal_ex(ctx, &none, &ignored) != 1 ||
      EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, kTagLen, tag.data()) != 1) {
    return Status(Errc::kInternal, "OpenSSL failed to compute a GMAC");
  }
  return tag;
}

Status Mac::verify(const MacNonce& nonce, ByteView message, const Tag& expected) {
  REWRAP_ASSIGN(const Tag computed, tag(nonce, message));
  if (secrets_equal(computed, expected)) return {};
  return Status(Errc::kIntegrity, "a record's authentication tag is wrong");
}

Result<Digest> sha256(ByteView message) {
  Digest digest{};
  unsigned len = 0;
  if (EVP_Digest(message.data(), message.size(), digest.data(), &len, EVP_sha256(), nullptr) != 1 ||
      len != kDigestLen) {
    return Status(Errc::kInternal, "OpenSSL failed to compute SHA-256");
  }
  return digest;
}

}  // namespace rewrap
