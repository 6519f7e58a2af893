// The chunks of a two-step run, and the verdict of both halves.
#include "engine/two_step.h"

#include <algorithm>
#include <array>
#include <utility>

namespace rewrap {
namespace {

constexpr std::size_t kMaxLanes = 512;
constexpr std::size_t kMaxScratchLen = std::size_t{256} << 10;

class TwoStep final : public Transform {
 public:
  TwoStep(std::unique_ptr<Transform> unwrap, std::unique_ptr<Transform> wrap,
          std::unique_ptr<RunIvs> ivs, std::size_t lanes, SecretBuffer scratch)
      : unwrap_(std::move(unwrap)),
        wrap_(std::move(wrap)),
        ivs_(std::move(ivs)),
        lanes_(lanes),
        scratch_(std::move(scratch)) {}

  [[nodiscard]] std::size_t in_len() const override { return unwrap_->in_len(); }
  [[nodiscard]] std::size_t out_len() const override { return wrap_->out_len(); }

 private:
  Status transform(const Batch& batch) override {
    const std::size_t num_keys = batch.verdicts.size();
    if (ivs_) REWRAP_TRY(ivs_->begin_run(num_keys));
    Status status;
    for (std::size_t done = 0; status.ok() && done < num_keys; done += lanes_) {
      const std::size_t lanes = std::min(lanes_, num_keys - done);
      status = run_lanes({batch.in.subspan(done * in_len(), lanes * in_len()),
                          batch.out.subspan(done * out_len(), lanes * out_len()),
                          batch.verdicts.subspan(done, lanes), batch.from_aad.skip(done),
                          batch.to_aad.skip(done)});
    }
    wipe(scratch_.expose_secret());
    return status;
  }

  Status run_lanes(const Batch& batch) {
    const std::size_t lanes = batch.verdicts.size();
    const ByteSpan keys = scratch_.expose_secret().first(lanes * wrap_->in_len());
    std::array<std::uint8_t, kMaxLanes> wrapped{};
    const ByteSpan wrap_verdicts = ByteSpan(wrapped).first(lanes);
    REWRAP_TRY(unwrap_->run({batch.in, keys, batch.verdicts, batch.from_aad, {}}));
    REWRAP_TRY(wrap_->run({keys, batch.out, wrap_verdicts, {}, batch.to_aad}));
    for (std::size_t k = 0; k < lanes; ++k) {
      // What did not open stays damaged, whatever the wrapper made of its zeros.
      batch.verdicts[k] |= wrap_verdicts[k];
      const auto keep = static_cast<std::uint8_t>(batch.verdicts[k] - 1);
      for (std::uint8_t& byte : batch.out.subspan(k * out_len(), out_len())) byte &= keep;
    }
    return {};
  }

  std::unique_ptr<Transform> unwrap_;
  std::unique_ptr<Transform> wrap_;
  std::unique_ptr<RunIvs> ivs_;
  std::size_t lanes_;
  SecretBuffer scratch_;  // keys of one chunk
};

}  // namespace

Result<std::unique_ptr<Transform>> make_two_step(std::unique_ptr<Transform> unwrap,
                                                 std::unique_ptr<Transform> wrap,
                                                 std::unique_ptr<RunIvs> ivs) {
  const std::size_t key_len = unwrap->out_len();
  if (key_len == 0 || key_len > kMaxKeyLen || key_len != wrap->in_len() || wrap->out_len() == 0) {
    return Status(Errc::kInvalidArgument, "an unwrap and a wrap of one key length are needed");
  }
  const std::size_t lanes = std::min(kMaxLanes, kMaxScratchLen / key_len);
  REWRAP_ASSIGN(SecretBuffer scratch, SecretBuffer::create(lanes * key_len));
  return std::unique_ptr<Transform>(std::make_unique<TwoStep>(
      std::move(unwrap), std::move(wrap), std::move(ivs), lanes, std::move(scratch)));
}

Result<std::unique_ptr<Transform>> make_in_two_steps(const TransformSpec& spec,
                                                     const MakeTransform& make) {
  auto ivs = std::make_unique<RunIvs>(spec.to->gcm.ivs);
  WrapSide to = *spec.to;
  to.gcm.ivs = ivs->for_wrapper();
  REWRAP_ASSIGN(auto unwrap, make({spec.key_len, spec.from, std::nullopt, false}));
  REWRAP_ASSIGN(auto wrap, make({spec.key_len, std::nullopt, to, false}));
  return make_two_step(std::move(unwrap), std::move(wrap), std::move(ivs));
}

}  // namespace rewrap
