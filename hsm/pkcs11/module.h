// A loaded PKCS#11 module, initialised while it lives. p11-kit counts the users of one library
// within the process, so two roots on the same module do not finalise each other. Belongs to one
// thread at a time; must go before main returns, because some modules crash when they are finalised
// after their own static objects.
#ifndef REWRAP_HSM_PKCS11_MODULE_H_
#define REWRAP_HSM_PKCS11_MODULE_H_

#include <memory>
#include <string>

#include "hsm/pkcs11/cryptoki.h"
#include "hsm/process_guard.h"

namespace rewrap {

class Module {
 public:
  // load loads and initialises the library at `path` (absolute).
  // Errors: kNotFound     no such file
  //         kUnavailable  not a PKCS#11 module, or it does not start; see the native code
  static Result<std::unique_ptr<Module>> load(const std::string& path);

  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;
  // In a forked child this leaves everything alone: it is the parent's.
  ~Module();

  // restart finalises and initialises again, as far as this user of the library is concerned: all
  // its handles are gone.
  Status restart();

  // check_process is the fork guard, to be asked before any call through api().
  [[nodiscard]] Status check_process() const { return guard_.check(); }
  [[nodiscard]] CK_FUNCTION_LIST& api() const { return *api_; }

 private:
  explicit Module(CK_FUNCTION_LIST* api) : api_(api) {}

  CK_FUNCTION_LIST* api_;
  bool initialized_ = false;
  ProcessGuard guard_;
};

}  // namespace rewrap

#endif  // REWRAP_HSM_PKCS11_MODULE_H_
