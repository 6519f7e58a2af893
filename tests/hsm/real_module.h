// SoftHSM's functions, for test modules that stand in front of it and change some of them.
#ifndef REWRAP_TESTS_HSM_REAL_MODULE_H_
#define REWRAP_TESTS_HSM_REAL_MODULE_H_

#include <dlfcn.h>

#include "hsm/pkcs11/cryptoki.h"

namespace rewrap::test {

// load_softhsm gives the functions of the module at REWRAP_SOFTHSM_MODULE, which stays loaded.
inline CK_RV load_softhsm(CK_FUNCTION_LIST* functions) {
  void* library = dlopen(REWRAP_SOFTHSM_MODULE, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return CKR_GENERAL_ERROR;
  const auto get_list = reinterpret_cast<CK_C_GetFunctionList>(dlsym(library, "C_GetFunctionList"));
  CK_FUNCTION_LIST* softhsm = nullptr;
  if (get_list == nullptr || get_list(&softhsm) != CKR_OK) return CKR_GENERAL_ERROR;
  *functions = *softhsm;
  return CKR_OK;
}

}  // namespace rewrap::test

#endif  // REWRAP_TESTS_HSM_REAL_MODULE_H_
