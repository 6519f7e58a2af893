// Key wrap over many keys at once by bulk AES-ECB (SP 800-38F §6.1, functions W and W^-1).
//
// Key wrap is a serial chain of 6n AES calls per key (n semiblocks), so one key at a time waits for
// the latency of every call. Here all keys of a batch take step t together: one ECB call over one
// block per key. Written once; whatever offers bulk ECB is an implementation.
#ifndef REWRAP_ENGINE_STEP_SLICED_H_
#define REWRAP_ENGINE_STEP_SLICED_H_

#include <memory>
#include <optional>

#include "engine/ecb_cipher.h"
#include "engine/transform.h"

namespace rewrap {

// SlicedSide is one end of a step-sliced transform.
struct SlicedSide {
  WrapAlgorithm algorithm = WrapAlgorithm::kKw;
  std::unique_ptr<EcbCipher> cipher;
};

// make_step_sliced builds the transform; ends as in TransformSpec. Its scratch, where unwrapped
// keys pass through, is a SecretBuffer that is wiped after every run. Errors: kInvalidArgument,
// kExhausted (no locked memory)
Result<std::unique_ptr<Transform>> make_step_sliced(std::size_t key_len,
                                                    std::optional<SlicedSide> from,
                                                    std::optional<SlicedSide> to, bool check_only);

}  // namespace rewrap

#endif  // REWRAP_ENGINE_STEP_SLICED_H_
