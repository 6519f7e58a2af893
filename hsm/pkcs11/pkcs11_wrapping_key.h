// A wrapping key in a PKCS#11 token; what the token lets us do with it decides the access.
#ifndef REWRAP_HSM_PKCS11_PKCS11_WRAPPING_KEY_H_
#define REWRAP_HSM_PKCS11_PKCS11_WRAPPING_KEY_H_

#include <memory>
#include <string>

#include "hsm/wrapping_key.h"

namespace rewrap {

// open_pkcs11_wrapping_key finds the AES secret key, logs in and chooses the access. Errors as
// open_wrapping_key.
Result<std::unique_ptr<WrappingKey>> open_pkcs11_wrapping_key(const std::string& uri,
                                                              WrappingUse use,
                                                              const RootOptions& options);

}  // namespace rewrap

#endif  // REWRAP_HSM_PKCS11_PKCS11_WRAPPING_KEY_H_
