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
// A PIN that the token accepted is kept (module.h) for log_in_again.
Status log_in(Session& session, const Pkcs11Uri& uri, const RootOptions& options);

// log_in_again logs in with the PIN that the token accepted before, by one C_Login at most; nobody
// is asked. A PIN that is refused now is forgotten, so that it is never tried again. If the answer
// to a C_Login is lost, the next call tries once more, unless the token says that a wrong PIN was
// given, or three answers in a row were lost.
// Errors: kDenied       refused, locked, final try, or no PIN was kept
//         kUnavailable  the token does not answer
Status log_in_again(Session& session, bool allow_final_pin_try);

}  // namespace rewrap

#endif  // REWRAP_HSM_PKCS11_LOGIN_H_
