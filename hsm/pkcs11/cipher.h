// Single-part encryption and decryption in a token: of public bytes, and of keys from and into
// locked memory. Lengths are bytes. Every function takes the session's thread and may be called
// only after check_process().
#ifndef REWRAP_HSM_PKCS11_CIPHER_H_
#define REWRAP_HSM_PKCS11_CIPHER_H_

#include "engine/base/secret_buffer.h"
#include "hsm/pkcs11/session.h"

namespace rewrap {

inline constexpr std::size_t kGcmIvLen = 12;   // the one length for which SP 800-38D needs no hash
inline constexpr std::size_t kGcmTagLen = 16;  // the longest

// CipherMechanism is a CK_MECHANISM together with what its parameter points at. The views given to
// it must live as long.
class CipherMechanism {
 public:
  // ecb is AES-ECB without padding.
  static CipherMechanism ecb();
  // gcm is AES-GCM with a tag of 16 bytes behind the ciphertext. `iv` has kGcmIvLen bytes.
  static CipherMechanism gcm(ByteView iv, ByteView aad);
  // oaep is RSAES-OAEP with SHA-1, MGF1-SHA1 and no label: the one choice that every token knows.
  // The weakness of SHA-1 against collisions does not matter there.
  static CipherMechanism oaep();

  // The mechanism points into *this.
  [[nodiscard]] CK_MECHANISM get();

 private:
  explicit CipherMechanism(CK_MECHANISM_TYPE type) : type_(type) {}

  CK_MECHANISM_TYPE type_;
  CK_GCM_PARAMS gcm_{};
  CK_RSA_PKCS_OAEP_PARAMS oaep_{};
};

// encrypt encrypts `in` in one part. `max_len` is the room for the result, which should be generous:
// tokens refuse buffers that would just do, and tell wrong lengths beforehand.
// Errors: what C_EncryptInit or C_Encrypt says; no operation is left open.
Result<Bytes> encrypt(Session& session, CipherMechanism how, CK_OBJECT_HANDLE key, ByteView in,
                      std::size_t max_len);

// decrypt is the reverse, into locked memory.
// Errors: kIntegrity  `in` does not open under `key`, and the token is well
//         others      the token failed; no operation is left open
Result<SecretBuffer> decrypt(Session& session, CipherMechanism how, CK_OBJECT_HANDLE key,
                             ByteView in, std::size_t max_len);

}  // namespace rewrap

#endif  // REWRAP_HSM_PKCS11_CIPHER_H_
