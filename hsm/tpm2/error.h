// libtss2's return values as Status: a code for the caller, the name and number for the log. Pure,
// any thread.
#ifndef REWRAP_HSM_TPM2_ERROR_H_
#define REWRAP_HSM_TPM2_ERROR_H_

#include <cstdint>
#include <string>

#include "engine/base/status.h"

namespace rewrap {

// tpm_error takes the layer and the number of the parameter, handle or session out of a TPM's own
// return value: 0x98e (TPM_RC_AUTH_FAIL, session 1) and 0x8e are one error. Values of libtss2 itself
// stay as they are.
std::uint32_t tpm_error(std::uint32_t rc);

// tpm_error_name gives the specification's name, e.g. "TPM_RC_AUTH_FAIL"; "TPM_RC_?" outside the
// table.
const char* tpm_error_name(std::uint32_t rc);

// tpm_code says what the caller can do about it.
Errc tpm_code(std::uint32_t rc);

// check_tpm is ok for 0, else the failure of the C function `call`, with tpm_code's code. Errors that
// mean the same everywhere (no TPM, no room in it, a lockout) bring their own message and hint.
Status check_tpm(std::uint32_t rc, Literal call, Literal message, Literal hint = "");

// fail_tpm does the same with a code that the caller knows better and, after the error's name,
// `detail`: what only this TPM, at this moment, can tell (PCRs, times). The text is kept for ever, so
// it must come from a small set; after 256 different ones `detail` is left out.
Status fail_tpm(Errc code, std::uint32_t rc, const std::string& detail, Literal call,
                Literal message, Literal hint = "");

}  // namespace rewrap

#endif  // REWRAP_HSM_TPM2_ERROR_H_
