// GCM of many short messages at once: counters, one call, then exclusive-or and GHASH per key.
#include "engine/batched_gcm.h"

#include <algorithm>
#include <new>
#include <utility>

#include "engine/base/secret_buffer.h"
#include "engine/ghash.h"

namespace rewrap {
namespace {

constexpr std::size_t kMaxCountersLen = std::size_t{128} << 10;
constexpr std::size_t kMaxAadPrefixLen = 4096;

// Hashes are what Ghash keeps, in secret memory.
struct Hashes {
  Ghash after_prefix;  // where every key's hash starts: the prefix of the additional data is in it
  Ghash running;
};
static_assert(sizeof(Hashes) % kBlockLen == 0, "the counter blocks follow");

class BatchedGcm final : public Transform {
 public:
  BatchedGcm(const TransformSpec& spec, std::unique_ptr<EcbCipher> cipher, std::size_t max_lanes,
             SecretBuffer memory)
      : key_len_(spec.key_len),
        check_only_(spec.check_only),
        ivs_(spec.to ? spec.to->gcm.ivs : nullptr),
        prefix_len_((spec.from ? spec.from : spec.to)->gcm.aad_prefix.size()),
        num_blocks_(blocks_per_key(spec)),
        max_lanes_(max_lanes),
        cipher_(std::move(cipher)),
        memory_(std::move(memory)) {}

  // The counter block of the tag, and one for each block of the key unless it is not wanted.
  static std::size_t blocks_per_key(const TransformSpec& spec) {
    return 1 + (spec.check_only ? 0 : (spec.key_len + kBlockLen - 1) / kBlockLen);
  }

  // start gets the hash key. Called once, before anything else.
  Status start(ByteView aad_prefix) {
    const ByteSpan block = counters().first(kBlockLen);
    std::fill(block.begin(), block.end(), std::uint8_t{0});
    REWRAP_TRY(cipher_->encrypt(block));
    hashes_ = new (memory_.expose_secret().data())
        Hashes{Ghash(block.data()), Ghash(block.data())};  // in place: nothing on the stack
    hashes_->after_prefix.absorb(aad_prefix);
    wipe(block);
    return {};
  }

  [[nodiscard]] std::size_t in_len() const override { return wraps() ? key_len_ : record_len(); }
  [[nodiscard]] std::size_t out_len() const override {
    if (check_only_) return 0;
    return wraps() ? record_len() : key_len_;
  }

 private:
  using Tag = std::array<std::uint8_t, kGcmTagLen>;

  [[nodiscard]] bool wraps() const { return ivs_ != nullptr; }
  [[nodiscard]] std::size_t record_len() const {
    return wrapped_len(WrapAlgorithm::kGcm, key_len_);
  }
  ByteSpan counters() { return memory_.expose_secret().subspan(sizeof(Hashes)); }
  std::uint8_t* counters_of(std::size_t lane) {
    return counters().data() + lane * num_blocks_ * kBlockLen;
  }

  Status transform(const Batch& batch) override {
    const std::size_t num_keys = batch.verdicts.size();
    std::uint64_t number = 0;
    if (wraps()) {
      REWRAP_ASSIGN(number, ivs_->take(num_keys));
    }
    Status status;
    for (std::size_t done = 0; status.ok() && done < num_keys; done += max_lanes_) {
      const std::size_t lanes = std::min(max_lanes_, num_keys - done);
      status = run_lanes(
          {batch.in.subspan(done * in_len(), lanes * in_len()),
           batch.out.subspan(done * out_len(), lanes * out_len()),
           batch.verdicts.subspan(done, lanes), batch.from_aad.skip(done), batch.to_aad.skip(done)},
          number + done);
    }
    wipe(counters());
    return status;
  }

  Status run_lanes(const Batch& batch, std::uint64_t number) {
    const std::size_t lanes = batch.verdicts.size();
    for (std::size_t k = 0; k < lanes; ++k) {
      std::uint8_t* record = batch.out.data() + k * out_len();
      if (wraps()) put_iv(record, number + k);
      put_counters(k, wraps() ? record : batch.in.data() + k * in_len());
    }
    REWRAP_TRY(cipher_->encrypt(counters().first(lanes * num_blocks_ * kBlockLen)));
    for (std::size_t k = 0; k < lanes; ++k) wraps() ? wrap(batch, k) : open(batch, k);
    return {};
  }

  void put_iv(std::uint8_t* record, std::uint64_t number) const {
    store_be32(record, ivs_->fixed_field());
    store_be64(record + 4, number);
    store_be32(record + kGcmIvLen, 0);
  }

  // SP 800-38D §7.1: the tag's counter block is the IV and a one, those of the data go on from
  // there.
  void put_counters(std::size_t lane, const std::uint8_t* iv) {
    std::uint8_t* block = counters_of(lane);
    for (std::size_t i = 0; i < num_blocks_; ++i, block += kBlockLen) {
      std::memcpy(block, iv, kGcmIvLen);
      store_be32(block + kGcmIvLen, static_cast<std::uint32_t>(i + 1));
    }
  }

  void wrap(const Batch& batch, std::size_t k) {
    std::uint8_t* record = batch.out.data() + k * record_len();
    const std::uint8_t* key = batch.in.data() + k * key_len_;
    const std::uint8_t* stream = counters_of(k) + kBlockLen;
    std::uint8_t* body = record + kGcmIvFieldLen;
    for (std::size_t i = 0; i < key_len_; ++i)
      body[i] = static_cast<std::uint8_t>(key[i] ^ stream[i]);
    const Tag tag = tag_of(k, batch.to_aad.of(k), body);
    std::memcpy(body + key_len_, tag.data(), tag.size());
    batch.verdicts[k] = kIntact;
  }

  // One mask for the tag and the four zero bytes, so that every failure looks and costs the same.
  void open(const Batch& batch, std::size_t k) {
    const std::uint8_t* record = batch.in.data() + k * record_len();
    const std::uint8_t* body = record + kGcmIvFieldLen;
    const Tag tag = tag_of(k, batch.from_aad.of(k), body);
    unsigned difference = 0;
    for (std::size_t i = 0; i < kGcmTagLen; ++i)
      difference |= unsigned{tag[i]} ^ body[key_len_ + i];
    for (std::size_t i = kGcmIvLen; i < kGcmIvFieldLen; ++i) difference |= record[i];
    const unsigned damaged = (difference + 0xff) >> 8;
    batch.verdicts[k] = static_cast<std::uint8_t>(damaged);
    if (check_only_) return;
    const auto keep = static_cast<std::uint8_t>(damaged - 1);
    const std::uint8_t* stream = counters_of(k) + kBlockLen;
    std::uint8_t* key = batch.out.data() + k * key_len_;
    for (std::size_t i = 0; i < key_len_; ++i)
      key[i] = static_cast<std::uint8_t>((body[i] ^ stream[i]) & keep);
  }

  Tag tag_of(std::size_t lane, ByteView aad, const std::uint8_t* body) {
    Ghash& hash = hashes_->running;
    hash = hashes_->after_prefix;
    hash.absorb(aad);
    hash.pad();
    hash.absorb({body, key_len_});
    hash.pad();
    Tag tag = hash.finish(prefix_len_ + aad.size(), key_len_);
    const std::uint8_t* mask = counters_of(lane);
    for (std::size_t i = 0; i < kGcmTagLen; ++i)
      tag[i] = static_cast<std::uint8_t>(tag[i] ^ mask[i]);
    return tag;
  }

  std::size_t key_len_;
  bool check_only_;
  IvSource* ivs_;  // null unless this wraps
  std::size_t prefix_len_;
  std::size_t num_blocks_;  // counter blocks per key
  std::size_t max_lanes_;
  std::unique_ptr<EcbCipher> cipher_;
  SecretBuffer memory_;  // Hashes, then the counter blocks
  Hashes* hashes_ = nullptr;
};

}  // namespace

Result<std::unique_ptr<Transform>> make_batched_gcm(const TransformSpec& spec,
                                                    std::unique_ptr<EcbCipher> cipher) {
  REWRAP_TRY(validate(spec));
  const std::optional<WrapSide>& side = spec.from ? spec.from : spec.to;
  if ((spec.from && spec.to) || side->algorithm != WrapAlgorithm::kGcm)
    return Status(Errc::kInvalidArgument, "this transform has one side, and that is GCM");
  if (side->gcm.aad_prefix.size() > kMaxAadPrefixLen)
    return Status(Errc::kInvalidArgument, "the additional data is too long");
  const std::size_t lane_len = BatchedGcm::blocks_per_key(spec) * kBlockLen;
  const std::size_t lanes =
      std::max<std::size_t>(1, std::min(cipher->preferred_lanes(), kMaxCountersLen / lane_len));
  REWRAP_ASSIGN(SecretBuffer memory, SecretBuffer::create(sizeof(Hashes) + lanes * lane_len));
  auto gcm = std::make_unique<BatchedGcm>(spec, std::move(cipher), lanes, std::move(memory));
  REWRAP_TRY(gcm->start(side->gcm.aad_prefix));
  return std::unique_ptr<Transform>(std::move(gcm));
}

}  // namespace rewrap
