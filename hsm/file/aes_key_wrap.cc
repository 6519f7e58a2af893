// RFC 3394 by OpenSSL's EVP.
#include "hsm/file/aes_key_wrap.h"

#include <openssl/err.h>
#include <openssl/evp.h>

#include <memory>

namespace rewrap {
namespace {

constexpr std::size_t kSemiblockLen = 8;
constexpr std::size_t kMaxKeyLen = 64;

struct CipherDeleter {
  void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
};

// run_cipher puts in.size() plus or minus one semiblock into `out`, which has room for in.size() +
// 8; 0 if it fails.
std::size_t run_cipher(ByteView kek, ByteView in, ByteSpan out, bool wrapping) {
  const std::unique_ptr<EVP_CIPHER_CTX, CipherDeleter> context(EVP_CIPHER_CTX_new());
  if (!context) return 0;
  EVP_CIPHER_CTX_set_flags(context.get(), EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
  const int direction = wrapping ? 1 : 0;
  int len = 0;
  const bool done = EVP_CipherInit_ex(context.get(), EVP_aes_256_wrap(), nullptr, kek.data(),
                                      nullptr, direction) == 1 &&
                    EVP_CipherUpdate(context.get(), out.data(), &len, in.data(),
                                     static_cast<int>(in.size())) == 1;
  ERR_clear_error();
  return done && len > 0 ? static_cast<std::size_t>(len) : 0;
}

}  // namespace

Result<Bytes> openssl_wrap(ByteView kek, ByteView key) {
  if (kek.size() != kFileRootKeyLen || key.size() < 2 * kSemiblockLen || key.size() > kMaxKeyLen) {
    return Status(Errc::kInternal, "key lengths out of range");
  }
  Bytes wrapped(key.size() + kSemiblockLen);
  if (run_cipher(kek, key, wrapped, true) != wrapped.size()) {
    return Status(Errc::kInternal, "OpenSSL cannot wrap a key");
  }
  return wrapped;
}

Result<SecretBuffer> openssl_unwrap(ByteView kek, ByteView wrapped) {
  if (kek.size() != kFileRootKeyLen) return Status(Errc::kInternal, "key lengths out of range");
  const Status does_not_open(Errc::kIntegrity, "the wrapped key does not open");
  if (wrapped.size() < 3 * kSemiblockLen || wrapped.size() > kMaxKeyLen + kSemiblockLen)
    return does_not_open;
  REWRAP_ASSIGN(SecretBuffer key, SecretBuffer::create(wrapped.size() + kSemiblockLen));
  if (run_cipher(kek, wrapped, key.expose_secret(), false) != wrapped.size() - kSemiblockLen)
    return does_not_open;
  key.shrink_to(wrapped.size() - kSemiblockLen);
  return key;
}

}  // namespace rewrap
