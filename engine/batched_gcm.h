// AES-GCM wraps (SP 800-38D; the record is that of wrap_algorithm.h) by bulk AES-ECB: the counter
// blocks of many keys are encrypted in one call, and hashed here. For KEKs that stay in a token,
// where a call is dear.
#ifndef REWRAP_ENGINE_BATCHED_GCM_H_
#define REWRAP_ENGINE_BATCHED_GCM_H_

#include <memory>

#include "engine/ecb_cipher.h"
#include "engine/transform.h"

namespace rewrap {

// make_batched_gcm makes the transforms that have one side, and that GCM: wrap, unwrap and check.
// `cipher` holds the KEK of that side, whose own Kek is not looked at. Key i of a run is wrapped
// with invocation number first + i of its IvSource. The encrypted counters and the hash key are in
// a SecretBuffer; the counters are wiped after every run.
// Errors: kInvalidArgument  the spec is not valid, has two sides, or its side is not GCM
//         kExhausted        no locked memory; the cipher's own
Result<std::unique_ptr<Transform>> make_batched_gcm(const TransformSpec& spec,
                                                    std::unique_ptr<EcbCipher> cipher);

}  // namespace rewrap

#endif  // REWRAP_ENGINE_BATCHED_GCM_H_
