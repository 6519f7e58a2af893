// A guard key is a key in a token that guards KEKs outside it, in one of three ways; what a root key
// does, and what a probe tries with throwaway keys. Lengths are bytes. Every function takes the
// session's thread and may be called only after check_process().
//
// What a blob holds:
//   kAesKeyWrap  the RFC 3394 wrap, 8 bytes longer than the key
//   kAesGcm      IV (12) | ciphertext | tag (16); the IV is random, from this host's generator: a
//                token's may repeat itself after a fork, and a GCM IV must never
//   kRsaOaep     one RSAES-OAEP ciphertext, as long as the modulus
// With the first, a new key is made in the token and leaves it wrapped; with the others its bytes
// are drawn from the token's generator straight into locked memory.
#ifndef REWRAP_HSM_PKCS11_GUARD_KEY_H_
#define REWRAP_HSM_PKCS11_GUARD_KEY_H_

#include "hsm/pkcs11/keys.h"
#include "hsm/protector.h"

namespace rewrap {

struct GuardKey {
  Mechanism mechanism = Mechanism::kAesKeyWrap;
  CK_OBJECT_HANDLE handle = CK_INVALID_HANDLE;       // the AES key, or the RSA pair's private half
  CK_OBJECT_HANDLE public_half = CK_INVALID_HANDLE;  // kRsaOaep only
  Bytes modulus = {};                                // kRsaOaep only, without leading zeros
};

// RsaPairPlan says what generate_rsa_pair makes.
struct RsaPairPlan {
  CK_ULONG bits = 2048;
  bool is_token_object = false;  // else both halves are gone with the session
  std::string label;
  ByteView id;
};

// read_modulus reads the RSA key's modulus, without leading zeros.
Result<Bytes> read_modulus(Session& session, CK_OBJECT_HANDLE key);

// generate_rsa_pair makes an RSA pair whose private half cannot leave the token and only decrypts.
// A pair that it cannot tell the modulus of is destroyed again.
Result<GuardKey> generate_rsa_pair(Session& session, const RsaPairPlan& plan);

// discard destroys a key that was just made, each half that there is, and gives `why` back; or, where
// the token does not destroy it, what to do about what is left.
Status discard(Session& session, const GuardKey& made, const Status& why);

// seal_new_key makes a random AES key of `len` bytes and gives its blob. Only kAesGcm can bind
// `aad`; the others ignore it.
Result<Bytes> seal_new_key(Session& session, const GuardKey& guard, std::size_t len, ByteView aad);

// seal_key gives the blob of a key that exists.
Result<Bytes> seal_key(Session& session, const GuardKey& guard, const SecretBuffer& key,
                       ByteView aad);

// open_key gives the key inside `blob`.
// Errors: kIntegrity  it does not open under the guard key, and the token is well
//         others      the token failed
Result<SecretBuffer> open_key(Session& session, const GuardKey& guard, ByteView blob, ByteView aad);

// try_key opens `blob` and forgets what was inside; with kAesKeyWrap the key never leaves the token.
// Errors as open_key.
Status try_key(Session& session, const GuardKey& guard, ByteView blob, ByteView aad);

// fill_random asks the token's generator, for at most 1 MiB.
Status fill_random(Session& session, ByteSpan out);

}  // namespace rewrap

#endif  // REWRAP_HSM_PKCS11_GUARD_KEY_H_
