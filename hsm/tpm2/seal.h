// Sealing a secret in a TPM and getting it back (TPM 2.0 Library, Part 3: TPM2_Create, TPM2_Load,
// TPM2_Unseal). Lengths are bytes. One thread at a time.
//
// What the object demands        its attributes                   dictionary attack lockout
//   nothing but this TPM         userWithAuth, noDA               does not concern it
//   a PIN                        userWithAuth                     counts, and blocks
//   PCRs, a counter, or both     policy only, noDA                does not concern it
//   the same and a PIN           policy with PolicyAuthValue      counts, and blocks
// The order of a policy's parts is PCRs, counter, PIN: with PCRs and a PIN, what tpm2-tools' users
// make of tpm2_policypcr and tpm2_policypassword.
//
// Secrets cross the bus encrypted (AES-128-CFB), in sessions salted to the parent key; with a PIN
// alone the unsealing session is bound to the object too. Whoever sits on the bus and swaps the parent's
// public key is noticed by its name, which the blob holds.
#ifndef REWRAP_HSM_TPM2_SEAL_H_
#define REWRAP_HSM_TPM2_SEAL_H_

#include "hsm/tpm2/parent.h"
#include "hsm/tpm2/sealed_blob.h"
#include "hsm/tpm2/tpm.h"

namespace rewrap {

struct PinUse {
  ByteView pin;                  // 1 to 32 bytes, not ending in zero; empty where none is needed
  bool allow_final_try = false;  // try it even if one more wrong PIN locks the TPM
};

// check_pin refuses a PIN that a TPM would cut. Errors: kInvalidArgument.
Status check_pin(ByteView pin);

// seal makes the object for the terms in `*blob` (all but pub and priv, which it fills in): `secret`
// has 1 to 128 bytes.
Status seal(Tpm& tpm, const Parent& parent, ByteView secret, ByteView pin, SealedBlob* blob);

// unseal gives the secret back. The PIN is tried once; where a PCR that does not matter changes
// meanwhile, the session is made anew, once.
// Errors: kIntegrity  the object does not load under this parent: damaged, or another TPM's
//         kDenied     wrong PIN, locked TPM, final try, or other PCR values: the message says which
//         kUnavailable, kExhausted  the TPM fails, or has no room
Result<SecretBuffer> unseal(Tpm& tpm, const Parent& parent, const SealedBlob& blob,
                            const PinUse& pin);

// check_sealed loads the object and compares its policy with the blob's terms, as they would be
// computed anew, and its attributes with the table above: all that can be checked of a blob whose
// counter value is still to come. It spends no PIN try.
// Errors: kIntegrity  as unseal
//         kDenied     another policy
//         kRefused    the attributes would let someone go round the terms
Status check_sealed(Tpm& tpm, const Parent& parent, const SealedBlob& blob);

inline constexpr std::size_t kMaxSealedLen = 128;

}  // namespace rewrap

#endif  // REWRAP_HSM_TPM2_SEAL_H_
