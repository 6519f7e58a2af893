// OpenSSL's generator.
#include "hsm/random.h"

#include <openssl/err.h>
#include <openssl/rand.h>

#include <climits>

namespace rewrap {

Status random_bytes(ByteSpan out) {
  if (out.size() > INT_MAX)
    return {Errc::kInvalidArgument, "more than 2 GiB of random bytes at once"};
  if (out.empty() || RAND_priv_bytes(out.data(), static_cast<int>(out.size())) == 1) return {};
  ERR_clear_error();
  return {Errc::kUnavailable, "OpenSSL's random generator does not work"};
}

Result<SecretBuffer> random_key(std::size_t len) {
  REWRAP_ASSIGN(SecretBuffer key, SecretBuffer::create(len));
  REWRAP_TRY(random_bytes(key.expose_secret()));
  return key;
}

Status check_random_len(std::size_t len) {
  constexpr std::size_t kMaxRandomLen = std::size_t{1} << 20;
  if (len <= kMaxRandomLen) return {};
  return {Errc::kInvalidArgument, "more than 1 MiB of random bytes at once"};
}

}  // namespace rewrap
