// A loaded PKCS#11 module, initialised while it lives. All users of one library in this process
// share one initialisation: none finalises it for the others by going away, and one that has to
// restart it (a lost token comes back in no other way) restarts it for all. A user whose handles
// went in such a restart sees it by the epoch. A Module belongs to one thread at a time, except
// where said; it must go before main returns, because some modules crash when they are finalised
// after their own static objects.
#ifndef REWRAP_HSM_PKCS11_MODULE_H_
#define REWRAP_HSM_PKCS11_MODULE_H_

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "engine/base/secret_buffer.h"
#include "hsm/pkcs11/cryptoki.h"
#include "hsm/process_guard.h"

namespace rewrap {

class Module {
 public:
  // load loads and initialises the library at `path` (absolute). `init_args`, unless empty, is what
  // C_Initialize's pReserved points to; a library that is in use already keeps those of its first
  // user. Any thread.
  // Errors: kNotFound     no such file
  //         kUnavailable  not a PKCS#11 module, or it does not start; see the native code
  static Result<std::unique_ptr<Module>> load(const std::string& path,
                                              const std::string& init_args = {});

  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;
  // In a forked child this leaves everything alone: it is the parent's.
  ~Module();

  // restart finalises the library and initialises it again: all sessions and object handles in this
  // process are gone, whoever held them, and the epoch goes up. (A user of the library outside
  // rewrap, through p11-kit, keeps it from being finalised; then this restarts nothing.) No other
  // thread may be in a call: hold call_mutex(), and let Roots on the same module go before.
  Status restart();

  // restart_unless_shared does so where nobody else would lose sessions by it; else nothing. Takes
  // the locks that it needs; call_mutex() must not be held. Any thread.
  Status restart_unless_shared();

  // epoch counts the restarts. Handles from another epoch must not be used: the library gives the
  // same numbers to other sessions and other keys.
  [[nodiscard]] std::uint64_t epoch() const;

  // call_mutex is held around calls by all who may be called from several threads. Any thread.
  [[nodiscard]] std::recursive_mutex& call_mutex() const;

  // check_process is the fork guard, to be asked before any call through api().
  [[nodiscard]] Status check_process() const;
  [[nodiscard]] CK_FUNCTION_LIST& api() const;

  // KeptPin is a PIN that a token has accepted.
  struct KeptPin {
    SecretBuffer pin;
    int num_unanswered = 0;  // logins in a row whose answer was lost
  };

  // keep_pin keeps the PIN of the token with this serial number in locked memory for as long as the
  // module is loaded: the login is the process's, and so is the PIN. kept_pin is null if there is
  // none. Hold call_mutex(), for as long as what kept_pin gave is used.
  void keep_pin(const std::string& serial, SecretBuffer pin);
  [[nodiscard]] KeptPin* kept_pin(const std::string& serial);
  void forget_pin(const std::string& serial);

 private:
  class Library;

  explicit Module(std::shared_ptr<Library> library);

  std::shared_ptr<Library> library_;
};

}  // namespace rewrap

#endif  // REWRAP_HSM_PKCS11_MODULE_H_
