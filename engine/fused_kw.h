// Key wrap by the fused kernels of aesni/: whole keys of a batch in the AES registers.
#ifndef REWRAP_ENGINE_FUSED_KW_H_
#define REWRAP_ENGINE_FUSED_KW_H_

#include <memory>

#include "engine/transform.h"

namespace rewrap::aesni {
struct KwKernel;
}  // namespace rewrap::aesni

namespace rewrap {

// is_fused_kw says whether the kernels serve a valid spec: KW or KWP on either side and a key of 16
// to 64 bytes in whole semiblocks.
bool is_fused_kw(const TransformSpec& spec);

// make_fused_kw builds the transform for a spec that is_fused_kw; the CPU must have what `kernel`
// needs. Key schedules and keys in flight live in one SecretBuffer. Errors: kExhausted (no locked
// memory)
Result<std::unique_ptr<Transform>> make_fused_kw(const aesni::KwKernel& kernel,
                                                 const TransformSpec& spec);

}  // namespace rewrap

#endif  // REWRAP_ENGINE_FUSED_KW_H_
