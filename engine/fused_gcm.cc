// Between a Transform and the GCM kernels: schedules in secret memory, IVs, and the choice of path.
#include "engine/fused_gcm.h"

#include <new>
#include <utility>

#include "aesni/gcm.h"

namespace rewrap {
namespace {

static_assert(kIntact == 0 && kDamaged == 1, "as the kernels write them");
static_assert(kGcmIvFieldLen == aesni::kGcmBlockLen && kGcmTagLen == aesni::kGcmBlockLen,
              "the record as the kernels know it");

struct Schedules {
  aesni::GcmSchedule from;
  aesni::GcmSchedule to;
};

class FusedGcm final : public Transform {
 public:
  FusedGcm(const aesni::GcmKernels& kernels, const TransformSpec& spec,
           std::unique_ptr<Transform> fallback, SecretBuffer memory)
      : kernels_(kernels),
        key_len_(spec.key_len),
        unwraps_(spec.from.has_value()),
        ivs_(spec.to ? spec.to->gcm.ivs : nullptr),
        check_only_(spec.check_only),
        fallback_(std::move(fallback)),
        memory_(std::move(memory)),
        schedules_(new (memory_.expose_secret().data()) Schedules) {
    if (spec.from) set_up(&schedules_->from, *spec.from);
    if (spec.to) set_up(&schedules_->to, *spec.to);
  }

  [[nodiscard]] std::size_t in_len() const override {
    return unwraps_ ? wrapped_len(WrapAlgorithm::kGcm, key_len_) : key_len_;
  }
  [[nodiscard]] std::size_t out_len() const override {
    if (check_only_) return 0;
    return ivs_ != nullptr ? wrapped_len(WrapAlgorithm::kGcm, key_len_) : key_len_;
  }

 private:
  void set_up(aesni::GcmSchedule* schedule, const WrapSide& side) const {
    const ByteView prefix = side.gcm.aad_prefix;
    kernels_.set_up(schedule, side.kek->expose_secret().data(),
                    {key_len_, prefix.data(), prefix.size()});
  }

  // The kernels read one block of additional data per key, for both sides at once.
  [[nodiscard]] bool fits_kernels(const Batch& batch) const {
    const AadColumn& aad = unwraps_ ? batch.from_aad : batch.to_aad;
    if (aad.len != aesni::kGcmBlockLen) return false;
    return !unwraps_ || ivs_ == nullptr ||
           (batch.to_aad.bytes.data() == aad.bytes.data() && batch.to_aad.len == aad.len &&
            batch.to_aad.stride == aad.stride);
  }

  Status transform(const Batch& batch) override {
    if (!fits_kernels(batch)) return fallback_->run(batch);
    const AadColumn& aad = unwraps_ ? batch.from_aad : batch.to_aad;
    aesni::GcmBatch work = {};
    work.key_len = key_len_;
    work.num_keys = batch.verdicts.size();
    work.in = batch.in.data();
    work.out = batch.out.data();
    work.verdicts = batch.verdicts.data();
    work.aad = aad.bytes.data();
    work.aad_stride = aad.stride;
    if (ivs_ != nullptr) {
      REWRAP_ASSIGN(work.iv_first_invocation, ivs_->take(work.num_keys));
      work.iv_fixed_field = ivs_->fixed_field();
    }
    if (check_only_) {
      kernels_.check(schedules_->from, work);
    } else if (ivs_ == nullptr) {
      kernels_.unwrap(schedules_->from, work);
    } else if (unwraps_) {
      kernels_.rewrap(schedules_->from, schedules_->to, work);
    } else {
      kernels_.wrap(schedules_->to, work);
    }
    return {};
  }

  const aesni::GcmKernels& kernels_;
  std::size_t key_len_;
  bool unwraps_;
  IvSource* ivs_;  // null: does not wrap
  bool check_only_;
  std::unique_ptr<Transform> fallback_;
  SecretBuffer memory_;
  Schedules* schedules_;  // in memory_
};

bool is_gcm_side(const std::optional<WrapSide>& side) {
  return !side ||
         (side->algorithm == WrapAlgorithm::kGcm && side->kek->len() == aesni::kGcmKekLen &&
          side->gcm.aad_prefix.size() % aesni::kGcmBlockLen == 0);
}

}  // namespace

bool is_fused_gcm(const TransformSpec& spec) {
  return is_dek_len(spec.key_len) && is_gcm_side(spec.from) && is_gcm_side(spec.to);
}

Result<std::unique_ptr<Transform>> make_fused_gcm(const aesni::GcmKernels& kernels,
                                                  const TransformSpec& spec,
                                                  std::unique_ptr<Transform> fallback) {
  REWRAP_ASSIGN(SecretBuffer memory, SecretBuffer::create(sizeof(Schedules)));
  return std::unique_ptr<Transform>(
      std::make_unique<FusedGcm>(kernels, spec, std::move(fallback), std::move(memory)));
}

}  // namespace rewrap
