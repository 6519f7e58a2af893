// A wrapping key: somebody else's KEK, named by URI, under which DEKs come in (import) or go out
// (export). It lives in a file or in a PKCS#11 token; in a token it may be readable, usable for
// bulk ECB, or only for C_UnwrapKey. Lengths are bytes. Belongs to one thread at a time.
#ifndef REWRAP_HSM_WRAPPING_KEY_H_
#define REWRAP_HSM_WRAPPING_KEY_H_

#include <memory>
#include <string>

#include "engine/base/bytes.h"
#include "engine/base/secret_buffer.h"
#include "engine/base/status.h"
#include "hsm/root.h"

namespace rewrap {

// WrappingUse is what the caller wants to do with the key; it decides which access is good enough.
enum class WrappingUse { kUnwrap, kWrap };

// WrappingAccess is the best way that the holder allows, fastest first.
enum class WrappingAccess {
  kValue,      // the key bytes can be read: bulk work runs on the host
  kBulkEcb,    // the key stays inside; AES-ECB over many blocks per call
  kUnwrapKey,  // the key stays inside; one C_UnwrapKey per DEK (kUnwrap only)
};

class WrappingKey {
 public:
  WrappingKey() = default;
  WrappingKey(const WrappingKey&) = delete;
  WrappingKey& operator=(const WrappingKey&) = delete;
  virtual ~WrappingKey() = default;

  [[nodiscard]] virtual WrappingAccess access() const = 0;
  [[nodiscard]] virtual std::size_t key_len() const = 0;  // 16, 24 or 32

  // take_value gives the key bytes; only with kValue (else kUnsupported).
  virtual Result<SecretBuffer> take_value() = 0;

  // ecb_encrypt and ecb_decrypt work in place on a whole number of 16-byte blocks; only with
  // kBulkEcb.
  virtual Status ecb_encrypt(ByteSpan blocks) = 0;
  virtual Status ecb_decrypt(ByteSpan blocks) = 0;

  // unwrap_key opens one RFC 3394 wrap of `dek.size()` bytes into `dek`; only with kUnwrapKey.
  // Errors: kIntegrity    the token says that it does not open: nothing is written
  //         kUnavailable  the token failed
  virtual Status unwrap_key(ByteView wrapped, ByteSpan dek) = 0;
};

// open_wrapping_key finds the key and chooses the access. Errors as open_root, and kUnsupported if
// the token lets the key be used in none of the ways above. `file:` keys hold 16, 24 or 32 raw
// bytes, mode 0600; options.allow_file_root is not asked for, since such a key is the legacy
// system's, not a root.
Result<std::unique_ptr<WrappingKey>> open_wrapping_key(const std::string& uri, WrappingUse use,
                                                       const RootOptions& options);

}  // namespace rewrap

#endif  // REWRAP_HSM_WRAPPING_KEY_H_
