// The one login: where the PIN comes from, and that it is tried once. Belongs to the session's
// thread.
#ifndef REWRAP_HSM_PKCS11_LOGIN_H_
#define REWRAP_HSM_PKCS11_LOGIN_H_

#include "hsm/pkcs11/session.h"

namespace rewrap {

// log_in logs the user in by exactly one C_Login, or none if the token needs none, is logged in
// already, or must not be tried (login_policy.h). The PIN comes from the URI's pin-source, else
// from options.ask_pin, else from the token's own pad.
// Errors: kDenied    wrong or locked PIN, final try, or nowhere to take a PIN from
//         kNotFound  no PIN file, or the token is not set up
Status log_in(Session& session, const Pkcs11Uri& uri, const RootOptions& options);

}  // namespace rewrap

#endif  // REWRAP_HSM_PKCS11_LOGIN_H_
