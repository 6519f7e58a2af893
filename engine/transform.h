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
#include "engine/iv_source.h"
#include "engine/kek.h"
#include "engine/wrap_algorithm.h"

namespace rewrap {

// Verdict of one key of a batch. Which of the checks failed is not told (SP 800-38F: FAIL).
inline constexpr std::uint8_t kIntact = 0;
inline constexpr std::uint8_t kDamaged = 1;

// AadColumn is the part of the additional authenticated data (SP 800-38D) that differs from key to
// key: that of key i is bytes[i * stride, i * stride + len). Only GCM wraps have any.
struct AadColumn {
  ByteView bytes;
  std::size_t len = 0;
  std::size_t stride = 0;

  [[nodiscard]] ByteView of(std::size_t key) const {
    return len == 0 ? ByteView() : bytes.subspan(key * stride, len);
  }
  // skip gives the column without the data of the first `num_keys` keys.
  [[nodiscard]] AadColumn skip(std::size_t num_keys) const {
    if (len == 0) return {};
    return {bytes.subspan(num_keys * stride), len, stride};
  }
};

// Batch is the work of one run: verdicts.size() keys, back to back in `in` and `out`.
struct Batch {
  ByteView in;
  ByteSpan out;
  ByteSpan verdicts;
  AadColumn from_aad;  // of the wraps in `in`
  AadColumn to_aad;    // for the wraps in `out`
};

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

  // run does a batch. `out` may be the start of `in` only if both lengths are equal; any other
  // overlap is not allowed. For each key the verdict is kIntact, or kDamaged and its output is all
  // zero; the other keys are not affected. Time does not depend on key bytes nor on verdicts.
  // Errors: kInvalidArgument  the lengths do not fit; nothing was done
  //         kExhausted        the KEK has no IVs left (GCM, IvSource); nothing was done
  //         any other         the cipher failed; `out` and `verdicts` are unspecified
  Status run(const Batch& batch);
  Status run(ByteView in, ByteSpan out, ByteSpan verdicts) {
    return run(Batch{in, out, verdicts, {}, {}});
  }

 private:
  // transform does a batch of at least one key, whose lengths fit.
  virtual Status transform(const Batch& batch) = 0;
};

// GcmSide is what a GCM side has beyond its KEK.
struct GcmSide {
  ByteView aad_prefix;      // stands before every key's own AAD; copied when the transform is made
  IvSource* ivs = nullptr;  // needed where keys are wrapped; must outlive the transform
};

// WrapSide is one end of a transform: the keys are wrapped so, under this KEK.
struct WrapSide {
  WrapAlgorithm algorithm = WrapAlgorithm::kKw;
  const Kek* kek = nullptr;  // read while the transform is made, not kept
  GcmSide gcm = {};
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

// has_gcm says whether a side is GCM.
inline bool has_gcm(const TransformSpec& spec) {
  const auto is_gcm = [](const std::optional<WrapSide>& side) {
    return side && side->algorithm == WrapAlgorithm::kGcm;
  };
  return is_gcm(spec.from) || is_gcm(spec.to);
}

// validate checks a spec by the rules above and is_wrappable. Errors: kInvalidArgument.
Status validate(const TransformSpec& spec);

}  // namespace rewrap

#endif  // REWRAP_ENGINE_TRANSFORM_H_
