// OpenSSL's EVP_aes_256_wrap, libgcrypt's AESWRAP mode and nettle's aes256_keywrap.
#include "bench/engine/baselines.h"

#include <gcrypt.h>
#include <nettle/nist-keywrap.h>
#include <nettle/version.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <array>

namespace rewrap::bench {
namespace {

using DekArray = std::array<std::uint8_t, kBaselineDekLen>;

class Evp final : public Baseline {
 public:
  static std::unique_ptr<Baseline> make(ByteView old_kek, ByteView new_kek) {
    auto evp = std::make_unique<Evp>();
    if (!init(evp->opener_.get(), old_kek, false) || !init(evp->wrapper_.get(), new_kek, true))
      return nullptr;
    return evp;
  }

  // OpenSSL's wrap keeps nothing between calls: the contexts need no re-initialisation.
  bool rewrap(const std::uint8_t* in, std::uint8_t* out) override {
    DekArray dek;
    int len = 0;
    if (EVP_CipherUpdate(opener_.get(), dek.data(), &len, in, kBaselineWrapLen) != 1) return false;
    return EVP_CipherUpdate(wrapper_.get(), out, &len, dek.data(), kBaselineDekLen) == 1;
  }

 private:
  struct Deleter {
    void operator()(EVP_CIPHER_CTX* ctx) const { EVP_CIPHER_CTX_free(ctx); }
  };
  static bool init(EVP_CIPHER_CTX* ctx, ByteView kek, bool encrypt) {
    if (ctx == nullptr) return false;
    EVP_CIPHER_CTX_set_flags(ctx, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
    return EVP_CipherInit_ex(ctx, EVP_aes_256_wrap(), nullptr, kek.data(), nullptr,
                             encrypt ? 1 : 0) == 1;
  }

  std::unique_ptr<EVP_CIPHER_CTX, Deleter> opener_{EVP_CIPHER_CTX_new()};
  std::unique_ptr<EVP_CIPHER_CTX, Deleter> wrapper_{EVP_CIPHER_CTX_new()};
};

class Libgcrypt final : public Baseline {
 public:
  ~Libgcrypt() override {
    gcry_cipher_close(opener_);
    gcry_cipher_close(wrapper_);
  }
  Libgcrypt() = default;
  Libgcrypt(const Libgcrypt&) = delete;
  Libgcrypt& operator=(const Libgcrypt&) = delete;

  static std::unique_ptr<Baseline> make(ByteView old_kek, ByteView new_kek) {
    if (gcry_control(GCRYCTL_INITIALIZATION_FINISHED_P) == 0) {
      gcry_check_version(nullptr);
      gcry_control(GCRYCTL_DISABLE_SECMEM, 0);
      gcry_control(GCRYCTL_INITIALIZATION_FINISHED, 0);
    }
    auto gcrypt = std::make_unique<Libgcrypt>();
    if (!init(&gcrypt->opener_, old_kek) || !init(&gcrypt->wrapper_, new_kek)) return nullptr;
    return gcrypt;
  }

  bool rewrap(const std::uint8_t* in, std::uint8_t* out) override {
    DekArray dek;
    if (gcry_cipher_decrypt(opener_, dek.data(), kBaselineDekLen, in, kBaselineWrapLen) != 0)
      return false;
    return gcry_cipher_encrypt(wrapper_, out, kBaselineWrapLen, dek.data(), kBaselineDekLen) == 0;
  }

 private:
  static bool init(gcry_cipher_hd_t* cipher, ByteView kek) {
    return gcry_cipher_open(cipher, GCRY_CIPHER_AES256, GCRY_CIPHER_MODE_AESWRAP, 0) == 0 &&
           gcry_cipher_setkey(*cipher, kek.data(), kek.size()) == 0;
  }

  gcry_cipher_hd_t opener_ = nullptr;
  gcry_cipher_hd_t wrapper_ = nullptr;
};

class Nettle final : public Baseline {
 public:
  static std::unique_ptr<Baseline> make(ByteView old_kek, ByteView new_kek) {
    auto nettle = std::make_unique<Nettle>();
    aes256_set_decrypt_key(&nettle->opener_, old_kek.data());
    aes256_set_encrypt_key(&nettle->wrapper_, new_kek.data());
    nettle->icv_.fill(0xA6);  // RFC 3394 §2.2.3.1
    return nettle;
  }

  bool rewrap(const std::uint8_t* in, std::uint8_t* out) override {
    DekArray dek;
    if (aes256_keyunwrap(&opener_, icv_.data(), kBaselineDekLen, dek.data(), in) != 1) return false;
    aes256_keywrap(&wrapper_, icv_.data(), kBaselineWrapLen, out, dek.data());
    return true;
  }

 private:
  aes256_ctx opener_{};
  aes256_ctx wrapper_{};
  std::array<std::uint8_t, 8> icv_{};
};

constexpr BaselineEntry kBaselines[] = {
    {"evp_aes_256_wrap", Evp::make},
    {"libgcrypt", Libgcrypt::make},
    {"nettle", Nettle::make},
};

}  // namespace

std::span<const BaselineEntry> baselines() { return kBaselines; }

const char* openssl_version() { return OpenSSL_version(OPENSSL_VERSION); }

const char* libgcrypt_version() { return gcry_check_version(nullptr); }

std::string nettle_version() {
  return std::to_string(nettle_version_major()) + "." + std::to_string(nettle_version_minor());
}

}  // namespace rewrap::bench
