// Transforms and new keys, wherever the KEKs are: here, in a token for bulk AES, or in a token that
// keeps the DEKs as well. What everybody above the engine calls.
#ifndef REWRAP_ENGINE_MAKE_TRANSFORM_H_
#define REWRAP_ENGINE_MAKE_TRANSFORM_H_

#include <memory>

#include "engine/implementation.h"
#include "engine/transform.h"

namespace rewrap {

// make_transform makes what serves `spec`:
//   no KEK in a token           `implementation`
//   TokenCustody::kKekInToken   step-sliced key wrap (step_sliced.h) or batched GCM (batched_gcm.h)
//                               over the token's AES-ECB; the keys pass through locked memory here
//   TokenCustody::kInToken      key by key inside the token (in_token.h)
// Two sides that no single one of these serves work one after the other (two_step.h).
// Errors: kInvalidArgument  as validate, and make_in_token
//         kRefused          DEKs would leave a token that is there to keep them
//         kExhausted        no locked memory
//         the token's own
Result<std::unique_ptr<Transform>> make_transform(const Implementation& implementation,
                                                  const TransformSpec& spec);

// make_wrapped_keys makes new random keys of `key_len` bytes and gives only their wraps, back to
// back; key i is bound to aad.of(i) if `to` is GCM. Under a KEK that keeps DEKs in its token they
// are made there; else here, in locked memory, wiped at once. Errors: as make_transform and
// Transform::run.
Status make_wrapped_keys(const Implementation& implementation, const WrapSide& to,
                         std::size_t key_len, const AadColumn& aad, ByteSpan wraps);

}  // namespace rewrap

#endif  // REWRAP_ENGINE_MAKE_TRANSFORM_H_
