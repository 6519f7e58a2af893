// AES-ECB by OpenSSL's EVP interface, one call per batch of blocks.
#include <openssl/evp.h>

#include <climits>

#include "engine/ecb_cipher.h"

namespace rewrap {
namespace {

constexpr std::size_t kLanes = 512;

struct CtxDeleter {
  void operator()(EVP_CIPHER_CTX* ctx) const {
    EVP_CIPHER_CTX_free(ctx);
  }  // wipes the key schedule
};
using CtxPtr = std::unique_ptr<EVP_CIPHER_CTX, CtxDeleter>;

const EVP_CIPHER* cipher_for(std::size_t key_len) {
  if (key_len == 16) return EVP_aes_128_ecb();
  if (key_len == 24) return EVP_aes_192_ecb();
  return EVP_aes_256_ecb();
}

CtxPtr make_ctx(const Kek& kek, bool encrypt) {
  CtxPtr ctx(EVP_CIPHER_CTX_new());
  if (!ctx) return nullptr;
  const std::uint8_t* key = kek.expose_secret().data();
  if (EVP_CipherInit_ex(ctx.get(), cipher_for(kek.len()), nullptr, key, nullptr, encrypt ? 1 : 0) !=
      1)
    return nullptr;
  EVP_CIPHER_CTX_set_padding(ctx.get(), 0);
  return ctx;
}

class OpensslEcb final : public EcbCipher {
 public:
  OpensslEcb(CtxPtr encryptor, CtxPtr decryptor)
      : encryptor_(std::move(encryptor)), decryptor_(std::move(decryptor)) {}

  Status encrypt(ByteSpan blocks) override { return update(encryptor_.get(), blocks); }
  Status decrypt(ByteSpan blocks) override { return update(decryptor_.get(), blocks); }
  [[nodiscard]] std::size_t preferred_lanes() const override { return kLanes; }

 private:
  static Status update(EVP_CIPHER_CTX* ctx, ByteSpan blocks) {
    if (blocks.size() > INT_MAX)
      return Status(Errc::kInvalidArgument, "too many blocks for one call");
    int written = 0;
    const int len = static_cast<int>(blocks.size());
    if (EVP_CipherUpdate(ctx, blocks.data(), &written, blocks.data(), len) != 1 || written != len) {
      return Status(Errc::kInternal, "EVP_CipherUpdate failed");
    }
    return {};
  }

  CtxPtr encryptor_;
  CtxPtr decryptor_;
};

}  // namespace

Result<std::unique_ptr<EcbCipher>> make_openssl_ecb(const Kek& kek) {
  CtxPtr encryptor = make_ctx(kek, true);
  CtxPtr decryptor = make_ctx(kek, false);
  if (!encryptor || !decryptor) return Status(Errc::kInternal, "OpenSSL cannot set up AES-ECB");
  return std::unique_ptr<EcbCipher>(
      std::make_unique<OpensslEcb>(std::move(encryptor), std::move(decryptor)));
}

}  // namespace rewrap
