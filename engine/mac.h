// Message authentication of stored records: GMAC (NIST SP 800-38D §3, AES-256-GCM without
// plaintext), random numbers and SHA-256.
#ifndef REWRAP_ENGINE_MAC_H_
#define REWRAP_ENGINE_MAC_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "engine/base/bytes.h"
#include "engine/base/secret_buffer.h"
#include "engine/base/status.h"

namespace rewrap {

inline constexpr std::size_t kMacKeyLen = 32;
inline constexpr std::size_t kMacNonceLen = 12;
inline constexpr std::size_t kTagLen = 16;
inline constexpr std::size_t kDigestLen = 32;
using Tag = std::array<std::uint8_t, kTagLen>;
using MacNonce = std::array<std::uint8_t, kMacNonceLen>;
using Digest = std::array<std::uint8_t, kDigestLen>;

// Mac computes tags under one key. Belongs to one thread.
// A nonce must not repeat under a key. They are drawn at random: SP 800-38D §8.3 then allows 2^32
// tags per key, that is, four billion segment writes under one KEK version.
class Mac {
 public:
  // create: `key` is kMacKeyLen bytes. Errors: kInvalidArgument, kInternal.
  static Result<Mac> create(ByteView key);
  Mac(Mac&&) noexcept;
  Mac& operator=(Mac&&) noexcept;
  ~Mac();

  // tag authenticates `message`. Errors: kInternal.
  Result<Tag> tag(const MacNonce& nonce, ByteView message);

  // verify compares in constant time. Errors: kIntegrity, kInternal.
  Status verify(const MacNonce& nonce, ByteView message, const Tag& expected);

 private:
  struct Impl;
  explicit Mac(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// sha256 hashes public bytes. Errors: kInternal.
Result<Digest> sha256(ByteView message);

}  // namespace rewrap

#endif  // REWRAP_ENGINE_MAC_H_
