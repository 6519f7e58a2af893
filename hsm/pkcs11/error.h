// PKCS#11 return values as Status: a code for the caller, the name and number for the log. Pure,
// any thread.
#ifndef REWRAP_HSM_PKCS11_ERROR_H_
#define REWRAP_HSM_PKCS11_ERROR_H_

#include "engine/base/status.h"
#include "hsm/pkcs11/cryptoki.h"

namespace rewrap {

// ckr_name gives the standard's name, e.g. "CKR_PIN_INCORRECT"; "CKR_?" for values outside the
// table.
const char* ckr_name(CK_RV rv);

// ckr_code says what the caller can do about it. Codes that tokens use for several causes become
// kUnavailable.
Errc ckr_code(CK_RV rv);

// check is ok for CKR_OK, else the failure of the C function `call`, with ckr_code's code.
Status check(CK_RV rv, Literal call, Literal message, Literal hint = "");

// check_as does the same with a code that the caller knows better.
Status check_as(Errc code, CK_RV rv, Literal call, Literal message, Literal hint = "");

}  // namespace rewrap

#endif  // REWRAP_HSM_PKCS11_ERROR_H_
