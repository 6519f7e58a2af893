// AES-GCM wraps by the fused kernels of aesni/: batches of records in the AES registers.
#ifndef REWRAP_ENGINE_FUSED_GCM_H_
#define REWRAP_ENGINE_FUSED_GCM_H_

#include <memory>

#include "engine/transform.h"

namespace rewrap::aesni {
struct GcmKernels;
}  // namespace rewrap::aesni

namespace rewrap {

// is_fused_gcm says whether the kernels serve a valid spec: every side is GCM under a KEK of 32
// bytes with a prefix of whole blocks, and the key is a DEK's size.
bool is_fused_gcm(const TransformSpec& spec);

// make_fused_gcm builds the transform for a spec that is_fused_gcm; the CPU must have what
// `kernels` need. The kernels take batches whose keys have 16 bytes of additional data each, the
// same on both sides; `fallback`, made from the same spec, does all others. Key schedules live in a
// SecretBuffer. Errors: kExhausted (no locked memory)
Result<std::unique_ptr<Transform>> make_fused_gcm(const aesni::GcmKernels& kernels,
                                                  const TransformSpec& spec,
                                                  std::unique_ptr<Transform> fallback);

}  // namespace rewrap

#endif  // REWRAP_ENGINE_FUSED_GCM_H_
