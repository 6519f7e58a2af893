// The root key in a token: finding the one that the URI names, judging whether it is fit, and making
// one. Every function takes the session's thread and may be called only after check_process().
#ifndef REWRAP_HSM_PKCS11_ROOT_KEY_H_
#define REWRAP_HSM_PKCS11_ROOT_KEY_H_

#include <string>

#include "hsm/pkcs11/guard_key.h"
#include "hsm/pkcs11/uri.h"

namespace rewrap {

// RootKey is the key that the URI names, or why it cannot be used.
struct RootKey {
  GuardKey guard;  // handle is CK_INVALID_HANDLE if no such key was found
  std::string key_ref;
  Status status;
};

// find_root_key looks for a secret key first and for an RSA pair after it. The key's own attributes
// say how it guards KEKs: WRAP and UNWRAP, or ENCRYPT and DECRYPT, never any of both; an RSA pair by
// the private half's DECRYPT. status is
//   kNotFound, kConflict  as find_key
//   kRefused              the key can leave its token, or may do more than one of the above
//   kUnsupported          neither AES nor RSA of at least 2048 bits
RootKey find_root_key(Session& session, const Pkcs11Uri& uri);

// make_root_key makes a key that cannot leave the token, for one mechanism: an AES-256 key, or an
// RSA-3072 pair. What the token made is read back; a key with other attributes is destroyed again.
// Errors: kUnsupported  the token does not make such a key
//         others        what the token failed at; the hint says whether a key is left
Status make_root_key(Session& session, Mechanism mechanism, const std::string& label, ByteView id);

}  // namespace rewrap

#endif  // REWRAP_HSM_PKCS11_ROOT_KEY_H_
