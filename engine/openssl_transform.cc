// Which of the three ways serves a spec.
#include "engine/openssl_transform.h"

#include <optional>
#include <utility>

#include "engine/openssl_gcm.h"
#include "engine/step_sliced.h"
#include "engine/two_step.h"

namespace rewrap {
namespace {

bool is_gcm(const std::optional<WrapSide>& side) {
  return side && side->algorithm == WrapAlgorithm::kGcm;
}

Result<std::optional<SlicedSide>> sliced_side(const std::optional<WrapSide>& side) {
  if (!side) return std::optional<SlicedSide>();
  REWRAP_ASSIGN(auto cipher, make_openssl_ecb(*side->kek));
  return std::optional<SlicedSide>(SlicedSide{side->algorithm, std::move(cipher)});
}

Result<std::unique_ptr<Transform>> make_in_two_steps(const TransformSpec& spec) {
  auto ivs = std::make_unique<RunIvs>(spec.to->gcm.ivs);
  WrapSide to = *spec.to;
  to.gcm.ivs = ivs->for_wrapper();
  REWRAP_ASSIGN(auto unwrap, make_openssl({spec.key_len, spec.from, std::nullopt, false}));
  REWRAP_ASSIGN(auto wrap, make_openssl({spec.key_len, std::nullopt, to, false}));
  return make_two_step(std::move(unwrap), std::move(wrap), std::move(ivs));
}

}  // namespace

Result<std::unique_ptr<Transform>> make_openssl(const TransformSpec& spec) {
  REWRAP_TRY(validate(spec));
  if (is_gcm(spec.from) || is_gcm(spec.to))
    return spec.from && spec.to ? make_in_two_steps(spec) : make_openssl_gcm(spec);
  REWRAP_ASSIGN(auto from, sliced_side(spec.from));
  REWRAP_ASSIGN(auto to, sliced_side(spec.to));
  return make_step_sliced(spec.key_len, std::move(from), std::move(to), spec.check_only);
}

}  // namespace rewrap
