// A root key in a PKCS#11 token: KEKs are made in the token, wrapped by CKM_AES_KEY_WRAP, and come
// out as session keys.
#ifndef REWRAP_HSM_PKCS11_PKCS11_ROOT_H_
#define REWRAP_HSM_PKCS11_PKCS11_ROOT_H_

#include <memory>
#include <string>

#include "hsm/root.h"

namespace rewrap {

// KeyNeed is whether the root key must be there and fit for use when the root is opened.
enum class KeyNeed { kUsable, kNone };

// open_pkcs11_root finds token and key, logs in, and checks the key's attributes.
// Errors: as open_root, and kRefused if the root key's attributes let keys out of the token
Result<std::unique_ptr<Root>> open_pkcs11_root(const std::string& uri, const RootOptions& options,
                                               KeyNeed need);

// create_pkcs11_root_key makes an AES-256 token key: SENSITIVE, not EXTRACTABLE, PRIVATE, not
// MODIFIABLE, WRAP and UNWRAP and no other use. Its label is the URI's object, "rewrap-root" if
// there is none; its id the URI's, else 16 random bytes. What the token made is read back; a key
// with other attributes is destroyed again.
// Errors: kAlreadyExists  the URI names a key that is there
//         kUnsupported    the token does not make such a key
Status create_pkcs11_root_key(const std::string& uri, const RootOptions& options);

}  // namespace rewrap

#endif  // REWRAP_HSM_PKCS11_PKCS11_ROOT_H_
