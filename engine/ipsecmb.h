// Key wrap on Intel's multi-buffer library (libIPSec_MB): KW and KWP step-sliced over its AES-ECB
// jobs, GCM by its single calls. For CPUs that have AES instructions and no kernel of ours.
#ifndef REWRAP_ENGINE_IPSECMB_H_
#define REWRAP_ENGINE_IPSECMB_H_

#include <cstdint>
#include <memory>

#include "engine/ecb_cipher.h"
#include "engine/transform.h"

namespace rewrap {

// ipsecmb_runs says whether the library may be used in this process: it found the AES instructions
// and its own known-answer tests have passed. Asked of the library once, at the first call. Any
// thread.
bool ipsecmb_runs();

// ipsecmb_suffices is that rule over the library's IMB_FEATURE_... bits. Pure.
bool ipsecmb_suffices(std::uint64_t features);

// make_ipsecmb serves every valid spec; where GCM is one of two sides, in two steps (two_step.h).
// Each KW or KWP transform has a library manager of its own, about 200 KiB of locked memory.
// Errors: kInvalidArgument
//         kUnsupported  not ipsecmb_runs()
//         kExhausted    no locked memory
Result<std::unique_ptr<Transform>> make_ipsecmb(const TransformSpec& spec);

}  // namespace rewrap

#endif  // REWRAP_ENGINE_IPSECMB_H_
