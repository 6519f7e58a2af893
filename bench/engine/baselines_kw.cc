// RFC 3394 by OpenSSL's EVP_aes_256_wrap, libgcrypt's AESWRAP mode, nettle's aes256_keywrap and
// Botan's nist_key_wrap.
#include <botan/block_cipher.h>
#include <botan/nist_keywrap.h>
#include <botan/version.h>
#include <gcrypt.h>
#include <nettle/nist-keywrap.h>
#include <nettle/version.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <exception>

#include "bench/engine/baselines.h"

namespace rewrap::bench {
namespace {

using DekArray = std::array<std::uint8_t, 64>;

class Evp final : public Baseline {
 public:
  explicit Evp(std::size_t dek_len) : dek_len_(static_cast<int>(dek_len)) {}

  static std::unique_ptr<Baseline> make(std::size_t dek_len, ByteView old_kek, ByteView new_kek) {
    auto evp = std::make_unique<Evp>(dek_len);
    if (!init(evp->opener_.get(), old_kek, false) || !init(evp->wrapper_.get(), new_kek, true))
      return nullptr;
    return evp;
  }

  // OpenSSL's wrap keeps nothing between calls: the contexts need no re-initialisation.
  bool rewrap(const std::uint8_t* in, std::uint8_t* out, const std::uint8_t* /*aad*/) override {
    DekArray dek;
    int len = 0;
    if (EVP_CipherUpdate(opener_.get(), dek.data(), &len, in, dek_len_ + 8) != 1) return false;
    return EVP_CipherUpdate(wrapper_.get(), out, &len, dek.data(), dek_len_) == 1;
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

  int dek_len_;
  std::unique_ptr<EVP_CIPHER_CTX, Deleter> opener_{EVP_CIPHER_CTX_new()};
  std::unique_ptr<EVP_CIPHER_CTX, Deleter> wrapper_{EVP_CIPHER_CTX_new()};
};

class Libgcrypt final : public Baseline {
 public:
  explicit Libgcrypt(std::size_t dek_len) : dek_len_(dek_len) {}
  ~Libgcrypt() override {
    gcry_cipher_close(opener_);
    gcry_cipher_close(wrapper_);
  }
  Libgcrypt(const Libgcrypt&) = delete;
  Libgcrypt& operator=(const Libgcrypt&) = delete;

  static std::unique_ptr<Baseline> make(std::size_t dek_len, ByteView old_kek, ByteView new_kek) {
    if (gcry_control(GCRYCTL_INITIALIZATION_FINISHED_P) == 0) {
      gcry_check_version(nullptr);
      gcry_control(GCRYCTL_DISABLE_SECMEM, 0);
      gcry_control(GCRYCTL_INITIALIZATION_FINISHED, 0);
    }
    auto gcrypt = std::make_unique<Libgcrypt>(dek_len);
    if (!init(&gcrypt->opener_, old_kek) || !init(&gcrypt->wrapper_, new_kek)) return nullptr;
    return gcrypt;
  }

  bool rewrap(const std::uint8_t* in, std::uint8_t* out, const std::uint8_t* /*aad*/) override {
    DekArray dek;
    if (gcry_cipher_decrypt(opener_, dek.data(), dek_len_, in, dek_len_ + 8) != 0) return false;
    return gcry_cipher_encrypt(wrapper_, out, dek_len_ + 8, dek.data(), dek_len_) == 0;
  }

 private:
  static bool init(gcry_cipher_hd_t* cipher, ByteView kek) {
    return gcry_cipher_open(cipher, GCRY_CIPHER_AES256, GCRY_CIPHER_MODE_AESWRAP, 0) == 0 &&
           gcry_cipher_setkey(*cipher, kek.data(), kek.size()) == 0;
  }

  std::size_t dek_len_;
  gcry_cipher_hd_t opener_ = nullptr;
  gcry_cipher_hd_t wrapper_ = nullptr;
};

class Nettle final : public Baseline {
 public:
  explicit Nettle(std::size_t dek_len) : dek_len_(dek_len) { icv_.fill(0xA6); }  // RFC 3394 §2.2.3

  static std::unique_ptr<Baseline> make(std::size_t dek_len, ByteView old_kek, ByteView new_kek) {
    auto nettle = std::make_unique<Nettle>(dek_len);
    aes256_set_decrypt_key(&nettle->opener_, old_kek.data());
    aes256_set_encrypt_key(&nettle->wrapper_, new_kek.data());
    return nettle;
  }

  bool rewrap(const std::uint8_t* in, std::uint8_t* out, const std::uint8_t* /*aad*/) override {
    DekArray dek;
    if (aes256_keyunwrap(&opener_, icv_.data(), dek_len_, dek.data(), in) != 1) return false;
    aes256_keywrap(&wrapper_, icv_.data(), dek_len_ + 8, out, dek.data());
    return true;
  }

 private:
  std::size_t dek_len_;
  aes256_ctx opener_{};
  aes256_ctx wrapper_{};
  std::array<std::uint8_t, 8> icv_{};
};

class BotanWrap final : public Baseline {
 public:
  explicit BotanWrap(std::size_t dek_len) : dek_len_(dek_len) {}

  static std::unique_ptr<Baseline> make(std::size_t dek_len, ByteView old_kek, ByteView new_kek) {
    auto botan = std::make_unique<BotanWrap>(dek_len);
    botan->opener_ = Botan::BlockCipher::create_or_throw("AES-256");
    botan->wrapper_ = Botan::BlockCipher::create_or_throw("AES-256");
    botan->opener_->set_key(old_kek.data(), old_kek.size());
    botan->wrapper_->set_key(new_kek.data(), new_kek.size());
    return botan;
  }

  // Botan refuses a wrap by an exception.
  bool rewrap(const std::uint8_t* in, std::uint8_t* out, const std::uint8_t* /*aad*/) override {
    try {
      const auto dek = Botan::nist_key_unwrap(in, dek_len_ + 8, *opener_);
      const auto wrapped = Botan::nist_key_wrap(dek.data(), dek.size(), *wrapper_);
      std::copy(wrapped.begin(), wrapped.end(), out);
      return true;
    } catch (const std::exception&) {
      return false;
    }
  }

 private:
  std::size_t dek_len_;
  std::unique_ptr<Botan::BlockCipher> opener_;
  std::unique_ptr<Botan::BlockCipher> wrapper_;
};

constexpr BaselineEntry kBaselines[] = {
    {"evp_aes_256_wrap", WrapAlgorithm::kKw, Evp::make},
    {"libgcrypt", WrapAlgorithm::kKw, Libgcrypt::make},
    {"nettle", WrapAlgorithm::kKw, Nettle::make},
    {"botan", WrapAlgorithm::kKw, BotanWrap::make},
};

}  // namespace

std::span<const BaselineEntry> kw_baselines() { return kBaselines; }

const char* openssl_version() { return OpenSSL_version(OPENSSL_VERSION); }

const char* libgcrypt_version() { return gcry_check_version(nullptr); }

std::string nettle_version() {
  return std::to_string(nettle_version_major()) + "." + std::to_string(nettle_version_minor());
}

std::string botan_version() { return Botan::short_version_string(); }

}  // namespace rewrap::bench
