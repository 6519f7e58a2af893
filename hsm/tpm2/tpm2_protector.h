// Between the protector, as every root has it, and the sealed blob inside. One thread at a time.
#ifndef REWRAP_HSM_TPM2_TPM2_PROTECTOR_H_
#define REWRAP_HSM_TPM2_TPM2_PROTECTOR_H_

#include <string>

#include "hsm/protector.h"
#include "hsm/tpm2/parent.h"
#include "hsm/tpm2/sealed_blob.h"
#include "hsm/tpm2/uri.h"

namespace rewrap {

// read_tpm_pin reads the PIN that the URI names; an empty buffer if it names none.
// Errors: as read_pin_file, and kInvalidArgument for a PIN that TPMs cut.
Result<SecretBuffer> read_tpm_pin(const Tpm2Uri& uri);

// terms_now is what the URI says a KEK is to be sealed to: the PCRs at the values they have now. It
// leaves the counter out.
Result<SealedBlob> terms_now(Tpm& tpm, const Parent& parent, const Tpm2Uri& uri);

// make_protector puts a sealed KEK of 16, 24 or 32 bytes, and its check value, into a protector.
// Errors: kInvalidArgument  another length, or the URI is too long to store
Result<Protector> make_protector(const std::string& uri, const SealedBlob& blob, ByteView kek,
                                 ByteView context);

// sealed_blob_of takes the blob out again.
// Errors: kUnsupported  another root's protector
//         kCorruption   the blob is damaged
Result<SealedBlob> sealed_blob_of(const Protector& protector);

}  // namespace rewrap

#endif  // REWRAP_HSM_TPM2_TPM2_PROTECTOR_H_
