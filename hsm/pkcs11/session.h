// One session on one token, found by what its URI names, logged in. Belongs to one thread at a
// time.
#ifndef REWRAP_HSM_PKCS11_SESSION_H_
#define REWRAP_HSM_PKCS11_SESSION_H_

#include <memory>
#include <string>

#include "hsm/pkcs11/module.h"
#include "hsm/pkcs11/uri.h"
#include "hsm/root.h"

namespace rewrap {

// TokenIdentity is what the token says about itself, without the padding.
struct TokenIdentity {
  std::string label;
  std::string manufacturer;
  std::string model;
  std::string serial;
  std::string hardware;  // version, e.g. "2.6"
  std::string firmware;
};

enum class SessionMode { kReadOnly, kReadWrite };

class Session {
 public:
  // open loads the module, finds the one token, opens a session and logs in. Errors as open_root.
  static Result<std::unique_ptr<Session>> open(const Pkcs11Uri& uri, SessionMode mode,
                                               const RootOptions& options);

  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  // Closes this session only. There is no C_Logout: the login is the token's, and would be taken
  // from other sessions too.
  ~Session();

  // close closes the session now; nothing else may be called then.
  void close();

  // replace_handle opens a new session and closes the old one after it, since a token whose last
  // session closes forgets the login. Session objects of the old one are gone.
  // Errors: kUnavailable and others that C_OpenSession gives
  Status replace_handle();

  // mode is that of the session that is open; the next one, by replace_handle or reconnect, will be of
  // the mode set last.
  [[nodiscard]] SessionMode mode() const { return mode_; }
  void set_next_mode(SessionMode mode) { next_mode_ = mode; }

  // renew does replace_handle, which ends whatever operation was left open (2.40 has
  // no cancel), and shows that the token still answers.
  // Errors: kUnavailable  the token does not answer, or has forgotten the login
  Status renew();

  // reconnect restarts the module (or uses the restart that somebody else has done since), finds the
  // same token again by its serial number, opens a session and logs in with the PIN that was kept.
  // Handles from before are gone. Hold module().call_mutex().
  // Errors: kUnavailable, kNotFound  the token is not there, or does not answer: try again later
  //         kDenied                  no login (log_in_again)
  Status reconnect(bool allow_final_pin_try);

  // is_logged_in asks the token.
  Result<bool> is_logged_in();

  // check_process is to be asked before any use of handle(): kUnavailable in a forked child, and
  // where another user of the module restarted it, so that the handle may be anybody's now.
  [[nodiscard]] Status check_process() const;
  [[nodiscard]] CK_FUNCTION_LIST& api() const { return module_->api(); }
  [[nodiscard]] Module& module() const { return *module_; }
  [[nodiscard]] CK_SESSION_HANDLE handle() const { return handle_; }
  [[nodiscard]] CK_SLOT_ID slot() const { return slot_; }
  [[nodiscard]] const TokenIdentity& token() const { return token_; }

 private:
  Session(std::unique_ptr<Module> module, SessionMode mode)
      : module_(std::move(module)), mode_(mode), next_mode_(mode) {}

  Status find_token(const Pkcs11Uri& uri);
  Status connect(const Pkcs11Uri& uri);
  Status connect_patiently(const Pkcs11Uri& uri);
  Result<CK_SESSION_HANDLE> open_handle();

  std::unique_ptr<Module> module_;  // outlives the session
  SessionMode mode_;
  SessionMode next_mode_;
  std::uint64_t epoch_ = 0;  // of the module, when handle_ was made
  CK_SLOT_ID slot_ = 0;
  CK_SESSION_HANDLE handle_ = CK_INVALID_HANDLE;
  TokenIdentity token_;
};

}  // namespace rewrap

#endif  // REWRAP_HSM_PKCS11_SESSION_H_
