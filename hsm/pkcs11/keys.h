// Keys in a token: finding, making, wrapping, unwrapping and reading them. Lengths are bytes.
// Every function takes the session's thread and may be called only after check_process().
#ifndef REWRAP_HSM_PKCS11_KEYS_H_
#define REWRAP_HSM_PKCS11_KEYS_H_

#include <string>
#include <utility>
#include <vector>

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

  // release gives the handle away: the key lives as long as its session, or until somebody destroys
  // it.
  CK_OBJECT_HANDLE release() { return std::exchange(handle_, CK_INVALID_HANDLE); }

  // destroy destroys the key now and says whether the token did.
  Status destroy();

 private:
  Session* session_;
  CK_SESSION_HANDLE made_in_;  // the key went with this session if it is no longer the current one
  CK_OBJECT_HANDLE handle_;
};

// find_key finds the token's one key of this class (CKO_SECRET_KEY, CKO_PRIVATE_KEY or
// CKO_PUBLIC_KEY) with this label and id (an empty one does not matter, but not both).
// Errors: kNotFound, kConflict
Result<CK_OBJECT_HANDLE> find_key(Session& session, CK_OBJECT_CLASS key_class,
                                  const std::string& label, ByteView id);
// find_keys finds all of them, up to kMaxFound.
Result<std::vector<CK_OBJECT_HANDLE>> find_keys(Session& session, CK_OBJECT_CLASS key_class,
                                                const std::string& label, ByteView id);
inline constexpr std::size_t kMaxFound = 16;
// find_secret_key is find_key for CKO_SECRET_KEY.
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

// import_session_key puts `value` into the token as an AES key that is gone with the session; it may
// be wrapped, and nothing else.
Result<SessionObject> import_session_key(Session& session, const SecretBuffer& value);

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

// judge_open says what the failure `rv` of C_UnwrapKey or C_Decrypt (`call`) under `key` means: it
// leaves no operation open in the session, and session keys may be gone after it.
// Errors: kIntegrity  what was to be opened does not open, and the token is well
//         others      the token failed
Status judge_open(Session& session, CK_OBJECT_HANDLE key, CK_RV rv, Literal call);

}  // namespace rewrap

#endif  // REWRAP_HSM_PKCS11_KEYS_H_
