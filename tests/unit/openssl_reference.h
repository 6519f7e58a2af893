// Key wrap by OpenSSL, one key at a time: the second opinion that the engine is compared with.
// A failure of OpenSSL itself ends the test by an exception.
#ifndef REWRAP_TESTS_UNIT_OPENSSL_REFERENCE_H_
#define REWRAP_TESTS_UNIT_OPENSSL_REFERENCE_H_

#include <cstddef>
#include <cstdint>
#include <optional>

#include "engine/base/bytes.h"
#include "engine/wrap_algorithm.h"

namespace rewrap::test {

// openssl_wrap uses EVP_aes_*_wrap or EVP_aes_*_wrap_pad; `kek` is 16, 24 or 32 bytes.
Bytes openssl_wrap(WrapAlgorithm algorithm, ByteView kek, ByteView key);

// openssl_unwrap gives nothing if OpenSSL refuses the wrap.
std::optional<Bytes> openssl_unwrap(WrapAlgorithm algorithm, ByteView kek, ByteView wrapped);

// openssl_wrap_all wraps keys of `key_len` bytes, back to back, each on its own.
Bytes openssl_wrap_all(WrapAlgorithm algorithm, ByteView kek, ByteView keys, std::size_t key_len);

// openssl_gcm_wrap gives the record of one GCM wrap: IV (fixed field, invocation number), four zero
// bytes, ciphertext, tag.
Bytes openssl_gcm_wrap(ByteView kek, std::uint32_t fixed_field, std::uint64_t number, ByteView aad,
                       ByteView key);

// openssl_w is the function W of SP 800-38F §6.1 (for one semiblock: plain AES) over any integrity
// value, to make wraps that fail in one check only. `body` is a whole number of semiblocks.
Bytes openssl_w(ByteView kek, std::uint64_t integrity, ByteView body);

}  // namespace rewrap::test

#endif  // REWRAP_TESTS_UNIT_OPENSSL_REFERENCE_H_
