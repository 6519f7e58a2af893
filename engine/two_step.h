// Two transforms in a row: keys are opened into locked memory by one and wrapped by the other. For
// pairs of algorithms that no single transform serves.
#ifndef REWRAP_ENGINE_TWO_STEP_H_
#define REWRAP_ENGINE_TWO_STEP_H_

#include <functional>
#include <memory>
#include <optional>

#include "engine/transform.h"

namespace rewrap {

// RunIvs stands between a source of IVs and a wrapper that sees a run in pieces: it takes the
// numbers of the whole run at once, so that they are in a row and that a run for which there are
// too few does nothing at all.
class RunIvs {
 public:
  explicit RunIvs(IvSource* source) : source_(source) {
    if (source_ != nullptr) run_.emplace(source_->fixed_field(), 0, 0);
  }
  RunIvs(const RunIvs&) = delete;
  RunIvs& operator=(const RunIvs&) = delete;

  // for_wrapper is what the wrapper takes its numbers from; null if there is no source.
  [[nodiscard]] IvSource* for_wrapper() { return run_ ? &*run_ : nullptr; }

  // begin_run takes the numbers of `num_keys` keys. Errors: kExhausted.
  Status begin_run(std::size_t num_keys) {
    if (source_ == nullptr) return {};
    REWRAP_ASSIGN(const std::uint64_t first, source_->take(num_keys));
    run_.emplace(source_->fixed_field(), first, first + num_keys);  // in the same place
    return {};
  }

 private:
  IvSource* source_;
  std::optional<IvSource> run_;
};

// make_two_step runs `unwrap` (wraps in, key bytes out) and then `wrap` (key bytes in, wraps out).
// `ivs` is what `wrap` was given for its IVs, or null. The key bytes in between are in a
// SecretBuffer, a bounded number at a time, wiped after every run. A key that does not open costs
// the same, takes a number as well, and comes out as zeros.
// Errors: kInvalidArgument  the two do not meet in one key length
//         kExhausted        no locked memory
Result<std::unique_ptr<Transform>> make_two_step(std::unique_ptr<Transform> unwrap,
                                                 std::unique_ptr<Transform> wrap,
                                                 std::unique_ptr<RunIvs> ivs);

// MakeTransform is what an implementation makes transforms by.
using MakeTransform = std::function<Result<std::unique_ptr<Transform>>(const TransformSpec& spec)>;

// make_in_two_steps serves a valid spec with both sides by `make`, each side on its own. Errors: as
// make_two_step and `make`.
Result<std::unique_ptr<Transform>> make_in_two_steps(const TransformSpec& spec,
                                                     const MakeTransform& make);

}  // namespace rewrap

#endif  // REWRAP_ENGINE_TWO_STEP_H_
