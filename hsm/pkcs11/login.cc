// The one login.
#include "hsm/pkcs11/login.h"

#include <utility>

#include "hsm/pkcs11/error.h"
#include "hsm/pkcs11/login_policy.h"
#include "hsm/secret_file.h"

namespace rewrap {
namespace {

constexpr int kMaxUnanswered = 3;

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

// LoginNeed is what the token says before a login.
struct LoginNeed {
  bool needed = false;
  CK_FLAGS flags = 0;  // the token's
};

Result<LoginNeed> ask_need(Session& session) {
  CK_FUNCTION_LIST& api = session.api();
  CK_TOKEN_INFO token{};
  REWRAP_TRY(check(api.C_GetTokenInfo(session.slot(), &token), "C_GetTokenInfo",
                   "the token does not answer"));
  REWRAP_ASSIGN(const bool logged_in, session.is_logged_in());
  return LoginNeed{.needed = !logged_in && (token.flags & CKF_LOGIN_REQUIRED) != 0,
                   .flags = token.flags};
}

CK_RV try_pin(Session& session, SecretBuffer& pin) {
  const ByteSpan bytes = pin.expose_secret();
  return session.api().C_Login(session.handle(), CKU_USER, bytes.data(), bytes.size());
}

bool is_refusal(CK_RV rv) { return ckr_code(rv) == Errc::kDenied; }

}  // namespace

Status log_in(Session& session, const Pkcs11Uri& uri, const RootOptions& options) {
  REWRAP_ASSIGN(const LoginNeed need, ask_need(session));
  if (!need.needed) return {};
  REWRAP_TRY(login_allowed(pin_state_of(need.flags), options.allow_final_pin_try));
  REWRAP_ASSIGN(SecretBuffer pin, get_pin(session, uri, options, need.flags));
  const std::lock_guard lock(session.module().call_mutex());  // not while somebody types a PIN
  REWRAP_TRY(session.check_process());
  const CK_RV rv = try_pin(session, pin);
  REWRAP_TRY(judge_login(rv));
  // Where somebody else was faster, nobody has looked at this PIN; theirs is kept.
  if (rv == CKR_OK && !pin.empty())
    session.module().keep_pin(session.token().serial, std::move(pin));
  return {};
}

Status log_in_again(Session& session, bool allow_final_pin_try) {
  REWRAP_ASSIGN(const LoginNeed need, ask_need(session));
  if (!need.needed) return {};
  REWRAP_TRY(login_allowed(pin_state_of(need.flags), allow_final_pin_try));
  const std::string& serial = session.token().serial;
  Module::KeptPin* kept = session.module().kept_pin(serial);
  if (kept == nullptr) {
    return {Errc::kDenied, "the token has forgotten the login, and no PIN is kept for another one",
            "run this again, and give the PIN by pin-source or at the prompt"};
  }
  // The flag was not raised by us: a PIN that is kept was the right one, and one that is refused is
  // not kept. So the PIN may have been changed, and trying ours could be one try too many.
  if ((need.flags & CKF_USER_PIN_COUNT_LOW) != 0) {
    return {
        Errc::kDenied, "somebody gave the token a wrong PIN, so no second login was tried",
        "check that the PIN is still the same; a right login by hand clears the token's warning"};
  }
  if (kept->num_unanswered >= kMaxUnanswered) {
    return {Errc::kDenied, "the token did not answer three logins in a row, so no more are tried",
            "check the token with its maker's tool, then run this again"};
  }
  ++kept->num_unanswered;
  const CK_RV rv = try_pin(session, kept->pin);
  if (is_refusal(rv)) {
    session.module().forget_pin(serial);
  } else if (judge_login(rv).ok()) {
    kept->num_unanswered = 0;
  }
  return judge_login(rv);
}

}  // namespace rewrap
