// The NV counter that makes yesterday's protectors dead. One thread at a time.
#ifndef REWRAP_HSM_TPM2_COUNTER_H_
#define REWRAP_HSM_TPM2_COUNTER_H_

#include "hsm/tpm2/tpm.h"

namespace rewrap {

struct Counter {
  TpmHandle handle;
  std::uint64_t value = 0;
  bool is_new = false;  // it was never raised before, so nothing can be bound to it
};

// find_counter reads the counter at NV index `index`.
// Errors: kNotFound  no such index
//         kRefused   the index is not a counter, or not one that this program may read and raise
//                    with an empty auth value
Result<Counter> find_counter(Tpm& tpm, std::uint32_t index);

// find_or_define_counter makes the counter if there is none, and raises it once: it cannot be read
// before. A TPM starts every counter above the highest value that any counter of it, deleted ones
// too, ever had, so that deleting an index and making it anew rolls nothing back.
// Errors: kDenied if the owner hierarchy has a password, kExhausted if the TPM has no NV space.
Result<Counter> find_or_define_counter(Tpm& tpm, std::uint32_t index);

// increment_counter raises it by one, and reads it again into `counter`.
Status increment_counter(Tpm& tpm, Counter* counter);

}  // namespace rewrap

#endif  // REWRAP_HSM_TPM2_COUNTER_H_
