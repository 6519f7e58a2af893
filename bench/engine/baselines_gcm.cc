// AES-256-GCM by OpenSSL's EVP and by ipsec-mb's single calls, over the engine's records.
#if defined(__x86_64__)
#include <intel-ipsec-mb.h>
#endif
#include <openssl/evp.h>

#include <array>
#include <cstring>

#include "bench/engine/baselines.h"

namespace rewrap::bench {
namespace {

using DekArray = std::array<std::uint8_t, 64>;

constexpr int kAadLen = kAadPrefixLen + kAadColumnLen;

// write_iv writes the IV field of a record.
void write_iv(std::uint8_t* record, std::uint32_t version, std::uint64_t number) {
  store_be32(record, version);
  store_be64(record + 4, number);
  std::memset(record + kGcmIvLen, 0, kGcmIvFieldLen - kGcmIvLen);
}

bool reserved_is_zero(const std::uint8_t* record) { return load_be32(record + kGcmIvLen) == 0; }

// Aad is the prefix with room for a key's own part.
struct Aad {
  std::array<std::uint8_t, kAadLen> bytes{};

  Aad() { copy_bytes(bytes, kAadPrefix); }
  void set(const std::uint8_t* column) {
    std::memcpy(&bytes[kAadPrefixLen], column, kAadColumnLen);
  }
};

// EvpGcm is one direction: the key is set once, the IV for each message.
class EvpGcm {
 public:
  bool init(ByteView kek, bool encrypt) {
    encrypt_ = encrypt ? 1 : 0;
    return ctx_ != nullptr && EVP_CipherInit_ex(ctx_.get(), EVP_aes_256_gcm(), nullptr, kek.data(),
                                                nullptr, encrypt_) == 1;
  }
  bool encrypt(std::uint8_t* record, const std::uint8_t* dek, int dek_len, const Aad& aad) {
    std::uint8_t* body = record + kGcmIvFieldLen;
    return update(record, body, dek, dek_len, aad) &&
           EVP_CipherFinal_ex(ctx_.get(), body, &ignored_) == 1 &&
           EVP_CIPHER_CTX_ctrl(ctx_.get(), EVP_CTRL_AEAD_GET_TAG, kGcmTagLen, body + dek_len) == 1;
  }
  bool decrypt(std::uint8_t* dek, const std::uint8_t* record, int dek_len, const Aad& aad) {
    const std::uint8_t* body = record + kGcmIvFieldLen;
    std::array<std::uint8_t, kGcmTagLen> tag;
    std::memcpy(tag.data(), body + dek_len, tag.size());
    return reserved_is_zero(record) && update(record, dek, body, dek_len, aad) &&
           EVP_CIPHER_CTX_ctrl(ctx_.get(), EVP_CTRL_AEAD_SET_TAG, kGcmTagLen, tag.data()) == 1 &&
           EVP_CipherFinal_ex(ctx_.get(), dek, &ignored_) == 1;
  }

 private:
  struct Deleter {
    void operator()(EVP_CIPHER_CTX* ctx) const { EVP_CIPHER_CTX_free(ctx); }
  };

  bool update(const std::uint8_t* iv, std::uint8_t* out, const std::uint8_t* in, int len,
              const Aad& aad) {
    return EVP_CipherInit_ex(ctx_.get(), nullptr, nullptr, nullptr, iv, encrypt_) == 1 &&
           EVP_CipherUpdate(ctx_.get(), nullptr, &ignored_, aad.bytes.data(), kAadLen) == 1 &&
           EVP_CipherUpdate(ctx_.get(), out, &ignored_, in, len) == 1;
  }

  std::unique_ptr<EVP_CIPHER_CTX, Deleter> ctx_{EVP_CIPHER_CTX_new()};
  int encrypt_ = 0;
  int ignored_ = 0;
};

class Evp final : public Baseline {
 public:
  explicit Evp(std::size_t dek_len) : dek_len_(static_cast<int>(dek_len)) {}

  static std::unique_ptr<Baseline> make(std::size_t dek_len, ByteView old_kek, ByteView new_kek) {
    auto evp = std::make_unique<Evp>(dek_len);
    if (!evp->opener_.init(old_kek, false) || !evp->wrapper_.init(new_kek, true)) return nullptr;
    return evp;
  }

  bool rewrap(const std::uint8_t* in, std::uint8_t* out, const std::uint8_t* aad) override {
    DekArray dek;
    aad_.set(aad);
    if (!opener_.decrypt(dek.data(), in, dek_len_, aad_)) return false;
    write_iv(out, kNewVersion, number_++);
    return wrapper_.encrypt(out, dek.data(), dek_len_, aad_);
  }

 private:
  int dek_len_;
  EvpGcm opener_;
  EvpGcm wrapper_;
  Aad aad_;
  std::uint64_t number_ = 0;
};

#if defined(__x86_64__)
class Ipsecmb final : public Baseline {
 public:
  explicit Ipsecmb(std::size_t dek_len) : dek_len_(dek_len) {}

  static std::unique_ptr<Baseline> make(std::size_t dek_len, ByteView old_kek, ByteView new_kek) {
    auto ipsecmb = std::make_unique<Ipsecmb>(dek_len);
    if (!ipsecmb->manager_) return nullptr;
    init_mb_mgr_auto(ipsecmb->manager_.get(), nullptr);
    IMB_AES256_GCM_PRE(ipsecmb->manager_, old_kek.data(), &ipsecmb->opener_);
    IMB_AES256_GCM_PRE(ipsecmb->manager_, new_kek.data(), &ipsecmb->wrapper_);
    return ipsecmb;
  }

  bool rewrap(const std::uint8_t* in, std::uint8_t* out, const std::uint8_t* aad) override {
    DekArray dek;
    std::array<std::uint8_t, kGcmTagLen> tag;
    aad_.set(aad);
    IMB_AES256_GCM_DEC(manager_, &opener_, &context_, dek.data(), in + kGcmIvFieldLen, dek_len_, in,
                       aad_.bytes.data(), aad_.bytes.size(), tag.data(), tag.size());
    if (!reserved_is_zero(in) ||
        std::memcmp(tag.data(), in + kGcmIvFieldLen + dek_len_, tag.size()) != 0)
      return false;
    write_iv(out, kNewVersion, number_++);
    IMB_AES256_GCM_ENC(manager_, &wrapper_, &context_, out + kGcmIvFieldLen, dek.data(), dek_len_,
                       out, aad_.bytes.data(), aad_.bytes.size(), out + kGcmIvFieldLen + dek_len_,
                       kGcmTagLen);
    return true;
  }

 private:
  struct Freer {
    void operator()(IMB_MGR* manager) const { free_mb_mgr(manager); }
  };

  alignas(64) gcm_key_data opener_{};
  alignas(64) gcm_key_data wrapper_{};
  gcm_context_data context_{};
  std::size_t dek_len_;
  std::unique_ptr<IMB_MGR, Freer> manager_{alloc_mb_mgr(0)};
  Aad aad_;
  std::uint64_t number_ = 0;
};
#endif

constexpr BaselineEntry kBaselines[] = {
    {"evp_aes_256_gcm", WrapAlgorithm::kGcm, Evp::make},
#if defined(__x86_64__)
    {"ipsecmb_calls", WrapAlgorithm::kGcm, Ipsecmb::make},
#endif
};

}  // namespace

std::span<const BaselineEntry> gcm_baselines() { return kBaselines; }

Status evp_gcm_wrap(ByteView kek, std::uint32_t version, std::size_t dek_len, ByteView deks,
                    ByteView column, ByteSpan records) {
  EvpGcm wrapper;
  Aad aad;
  bool ok = wrapper.init(kek, true);
  const std::size_t record_len = wrapped_len(WrapAlgorithm::kGcm, dek_len);
  for (std::size_t k = 0; k < deks.size() / dek_len && ok; ++k) {
    std::uint8_t* record = records.data() + k * record_len;
    write_iv(record, version, k);
    aad.set(column.data() + k * kAadColumnLen);
    ok = wrapper.encrypt(record, deks.data() + k * dek_len, static_cast<int>(dek_len), aad);
  }
  return ok ? Status() : Status(Errc::kInternal, "OpenSSL failed to make GCM records");
}

const char* ipsecmb_version() {
#if defined(__x86_64__)
  return imb_get_version_str();
#else
  return "none";
#endif
}

}  // namespace rewrap::bench
