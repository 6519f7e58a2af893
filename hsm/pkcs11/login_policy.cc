// The decision before a login.
#include "hsm/pkcs11/login_policy.h"

#include "hsm/pkcs11/cryptoki.h"

namespace rewrap {

PinState pin_state_of(unsigned long token_flags) {
  return {
      .token_initialized = (token_flags & CKF_TOKEN_INITIALIZED) != 0,
      .user_pin_set = (token_flags & CKF_USER_PIN_INITIALIZED) != 0,
      .locked = (token_flags & CKF_USER_PIN_LOCKED) != 0,
      .final_try = (token_flags & CKF_USER_PIN_FINAL_TRY) != 0,
  };
}

Status login_allowed(const PinState& state, bool allow_final_pin_try) {
  if (!state.token_initialized) {
    return {Errc::kNotFound, "the token is not initialised", "initialise it with its maker's tool"};
  }
  if (!state.user_pin_set) {
    return {Errc::kNotFound, "the token has no user PIN yet", "set one with its maker's tool"};
  }
  if (state.locked) {
    return {Errc::kDenied, "the token's user PIN is locked",
            "the security officer can unlock it with its maker's tool"};
  }
  if (state.final_try && !allow_final_pin_try) {
    return {Errc::kDenied, "one more wrong PIN locks the token, so no login was tried",
            "check the PIN by hand; then allow the final PIN try"};
  }
  return {};
}

}  // namespace rewrap
