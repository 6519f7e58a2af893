// RFC 3394 by OpenSSL, for the development root only: one small key at a time, far too slow for
// bulk work. Lengths are bytes; any thread.
#ifndef REWRAP_HSM_FILE_AES_KEY_WRAP_H_
#define REWRAP_HSM_FILE_AES_KEY_WRAP_H_

#include "engine/base/bytes.h"
#include "engine/base/secret_buffer.h"
#include "engine/base/status.h"

namespace rewrap {

inline constexpr std::size_t kFileRootKeyLen = 32;

// openssl_wrap wraps `key` (16 to 64 bytes, a multiple of 8) under the AES-256 key `kek` (32).
Result<Bytes> openssl_wrap(ByteView kek, ByteView key);

// openssl_unwrap is the reverse. Errors: kIntegrity if `wrapped` does not open under `kek`.
Result<SecretBuffer> openssl_unwrap(ByteView kek, ByteView wrapped);

}  // namespace rewrap

#endif  // REWRAP_HSM_FILE_AES_KEY_WRAP_H_
