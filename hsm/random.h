// Random bytes of this host: for KEKs under roots that have no generator of their own, nonces and
// ids. Any thread.
#ifndef REWRAP_HSM_RANDOM_H_
#define REWRAP_HSM_RANDOM_H_

#include "engine/base/bytes.h"
#include "engine/base/secret_buffer.h"
#include "engine/base/status.h"

namespace rewrap {

// random_bytes fills `out`, of at most 2 GiB - 1, from OpenSSL's private generator, which the
// operating system seeds; good for keys. Errors: kInvalidArgument, kUnavailable.
Status random_bytes(ByteSpan out);

// random_key gives `len` bytes of it in locked memory. Errors: also those of SecretBuffer::create.
Result<SecretBuffer> random_key(std::size_t len);

// check_random_len refuses what no Root gives at once: more than 1 MiB. Errors: kInvalidArgument.
Status check_random_len(std::size_t len);

}  // namespace rewrap

#endif  // REWRAP_HSM_RANDOM_H_
