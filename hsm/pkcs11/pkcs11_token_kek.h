// KEKs that live in a PKCS#11 token: making, opening and destroying them. A root key is not needed,
// and if the connection's URI names one it plays no part. Each function may be called from any
// thread.
#ifndef REWRAP_HSM_PKCS11_PKCS11_TOKEN_KEK_H_
#define REWRAP_HSM_PKCS11_PKCS11_TOKEN_KEK_H_

#include <memory>
#include <string>

#include "hsm/pkcs11/connection.h"
#include "hsm/root.h"

namespace rewrap {

// create_token_kek makes a random AES key of `kek_len` bytes (16, 24 or 32) in the token, and its
// protector: mechanism kTokenKey; key_ref = the token's serial number, the key's random id and its
// label, rewrap-kek-...; blob = a random check key, wrapped under the KEK (RFC 3394), from whose
// check value the KEK is known again; canary = another, to tell a damaged blob from another KEK.
// Whatever fails, no key is left behind that can be removed.
// Errors: as Root::create_in_token
Result<ProtectedTokenKek> create_token_kek(const std::shared_ptr<Connection>& connection,
                                           const std::string& root_uri, TokenCustody custody,
                                           std::size_t kek_len, ByteView context);

// open_token_kek finds the KEK and proves that it is the one.
// Errors: kNotFound    the token has no such key
//         kDenied      another token (by its serial number); or another key under the KEK's names:
//                      neither blob nor canary opens
//         kCorruption  the KEK is right (its canary opens), the blob or its binding is not
//         kRefused     the key can leave the token, or has uses of both families
//         kUnavailable the token cannot be reached
Result<std::shared_ptr<TokenKek>> open_token_kek(const std::shared_ptr<Connection>& connection,
                                                 const Protector& protector, ByteView context);

// destroy_token_kek removes the KEK from the token; ok if it is not there.
// Errors: kDenied      another token
//         kCorruption  the protector does not name a KEK that rewrap made
Status destroy_token_kek(const std::shared_ptr<Connection>& connection, const Protector& protector);

}  // namespace rewrap

#endif  // REWRAP_HSM_PKCS11_PKCS11_TOKEN_KEK_H_
