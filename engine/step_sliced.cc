// W and W^-1 of SP 800-38F over a batch of keys in structure-of-arrays form.
#include "engine/step_sliced.h"

#include <algorithm>
#include <utility>

namespace rewrap {
namespace {

// 2,048 lanes of 64-byte keys, which is what a token gets per call.
constexpr std::size_t kMaxScratchLen = std::size_t{160} << 10;

std::uint64_t to_be(std::uint64_t v) { return __builtin_bswap64(v); }

// Block is one AES block: the integrity register A and the semiblock of this step, both in memory
// byte order.
struct Block {
  std::uint64_t a;
  std::uint64_t r;
};

// is_nonzero gives 1 for any value but 0, without a branch.
std::uint8_t is_nonzero(std::uint64_t v) { return static_cast<std::uint8_t>((v | (~v + 1)) >> 63); }

class StepSliced final : public Transform {
 public:
  StepSliced(std::size_t key_len, std::optional<SlicedSide> from, std::optional<SlicedSide> to,
             bool check_only, std::size_t max_lanes, SecretBuffer scratch)
      : key_len_(key_len),
        n_((key_len + kSemiblockLen - 1) / kSemiblockLen),
        max_lanes_(max_lanes),
        check_only_(check_only),
        from_(std::move(from)),
        to_(std::move(to)),
        scratch_(std::move(scratch)),
        blocks_(reinterpret_cast<Block*>(scratch_.expose_secret().data())),
        semiblocks_(reinterpret_cast<std::uint64_t*>(blocks_ + max_lanes)) {}

  static std::size_t scratch_len(std::size_t key_len, std::size_t lanes) {
    return lanes * (sizeof(Block) + (key_len + kSemiblockLen - 1) / kSemiblockLen * kSemiblockLen);
  }

  [[nodiscard]] std::size_t in_len() const override {
    return from_ ? wrapped_len(from_->algorithm, key_len_) : key_len_;
  }
  [[nodiscard]] std::size_t out_len() const override {
    if (check_only_) return 0;
    return to_ ? wrapped_len(to_->algorithm, key_len_) : key_len_;
  }

 private:
  Status transform(const Batch& batch) override {
    const std::size_t num_keys = batch.verdicts.size();
    Status status;
    for (std::size_t done = 0; status.ok() && done < num_keys;) {
      const std::size_t lanes = std::min(max_lanes_, num_keys - done);
      status = run_lanes(batch.in.data() + done * in_len(), batch.out.data() + done * out_len(),
                         batch.verdicts.subspan(done, lanes));
      done += lanes;
    }
    wipe(scratch_.expose_secret());
    return status;
  }

  Status run_lanes(const std::uint8_t* in, std::uint8_t* out, ByteSpan verdicts) {
    const std::size_t lanes = verdicts.size();
    std::fill(verdicts.begin(), verdicts.end(), kIntact);
    if (from_) {
      load_wrapped(in, lanes);
      REWRAP_TRY(invert_w(*from_->cipher, lanes));
      check(verdicts);
    } else {
      load_keys(in, lanes);
    }
    if (check_only_) return {};
    if (!to_) {
      store_keys(out, verdicts);
      return {};
    }
    for (std::size_t k = 0; k < lanes; ++k) blocks_[k].a = icv(to_->algorithm);
    REWRAP_TRY(apply_w(*to_->cipher, lanes));
    store_wrapped(out, verdicts);
    return {};
  }

  [[nodiscard]] std::uint64_t icv(WrapAlgorithm algorithm) const {
    return integrity_check_value(algorithm, key_len_);
  }

  // row(i) is R_i (1 <= i <= n) of every lane.
  [[nodiscard]] std::uint64_t* row(std::size_t i) const {
    return semiblocks_ + (i - 1) * max_lanes_;
  }

  // Bytes of the last semiblock that are padding, as a mask in memory order.
  [[nodiscard]] std::uint64_t padding_mask() const {
    const std::size_t pad = n_ * kSemiblockLen - key_len_;
    return pad == 0 ? 0 : to_be((std::uint64_t{1} << (8 * pad)) - 1);
  }

  void load_wrapped(const std::uint8_t* in, std::size_t lanes) {
    const std::size_t stride = in_len();
    for (std::size_t k = 0; k < lanes; ++k) {
      std::memcpy(&blocks_[k].a, in + k * stride, kSemiblockLen);
      for (std::size_t i = 1; i <= n_; ++i) {
        std::memcpy(row(i) + k, in + k * stride + i * kSemiblockLen, kSemiblockLen);
      }
    }
  }

  void load_keys(const std::uint8_t* in, std::size_t lanes) {
    const std::size_t last_len = key_len_ - (n_ - 1) * kSemiblockLen;
    for (std::size_t k = 0; k < lanes; ++k) {
      const std::uint8_t* key = in + k * key_len_;
      for (std::size_t i = 1; i < n_; ++i)
        std::memcpy(row(i) + k, key + (i - 1) * kSemiblockLen, kSemiblockLen);
      row(n_)[k] = 0;  // KWP pads with zeros
      std::memcpy(row(n_) + k, key + (n_ - 1) * kSemiblockLen, last_len);
    }
  }

  void store_wrapped(std::uint8_t* out, ByteView verdicts) {
    const std::size_t stride = out_len();
    for (std::size_t k = 0; k < verdicts.size(); ++k) {
      const std::uint64_t keep =
          std::uint64_t{verdicts[k]} - 1;  // all ones if intact, zero if damaged
      const std::uint64_t a = blocks_[k].a & keep;
      std::memcpy(out + k * stride, &a, kSemiblockLen);
      for (std::size_t i = 1; i <= n_; ++i) {
        const std::uint64_t r = row(i)[k] & keep;
        std::memcpy(out + k * stride + i * kSemiblockLen, &r, kSemiblockLen);
      }
    }
  }

  void store_keys(std::uint8_t* out, ByteView verdicts) {
    const std::size_t last_len = key_len_ - (n_ - 1) * kSemiblockLen;
    for (std::size_t k = 0; k < verdicts.size(); ++k) {
      const std::uint64_t keep = std::uint64_t{verdicts[k]} - 1;
      for (std::size_t i = 1; i <= n_; ++i) row(i)[k] &= keep;
      std::uint8_t* key = out + k * key_len_;
      for (std::size_t i = 1; i < n_; ++i)
        std::memcpy(key + (i - 1) * kSemiblockLen, row(i) + k, kSemiblockLen);
      std::memcpy(key + (n_ - 1) * kSemiblockLen, row(n_) + k, last_len);
    }
  }

  // One mask folds every check (ICV, length, padding), so that no failure looks or costs different
  // from another.
  void check(ByteSpan verdicts) {
    const std::uint64_t expected = icv(from_->algorithm);
    const std::uint64_t padding = padding_mask();
    for (std::size_t k = 0; k < verdicts.size(); ++k) {
      verdicts[k] = is_nonzero((blocks_[k].a ^ expected) | (row(n_)[k] & padding));
    }
  }

  // W, SP 800-38F §6.1 Algorithm 1. Step t = n*j + i encrypts A || R_i; then A ^= t.
  Status apply_w(EcbCipher& cipher, std::size_t lanes) {
    if (n_ == 1) return single_block(cipher, lanes, /*encrypt=*/true);
    const std::size_t last = 6 * n_;
    take_semiblock(row_of_step(1), 0, lanes);
    for (std::size_t t = 1; t < last; ++t) {
      REWRAP_TRY(cipher.encrypt(block_bytes(lanes)));
      swap_semiblocks(row_of_step(t), row_of_step(t + 1), to_be(t), lanes);
    }
    REWRAP_TRY(cipher.encrypt(block_bytes(lanes)));
    put_semiblock(row_of_step(last), to_be(last), lanes);
    return {};
  }

  // W^-1, SP 800-38F §6.1 Algorithm 2: the same steps backwards.
  Status invert_w(EcbCipher& cipher, std::size_t lanes) {
    if (n_ == 1) return single_block(cipher, lanes, /*encrypt=*/false);
    const std::size_t last = 6 * n_;
    take_semiblock(row_of_step(last), to_be(last), lanes);
    for (std::size_t t = last; t > 1; --t) {
      REWRAP_TRY(cipher.decrypt(block_bytes(lanes)));
      swap_semiblocks(row_of_step(t), row_of_step(t - 1), to_be(t - 1), lanes);
    }
    REWRAP_TRY(cipher.decrypt(block_bytes(lanes)));
    put_semiblock(row_of_step(1), 0, lanes);
    return {};
  }

  // A KWP key of at most 8 bytes is one plain block (SP 800-38F §6.3, RFC 5649 §4.1).
  Status single_block(EcbCipher& cipher, std::size_t lanes, bool encrypt) {
    take_semiblock(row(1), 0, lanes);
    REWRAP_TRY(encrypt ? cipher.encrypt(block_bytes(lanes)) : cipher.decrypt(block_bytes(lanes)));
    put_semiblock(row(1), 0, lanes);
    return {};
  }

  [[nodiscard]] std::uint64_t* row_of_step(std::size_t t) const { return row((t - 1) % n_ + 1); }

  // What is done between two calls of the cipher is done in one pass: a token stands idle meanwhile.
  // `counter` is added to A.
  void take_semiblock(const std::uint64_t* from, std::uint64_t counter, std::size_t lanes) {
    for (std::size_t k = 0; k < lanes; ++k) {
      blocks_[k].a ^= counter;
      blocks_[k].r = from[k];
    }
  }
  void put_semiblock(std::uint64_t* to, std::uint64_t counter, std::size_t lanes) {
    for (std::size_t k = 0; k < lanes; ++k) {
      blocks_[k].a ^= counter;
      to[k] = blocks_[k].r;
    }
  }
  void swap_semiblocks(std::uint64_t* to, const std::uint64_t* from, std::uint64_t counter,
                       std::size_t lanes) {
    for (std::size_t k = 0; k < lanes; ++k) {
      blocks_[k].a ^= counter;
      to[k] = blocks_[k].r;
      blocks_[k].r = from[k];
    }
  }

  ByteSpan block_bytes(std::size_t lanes) {
    return scratch_.expose_secret().first(lanes * sizeof(Block));
  }

  std::size_t key_len_;
  std::size_t n_;  // semiblocks per key, as in the standard
  std::size_t max_lanes_;
  bool check_only_;
  std::optional<SlicedSide> from_;
  std::optional<SlicedSide> to_;
  SecretBuffer scratch_;  // blocks, then one row per semiblock
  Block* blocks_;
  std::uint64_t* semiblocks_;
};

}  // namespace

Result<std::unique_ptr<Transform>> make_step_sliced(std::size_t key_len,
                                                    std::optional<SlicedSide> from,
                                                    std::optional<SlicedSide> to, bool check_only) {
  std::size_t lanes = 0;
  for (const auto* side : {&from, &to}) {
    if (!*side) continue;
    if ((*side)->algorithm == WrapAlgorithm::kGcm || !is_wrappable((*side)->algorithm, key_len)) {
      return Status(Errc::kInvalidArgument, "this key length cannot be wrapped by this algorithm");
    }
    lanes = std::max(lanes, (*side)->cipher->preferred_lanes());
  }
  if (lanes == 0 || (check_only && (!from || to)))
    return Status(Errc::kInvalidArgument, "a transform needs a wrapped side");
  // Long keys get fewer lanes, so that the scratch stays within what may be locked.
  lanes = std::max<std::size_t>(
      1, std::min(lanes, kMaxScratchLen / StepSliced::scratch_len(key_len, 1)));
  REWRAP_ASSIGN(SecretBuffer scratch,
                SecretBuffer::create(StepSliced::scratch_len(key_len, lanes)));
  return std::unique_ptr<Transform>(std::make_unique<StepSliced>(
      key_len, std::move(from), std::move(to), check_only, lanes, std::move(scratch)));
}

}  // namespace rewrap
