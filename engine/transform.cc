// What all transforms check before they work.
#include "engine/transform.h"

namespace rewrap {
namespace {

bool covers(const AadColumn& aad, std::size_t num_keys) {
  return aad.len == 0 ||
         (aad.stride >= aad.len && aad.bytes.size() >= (num_keys - 1) * aad.stride + aad.len);
}

}  // namespace

Status validate(const TransformSpec& spec) {
  if (!spec.from && !spec.to)
    return Status(Errc::kInvalidArgument, "a transform needs a wrapped side");
  if (spec.check_only && (!spec.from || spec.to)) {
    return Status(Errc::kInvalidArgument, "a check has a wrapped input and no output");
  }
  for (const auto* side : {&spec.from, &spec.to}) {
    if (!*side) continue;
    if ((*side)->kek == nullptr)
      return Status(Errc::kInvalidArgument, "a wrapped side needs its KEK");
    if (!is_wrappable((*side)->algorithm, spec.key_len)) {
      return Status(Errc::kInvalidArgument, "this key length cannot be wrapped by this algorithm");
    }
  }
  if (spec.to && spec.to->algorithm == WrapAlgorithm::kGcm && spec.to->gcm.ivs == nullptr) {
    return Status(Errc::kInvalidArgument, "GCM wraps need a source of IVs");
  }
  return {};
}

Status Transform::run(const Batch& batch) {
  const std::size_t num_keys = batch.verdicts.size();
  if (batch.in.size() != num_keys * in_len() || batch.out.size() != num_keys * out_len()) {
    return Status(Errc::kInvalidArgument, "batch lengths do not fit the number of keys");
  }
  if (num_keys == 0) return {};
  if (!covers(batch.from_aad, num_keys) || !covers(batch.to_aad, num_keys)) {
    return Status(Errc::kInvalidArgument, "the additional data does not fit the number of keys");
  }
  return transform(batch);
}

}  // namespace rewrap
