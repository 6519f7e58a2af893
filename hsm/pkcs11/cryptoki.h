// The PKCS#11 2.40 header as p11-kit ships it, and what it lacks. The only place that includes it.
#ifndef REWRAP_HSM_PKCS11_CRYPTOKI_H_
#define REWRAP_HSM_PKCS11_CRYPTOKI_H_

#ifndef CRYPTOKI_COMPAT
#define CRYPTOKI_COMPAT 1  // the names of the standard: CK_RV, CK_SESSION_HANDLE and so on
#endif
#include <p11-kit/pkcs11.h>

namespace rewrap {

inline constexpr CK_MECHANISM_TYPE kMechanismAesKwp = 0x210b;  // CKM_AES_KEY_WRAP_KWP, PKCS#11 3.0
inline constexpr CK_BBOOL kCkTrue = 1;
inline constexpr CK_BBOOL kCkFalse = 0;

}  // namespace rewrap

#endif  // REWRAP_HSM_PKCS11_CRYPTOKI_H_
