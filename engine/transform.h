// A transform moves a batch of keys of one size from one wrapping to another: wrap, unwrap, check
// or re-wrap. Lengths are bytes. A Transform belongs to one thread; make one per thread, they share
// nothing.
#ifndef REWRAP_ENGINE_TRANSFORM_H_
#define REWRAP_ENGINE_TRANSFORM_H_

#include <cstddef>
#include <cstdint>
#include <optional>

#include "engine/base/bytes.h"
#include "engine/base/status.h"
#include "engine/kek.h"
#include "engine/wrap_algorithm.h"

namespace rewrap {

// Verdict of one key of a batch. Which of the checks failed is not told (SP 800-38F: FAIL).
inline constexpr std::uint8_t kIntact = 0;
inline constexpr std::uint8_t kDamaged = 1;

class Transform {
 public:
  Transform() = default;
  Transform(const Transform&) = delete;
  Transform& operator=(const Transform&) = delete;
  virtual ~Transform() = default;

  // in_len and out_len are the bytes of one key on either side; out_len is 0 if the transform only
  // checks.
  [[nodiscard]] virtual std::size_t in_len() const = 0;
  [[nodiscard]] virtual std::size_t out_len() const = 0;

  // run treats verdicts.size() keys, back to back in `in` and `out`. `out` may be the start of `in`
  // only if both lengths are equal; any other overlap is not allowed. For each key the verdict is
  // kIntact, or kDamaged and its output is all zero; the other keys are not affected. Time does not
  // depend on key bytes nor on verdicts. Errors: kInvalidArgument  the lengths do not fit; nothing
  // was done
  //         any other         the cipher failed; `out` and `verdicts` are unspecified
  virtual Status run(ByteView in, ByteSpan out, ByteSpan verdicts) = 0;
};

// WrapSide is one end of a transform: the keys are wrapped so, under this KEK.
struct WrapSide {
  WrapAlgorithm algorithm = WrapAlgorithm::kKw;
  const Kek* kek = nullptr;  // read while the transform is made, not kept
};

// TransformSpec says what a transform does by which ends it has.
//   from and to: re-wrap        only to: wrap (the input is key bytes)
//   only from:   unwrap (the output is key bytes), or with `check_only` just the verdicts
struct TransformSpec {
  std::size_t key_len = 0;
  std::optional<WrapSide> from;
  std::optional<WrapSide> to;
  bool check_only = false;
};

// validate checks a spec by the rules above and is_wrappable. Errors: kInvalidArgument.
Status validate(const TransformSpec& spec);

}  // namespace rewrap

#endif  // REWRAP_ENGINE_TRANSFORM_H_
