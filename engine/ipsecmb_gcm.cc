// AES-GCM (SP 800-38D) by ipsec-mb's single calls, one key after another; records as in
// engine/wrap_algorithm.h.
#include <algorithm>
#include <array>
#include <utility>

#include "engine/ipsecmb_manager.h"

namespace rewrap::ipsecmb {
namespace {

// Calls are the library's functions for one KEK length.
struct Calls {
  aes_gcm_pre_t expand;
  aes_gcm_enc_dec_t encrypt;
  aes_gcm_enc_dec_t decrypt;
};

Calls calls_for(const IMB_MGR& library, std::size_t kek_len) {
  if (kek_len == 16) return {library.gcm128_pre, library.gcm128_enc, library.gcm128_dec};
  if (kek_len == 24) return {library.gcm192_pre, library.gcm192_enc, library.gcm192_dec};
  return {library.gcm256_pre, library.gcm256_enc, library.gcm256_dec};
}

// Scratch is what one message leaves behind: keystream, the tag it should have, and the key of a
// check, whose bytes nobody asked for.
struct Scratch {
  gcm_context_data context;
  std::array<std::uint8_t, kGcmTagLen> tag;
  std::array<std::uint8_t, kMaxKeyLen> key;
};

// Secrets lie in one SecretBuffer. The library's build aligns the key to 64 bytes; its header does
// so only for those who define LINUX.
struct Secrets {
  alignas(64) gcm_key_data key;
  alignas(64) Scratch scratch;
};

std::uint64_t load64(const std::uint8_t* p) {
  std::uint64_t v = 0;
  std::memcpy(&v, p, sizeof v);
  return v;
}

// verdict_of is kIntact if both tags are equal and the IV field ends in four zero bytes. Without a
// branch, so that it costs the same whichever fails.
std::uint8_t verdict_of(const std::uint8_t* record, const std::uint8_t* stored_tag,
                        const std::uint8_t* tag) {
  std::uint32_t difference32 = 0;
  std::memcpy(&difference32, record + kGcmIvLen, sizeof difference32);
  const std::uint64_t difference = (load64(stored_tag) ^ load64(tag)) |
                                   (load64(stored_tag + 8) ^ load64(tag + 8)) | difference32;
  static_assert(kIntact == 0 && kDamaged == 1);
  return static_cast<std::uint8_t>((difference | (~difference + 1)) >> 63);
}

// Aad joins the prefix and a key's own additional data.
class Aad {
 public:
  explicit Aad(ByteView prefix)
      : bytes_(prefix.begin(), prefix.end()), prefix_len_(prefix.size()) {}

  void set_column(const AadColumn& column) {
    column_ = column;
    bytes_.resize(prefix_len_ + column.len);
  }
  ByteView of(std::size_t key) {
    if (column_.len != 0) copy_bytes(ByteSpan(bytes_).subspan(prefix_len_), column_.of(key));
    return bytes_;
  }

 private:
  Bytes bytes_;
  std::size_t prefix_len_;
  AadColumn column_;
};

class Gcm final : public Transform {
 public:
  Gcm(const TransformSpec& spec, SecretBuffer memory)
      : key_len_(spec.key_len),
        record_len_(wrapped_len(WrapAlgorithm::kGcm, spec.key_len)),
        wraps_(spec.to.has_value()),
        check_only_(spec.check_only),
        ivs_(wraps_ ? spec.to->gcm.ivs : nullptr),
        aad_(wraps_ ? spec.to->gcm.aad_prefix : spec.from->gcm.aad_prefix),
        memory_(std::move(memory)),
        secrets_(reinterpret_cast<Secrets*>(memory_.expose_secret().data())) {
    const Kek& kek = wraps_ ? *spec.to->kek : *spec.from->kek;
    calls_ = calls_for(*functions(), kek.len());
    calls_.expand(kek.expose_secret().data(), &secrets_->key);
  }
  Gcm(const Gcm&) = delete;
  Gcm& operator=(const Gcm&) = delete;
  ~Gcm() override { imb_clear_mem(secrets_, sizeof *secrets_); }

  [[nodiscard]] std::size_t in_len() const override { return wraps_ ? key_len_ : record_len_; }
  [[nodiscard]] std::size_t out_len() const override {
    if (check_only_) return 0;
    return wraps_ ? record_len_ : key_len_;
  }

 private:
  Status transform(const Batch& batch) override {
    const Status status = wraps_ ? wrap(batch) : unwrap(batch);
    imb_clear_mem(&secrets_->scratch, sizeof secrets_->scratch);
    return status;
  }

  Status wrap(const Batch& batch) {
    const std::size_t num_keys = batch.verdicts.size();
    REWRAP_ASSIGN(const std::uint64_t first, ivs_->take(num_keys));
    aad_.set_column(batch.to_aad);
    for (std::size_t k = 0; k < num_keys; ++k) {
      std::uint8_t* record = batch.out.data() + k * record_len_;
      std::fill_n(record, kGcmIvFieldLen, std::uint8_t{0});
      store_be32(record, ivs_->fixed_field());
      store_be64(record + 4, first + k);
      std::uint8_t* ciphertext = record + kGcmIvFieldLen;
      call(calls_.encrypt, ciphertext, batch.in.data() + k * key_len_, record, aad_.of(k),
           ciphertext + key_len_);
    }
    std::fill(batch.verdicts.begin(), batch.verdicts.end(), kIntact);
    return {};
  }

  Status unwrap(const Batch& batch) {
    aad_.set_column(batch.from_aad);
    for (std::size_t k = 0; k < batch.verdicts.size(); ++k) {
      const std::uint8_t* record = batch.in.data() + k * record_len_;
      const std::uint8_t* ciphertext = record + kGcmIvFieldLen;
      std::uint8_t* key =
          check_only_ ? secrets_->scratch.key.data() : batch.out.data() + k * key_len_;
      call(calls_.decrypt, key, ciphertext, record, aad_.of(k), secrets_->scratch.tag.data());
      const std::uint8_t verdict =
          verdict_of(record, ciphertext + key_len_, secrets_->scratch.tag.data());
      batch.verdicts[k] = verdict;
      const auto keep = static_cast<std::uint8_t>(verdict - 1);  // all ones if intact
      for (std::size_t i = 0; i < key_len_; ++i) key[i] = static_cast<std::uint8_t>(key[i] & keep);
    }
    return {};
  }

  void call(aes_gcm_enc_dec_t function, std::uint8_t* out, const std::uint8_t* in,
            const std::uint8_t* iv, ByteView aad, std::uint8_t* tag) {
    function(&secrets_->key, &secrets_->scratch.context, out, in, key_len_, iv, aad.data(),
             aad.size(), tag, kGcmTagLen);
  }

  std::size_t key_len_;
  std::size_t record_len_;
  bool wraps_;
  bool check_only_;
  IvSource* ivs_;
  Aad aad_;
  Calls calls_{};
  SecretBuffer memory_;
  Secrets* secrets_;  // in memory_
};

}  // namespace

Result<std::unique_ptr<Transform>> make_gcm(const TransformSpec& spec) {
  if (functions() == nullptr) {
    return Status(Errc::kUnsupported, "ipsec-mb cannot be used on this CPU",
                  "choose another --implementation");
  }
  REWRAP_ASSIGN(SecretBuffer memory, SecretBuffer::create(sizeof(Secrets)));
  return std::unique_ptr<Transform>(std::make_unique<Gcm>(spec, std::move(memory)));
}

}  // namespace rewrap::ipsecmb
