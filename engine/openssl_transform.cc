// Which of the three ways serves a spec.
#include "engine/openssl_transform.h"

#include <optional>
#include <utility>

#include "engine/openssl_gcm.h"
#include "engine/step_sliced.h"
#include "engine/two_step.h"

namespace rewrap {
namespace {

Result<std::optional<SlicedSide>> sliced_side(const std::optional<WrapSide>& side) {
  if (!side) return std::optional<SlicedSide>();
  REWRAP_ASSIGN(auto cipher, make_openssl_ecb(*side->kek));
  return std::optional<SlicedSide>(SlicedSide{side->algorithm, std::move(cipher)});
}

}  // namespace

Result<std::unique_ptr<Transform>> make_openssl(const TransformSpec& spec) {
  REWRAP_TRY(validate(spec));
  if (has_gcm(spec)) {
    return spec.from && spec.to ? make_in_two_steps(spec, make_openssl) : make_openssl_gcm(spec);
  }
  REWRAP_ASSIGN(auto from, sliced_side(spec.from));
  REWRAP_ASSIGN(auto to, sliced_side(spec.to));
  return make_step_sliced(spec.key_len, std::move(from), std::move(to), spec.check_only);
}

}  // namespace rewrap
