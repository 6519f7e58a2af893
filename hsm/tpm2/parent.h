// The storage key under which KEKs are sealed: a primary key of the owner hierarchy, persistent or
// made anew each time from one template. One thread at a time.
#ifndef REWRAP_HSM_TPM2_PARENT_H_
#define REWRAP_HSM_TPM2_PARENT_H_

#include "hsm/tpm2/tpm.h"

namespace rewrap {

struct Parent {
  TpmHandle handle;
  Bytes name;  // the TPM's name for it: a digest over its public part
};

// find_parent gives the persistent key at `handle`, or with 0 the primary key of the template: ECC
// P-256, restricted decryption, AES-128-CFB, noDA, empty unique: the same key each time, as long as
// the owner hierarchy is not cleared (TPM2_Clear).
// Errors: kNotFound  nothing is at `handle`
//         kRefused   what is there is not a storage key that stays in its TPM
//         kDenied    the owner hierarchy has a password (only asked for with 0)
Result<Parent> find_parent(Tpm& tpm, std::uint32_t handle);

// persist_parent puts the template's key at `handle`; nothing happens if it is there already.
// Errors: kAlreadyExists if another key is there, else as find_parent.
Status persist_parent(Tpm& tpm, std::uint32_t handle);

}  // namespace rewrap

#endif  // REWRAP_HSM_TPM2_PARENT_H_
