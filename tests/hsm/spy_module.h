// What a test can see and set in the spy module.
#ifndef REWRAP_TESTS_HSM_SPY_MODULE_H_
#define REWRAP_TESTS_HSM_SPY_MODULE_H_

#include <dlfcn.h>

namespace rewrap::test {

struct SpyControl {
  int num_logins;                   // C_Login calls so far
  int num_logouts;                  // C_Logout calls so far
  int num_finalizes;                // C_Finalize calls so far
  unsigned long extra_token_flags;  // or-ed into what C_GetTokenInfo says
  int num_missed_tokens;         // so many more C_GetTokenInfo calls say CKR_TOKEN_NOT_RECOGNIZED
  unsigned long unwrap_result;   // if not 0: what C_UnwrapKey says, without doing anything
  unsigned long decrypt_result;  // if not 0: what C_Decrypt says, leaving the operation open
  int is_dead;                   // every session call says CKR_DEVICE_ERROR
  int num_open_sessions;         // C_OpenSession calls that went through, less C_CloseSession's
};

// load_spy gives the control block of the module at `path`. It stays loaded, as p11-kit's later
// load finds the same copy.
inline SpyControl* load_spy(const char* path) {
  void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  return library == nullptr ? nullptr
                            : static_cast<SpyControl*>(dlsym(library, "rewrap_spy_control"));
}

}  // namespace rewrap::test

#endif  // REWRAP_TESTS_HSM_SPY_MODULE_H_
