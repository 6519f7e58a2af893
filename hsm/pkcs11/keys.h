// Keys in a token: finding, making, wrapping, unwrapping and reading them. Lengths are bytes.
// Every function takes the session's thread and may be called only after check_process().
#ifndef REWRAP_HSM_PKCS11_KEYS_H_
#define REWRAP_HSM_PKCS11_KEYS_H_

#include <string>

#include "engine/base/secret_buffer.h"
#include "hsm/pkcs11/session.h"
#include "hsm/pkcs11/template.h"

namespace rewrap {

// SessionObject owns a throwaway key in the token and destroys it.
class SessionObject {
 public:
  SessionObject(Session& session, CK_OBJECT_HANDLE handle)
      : session_(&session), made_in_(session.handle()), handle_(handle) {}
  SessionObject(SessionObject&& other) noexcept;
  SessionObject& operator=(SessionObject&&) = delete;
  SessionObject(const SessionObject&) = delete;
  SessionObject& operator=(const SessionObject&) = delete;
  ~SessionObject();

  [[nodiscard]] CK_OBJECT_HANDLE handle() const { return handle_; }

  // destroy destroys the key now and says whether the token did.
  Status destroy();

 private:
  Session* session_;
  CK_SESSION_HANDLE made_in_;  // the key went with this session if it is no longer the current one
  CK_OBJECT_HANDLE handle_;
};

// find_secret_key finds the token's one secret key with this label and id (an empty one does not
// matter, but not both).
// Errors: kNotFound, kConflict
Result<CK_OBJECT_HANDLE> find_secret_key(Session& session, const std::string& label, ByteView id);

// read_flag and its kin read one public attribute.
// Errors: ckr_code() of what C_GetAttributeValue says
Result<bool> read_flag(Session& session, CK_OBJECT_HANDLE key, CK_ATTRIBUTE_TYPE type);
Result<CK_ULONG> read_number(Session& session, CK_OBJECT_HANDLE key, CK_ATTRIBUTE_TYPE type);
Result<Bytes> read_bytes(Session& session, CK_OBJECT_HANDLE key, CK_ATTRIBUTE_TYPE type);

// read_value reads a readable key straight into locked memory, or into `out`, which it must fill
// exactly.
Result<SecretBuffer> read_value(Session& session, CK_OBJECT_HANDLE key);
Status read_value_into(Session& session, CK_OBJECT_HANDLE key, ByteSpan out);

// Readability is what a session key's maker may do with its bytes.
enum class Readability { kReadable, kWrapOnly, kNever };

// generate_session_key makes an AES key of `len` bytes that is gone with the session.
Result<SessionObject> generate_session_key(Session& session, std::size_t len,
                                           Readability readability, const KeyUse& use);

// wrap_key wraps `key` under `wrapping_key`; at most kMaxWrappedLen bytes come out.
Result<Bytes> wrap_key(Session& session, CK_MECHANISM_TYPE mechanism, CK_OBJECT_HANDLE wrapping_key,
                       CK_OBJECT_HANDLE key);
inline constexpr std::size_t kMaxWrappedLen = 512;

// unwrap_session_key opens `wrapped` into a session key of `key_type` (CKK_AES or
// CKK_GENERIC_SECRET).
// Errors: kIntegrity  it does not open under the key, and the token is well
//         others      the token failed
Result<SessionObject> unwrap_session_key(Session& session, CK_MECHANISM_TYPE mechanism,
                                         CK_OBJECT_HANDLE wrapping_key, ByteView wrapped,
                                         CK_KEY_TYPE key_type, Readability readability);

}  // namespace rewrap

#endif  // REWRAP_HSM_PKCS11_KEYS_H_
