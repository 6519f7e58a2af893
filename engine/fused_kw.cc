// Between a Transform and a kernel: the state in secret memory, and what goes with which side.
#include "engine/fused_kw.h"

#include <algorithm>
#include <new>
#include <utility>

#include "aesni/kernels.h"

namespace rewrap {
namespace {

class FusedKw final : public Transform {
 public:
  FusedKw(const aesni::KwKernel& kernel, const TransformSpec& spec, SecretBuffer memory)
      : kernel_(kernel),
        in_len_(spec.from ? wrapped_len(spec.from->algorithm, spec.key_len) : spec.key_len),
        out_len_(spec.to ? wrapped_len(spec.to->algorithm, spec.key_len) : spec.key_len),
        unwraps_(spec.from.has_value()),
        wraps_(spec.to.has_value()),
        check_only_(spec.check_only),
        memory_(std::move(memory)),
        state_(new (memory_.expose_secret().data()) aesni::KwState) {
    if (check_only_) out_len_ = 0;
    const aesni::KwSide from = side(spec.from, spec.key_len);
    const aesni::KwSide to = side(spec.to, spec.key_len);
    kernel_.set_up(state_, spec.key_len / kSemiblockLen, unwraps_ ? &from : nullptr,
                   wraps_ ? &to : nullptr);
  }

  [[nodiscard]] std::size_t in_len() const override { return in_len_; }
  [[nodiscard]] std::size_t out_len() const override { return out_len_; }

 private:
  static aesni::KwSide side(const std::optional<WrapSide>& side, std::size_t key_len) {
    if (!side) return {};
    const ByteView key = side->kek->expose_secret();
    return {key.data(), key.size(), integrity_check_value(side->algorithm, key_len)};
  }

  Status transform(const Batch& batch) override {
    const std::uint8_t* in = batch.in.data();
    std::uint8_t* out = batch.out.data();
    std::uint8_t* verdicts = batch.verdicts.data();
    const std::size_t num_keys = batch.verdicts.size();
    if (check_only_) {
      kernel_.check(state_, in, verdicts, num_keys);
    } else if (!wraps_) {
      kernel_.unwrap(state_, in, out, verdicts, num_keys);
    } else if (unwraps_) {
      kernel_.rewrap(state_, in, out, verdicts, num_keys);
    } else {
      kernel_.wrap(state_, in, out, num_keys);
      std::fill_n(verdicts, num_keys, kIntact);
    }
    return {};
  }

  const aesni::KwKernel& kernel_;
  std::size_t in_len_;
  std::size_t out_len_;
  bool unwraps_;
  bool wraps_;
  bool check_only_;
  SecretBuffer memory_;
  aesni::KwState* state_;
};

bool is_kw_side(const std::optional<WrapSide>& side) {
  return !side || side->algorithm == WrapAlgorithm::kKw || side->algorithm == WrapAlgorithm::kKwp;
}

}  // namespace

bool is_fused_kw(const TransformSpec& spec) {
  const std::size_t semiblocks = spec.key_len / kSemiblockLen;
  return spec.key_len % kSemiblockLen == 0 && semiblocks >= aesni::kMinSemiblocks &&
         semiblocks <= aesni::kMaxSemiblocks && is_kw_side(spec.from) && is_kw_side(spec.to);
}

Result<std::unique_ptr<Transform>> make_fused_kw(const aesni::KwKernel& kernel,
                                                 const TransformSpec& spec) {
  REWRAP_ASSIGN(SecretBuffer memory, SecretBuffer::create(sizeof(aesni::KwState)));
  return std::unique_ptr<Transform>(std::make_unique<FusedKw>(kernel, spec, std::move(memory)));
}

}  // namespace rewrap
