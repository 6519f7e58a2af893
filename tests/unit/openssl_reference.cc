// EVP_aes_*_wrap and _wrap_pad, a new context for each key.
#include "tests/unit/openssl_reference.h"

#include <openssl/evp.h>

#include <memory>
#include <stdexcept>

namespace rewrap::test {
namespace {

struct CtxDeleter {
  void operator()(EVP_CIPHER_CTX* ctx) const { EVP_CIPHER_CTX_free(ctx); }
};
using CtxPtr = std::unique_ptr<EVP_CIPHER_CTX, CtxDeleter>;

// by_len chooses among the variants for KEKs of 16, 24 and 32 bytes.
const EVP_CIPHER* by_len(ByteView kek, const EVP_CIPHER* aes128, const EVP_CIPHER* aes192,
                         const EVP_CIPHER* aes256) {
  if (kek.size() == 16) return aes128;
  if (kek.size() == 24) return aes192;
  if (kek.size() == 32) return aes256;
  throw std::invalid_argument("a KEK is 16, 24 or 32 bytes");
}

const EVP_CIPHER* cipher_for(WrapAlgorithm algorithm, ByteView kek) {
  if (algorithm == WrapAlgorithm::kKw) {
    return by_len(kek, EVP_aes_128_wrap(), EVP_aes_192_wrap(), EVP_aes_256_wrap());
  }
  return by_len(kek, EVP_aes_128_wrap_pad(), EVP_aes_192_wrap_pad(), EVP_aes_256_wrap_pad());
}

std::optional<Bytes> run(const EVP_CIPHER* cipher, ByteView kek, const std::uint8_t* iv,
                         ByteView in, bool encrypt) {
  const CtxPtr ctx(EVP_CIPHER_CTX_new());
  if (!ctx) throw std::bad_alloc();
  EVP_CIPHER_CTX_set_flags(ctx.get(), EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
  if (EVP_CipherInit_ex(ctx.get(), cipher, nullptr, kek.data(), iv, encrypt ? 1 : 0) != 1) {
    throw std::runtime_error("EVP_CipherInit_ex failed");
  }
  EVP_CIPHER_CTX_set_padding(ctx.get(), 0);
  Bytes out(in.size() + 2 * kBlockLen);
  int len = 0;
  if (EVP_CipherUpdate(ctx.get(), out.data(), &len, in.data(), static_cast<int>(in.size())) != 1) {
    return std::nullopt;
  }
  out.resize(static_cast<std::size_t>(len));
  return out;
}

}  // namespace

Bytes openssl_wrap(WrapAlgorithm algorithm, ByteView kek, ByteView key) {
  return run(cipher_for(algorithm, kek), kek, nullptr, key, true).value();
}

std::optional<Bytes> openssl_unwrap(WrapAlgorithm algorithm, ByteView kek, ByteView wrapped) {
  return run(cipher_for(algorithm, kek), kek, nullptr, wrapped, false);
}

Bytes openssl_wrap_all(WrapAlgorithm algorithm, ByteView kek, ByteView keys, std::size_t key_len) {
  Bytes wraps;
  for (std::size_t at = 0; at < keys.size(); at += key_len) {
    const Bytes wrap = openssl_wrap(algorithm, kek, keys.subspan(at, key_len));
    wraps.insert(wraps.end(), wrap.begin(), wrap.end());
  }
  return wraps;
}

Bytes openssl_gcm_wrap(ByteView kek, std::uint32_t fixed_field, std::uint64_t number, ByteView aad,
                       ByteView key) {
  Bytes record(wrapped_len(WrapAlgorithm::kGcm, key.size()));
  store_be32(record.data(), fixed_field);
  store_be64(record.data() + 4, number);
  const EVP_CIPHER* gcm = by_len(kek, EVP_aes_128_gcm(), EVP_aes_192_gcm(), EVP_aes_256_gcm());
  const CtxPtr ctx(EVP_CIPHER_CTX_new());
  int len = 0;
  std::uint8_t* body = record.data() + kGcmIvFieldLen;
  const int key_len = static_cast<int>(key.size());
  const int aad_len = static_cast<int>(aad.size());
  const bool done =
      ctx && EVP_EncryptInit_ex(ctx.get(), gcm, nullptr, kek.data(), record.data()) == 1 &&
      EVP_EncryptUpdate(ctx.get(), nullptr, &len, aad.data(), aad_len) == 1 &&
      EVP_EncryptUpdate(ctx.get(), body, &len, key.data(), key_len) == 1 &&
      EVP_EncryptFinal_ex(ctx.get(), body + key_len, &len) == 1 &&
      EVP_CIPHER_CTX_ctrl(ctx.get(), EVP_CTRL_AEAD_GET_TAG, kGcmTagLen, body + key_len) == 1;
  if (!done) throw std::runtime_error("OpenSSL failed to wrap by GCM");
  return record;
}

Bytes openssl_w(ByteView kek, std::uint64_t integrity, ByteView body) {
  std::array<std::uint8_t, kSemiblockLen> iv{};
  store_be64(iv.data(), integrity);
  if (body.size() > kSemiblockLen) {
    return run(cipher_for(WrapAlgorithm::kKw, kek), kek, iv.data(), body, true).value();
  }
  Bytes block(iv.begin(), iv.end());
  block.insert(block.end(), body.begin(), body.end());
  const EVP_CIPHER* ecb = by_len(kek, EVP_aes_128_ecb(), EVP_aes_192_ecb(), EVP_aes_256_ecb());
  return run(ecb, kek, nullptr, block, true).value();
}

}  // namespace rewrap::test
