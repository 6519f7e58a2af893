// Whether a PIN may be tried now, decided from what the token says before the login. Pure, any
// thread.
#ifndef REWRAP_HSM_PKCS11_LOGIN_POLICY_H_
#define REWRAP_HSM_PKCS11_LOGIN_POLICY_H_

#include "engine/base/status.h"

namespace rewrap {

// PinState is CK_TOKEN_INFO's flags, as far as logging in goes.
struct PinState {
  bool token_initialized = false;
  bool user_pin_set = false;
  bool locked = false;
  bool final_try = false;  // one more wrong PIN locks, or erases, the token
};

// pin_state_of reads CK_TOKEN_INFO.flags.
PinState pin_state_of(unsigned long token_flags);

// login_allowed decides. A PIN is never worth the token: where the last try is left, a person has
// to say so.
// Errors: kNotFound  the token or its user PIN is not set up
//         kDenied    locked, or final try and not `allow_final_pin_try`
Status login_allowed(const PinState& state, bool allow_final_pin_try);

}  // namespace rewrap

#endif  // REWRAP_HSM_PKCS11_LOGIN_POLICY_H_
