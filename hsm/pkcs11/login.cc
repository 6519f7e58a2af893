// The one login.
#include "hsm/pkcs11/login.h"

#include "hsm/pkcs11/error.h"
#include "hsm/pkcs11/login_policy.h"
#include "hsm/secret_file.h"

namespace rewrap {
namespace {

// get_pin gives an empty buffer where the token has a pad of its own.
Result<SecretBuffer> get_pin(const Session& session, const Pkcs11Uri& uri,
                             const RootOptions& options, CK_FLAGS flags) {
  if (!uri.pin_file.empty()) return read_pin_file(uri.pin_file);
  if ((flags & CKF_PROTECTED_AUTHENTICATION_PATH) != 0) return SecretBuffer();
  if (!options.ask_pin) {
    return Status(Errc::kDenied, "the token needs a PIN, and the URI does not say where it is",
                  "add &pin-source=file:/absolute/path to the URI");
  }
  REWRAP_ASSIGN(SecretBuffer pin, options.ask_pin(session.token().label));
  if (pin.empty() || pin.size() > kMaxPinLen)
    return Status(Errc::kInvalidArgument, "a PIN has 1 to 256 bytes");
  return pin;
}

Status judge_login(CK_RV rv) {
  constexpr Literal kHint =
      "check the PIN, and the file that pin-source names, before you run this again";
  switch (rv) {
    case CKR_USER_ALREADY_LOGGED_IN:  // by another session of this process
      return {};
    case CKR_PIN_INCORRECT:
    case CKR_PIN_INVALID:
    case CKR_PIN_LEN_RANGE:
      return check(rv, "C_Login",
                   "the token refused the PIN; one try was made and none will follow", kHint);
    case CKR_PIN_LOCKED:
      return check(rv, "C_Login", "the token's user PIN is locked",
                   "the security officer can unlock it with its maker's tool");
    default:
      return check(rv, "C_Login", "the login failed; one try was made and none will follow", kHint);
  }
}

}  // namespace

Status log_in(Session& session, const Pkcs11Uri& uri, const RootOptions& options) {
  CK_FUNCTION_LIST& api = session.api();
  CK_TOKEN_INFO token{};
  REWRAP_TRY(check(api.C_GetTokenInfo(session.slot(), &token), "C_GetTokenInfo",
                   "the token does not answer"));
  CK_SESSION_INFO info{};
  REWRAP_TRY(check(api.C_GetSessionInfo(session.handle(), &info), "C_GetSessionInfo",
                   "the token does not answer"));
  const bool logged_in = info.state == CKS_RO_USER_FUNCTIONS || info.state == CKS_RW_USER_FUNCTIONS;
  if (logged_in || (token.flags & CKF_LOGIN_REQUIRED) == 0) return {};
  REWRAP_TRY(login_allowed(pin_state_of(token.flags), options.allow_final_pin_try));
  REWRAP_ASSIGN(SecretBuffer pin, get_pin(session, uri, options, token.flags));
  const ByteSpan bytes = pin.expose_secret();
  return judge_login(api.C_Login(session.handle(), CKU_USER, bytes.data(), bytes.size()));
}

}  // namespace rewrap
