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

  // renew replaces the session by a new one, which ends whatever operation was left open (2.40 has
  // no cancel), and shows that the token still answers. Session objects of the old one are gone.
  // The new one is opened first, since a token whose last session closes forgets the login.
  // Errors: kUnavailable  the token does not answer, or has forgotten the login
  Status renew();

  [[nodiscard]] Status check_process() const { return module_->check_process(); }
  [[nodiscard]] CK_FUNCTION_LIST& api() const { return module_->api(); }
  [[nodiscard]] CK_SESSION_HANDLE handle() const { return handle_; }
  [[nodiscard]] CK_SLOT_ID slot() const { return slot_; }
  [[nodiscard]] const TokenIdentity& token() const { return token_; }

 private:
  Session(std::unique_ptr<Module> module, SessionMode mode)
      : module_(std::move(module)), mode_(mode) {}

  Status find_token(const Pkcs11Uri& uri);
  Status connect(const Pkcs11Uri& uri);
  Status connect_patiently(const Pkcs11Uri& uri);
  Result<CK_SESSION_HANDLE> open_handle();

  std::unique_ptr<Module> module_;  // outlives the session
  SessionMode mode_;
  CK_SLOT_ID slot_ = 0;
  CK_SESSION_HANDLE handle_ = CK_INVALID_HANDLE;
  TokenIdentity token_;
};

}  // namespace rewrap

#endif  // REWRAP_HSM_PKCS11_SESSION_H_
