// A root key in a PKCS#11 token, which guards KEKs by key wrap, AES-GCM or RSA-OAEP (guard_key.h):
// whichever the root key was made for.
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

// create_pkcs11_root_key tries out what the token does with throwaway keys, tells `*made`, and makes
// a token key for that and no other use: an AES-256 key with WRAP and UNWRAP, else one with ENCRYPT
// and DECRYPT, else an RSA-3072 pair whose private half has DECRYPT; PRIVATE, SENSITIVE, not
// EXTRACTABLE, AES keys not MODIFIABLE. Its label is the URI's object, "rewrap-root" if there is
// none; its id the URI's, else 16 random bytes. What the token made is read back; a key with other
// attributes is destroyed again.
// Errors: kAlreadyExists  the URI names a key that is there
//         kUnsupported    the token guards keys in none of these ways, or does not make such a key
Status create_pkcs11_root_key(const std::string& uri, const RootOptions& options, Mechanism* made);

}  // namespace rewrap

#endif  // REWRAP_HSM_PKCS11_PKCS11_ROOT_H_
