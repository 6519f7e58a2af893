// AES-ECB in a token, and RFC 3394 by single blocks of it. Lengths are bytes. The functions take the
// session's thread.
#ifndef REWRAP_HSM_PKCS11_ECB_H_
#define REWRAP_HSM_PKCS11_ECB_H_

#include <array>

#include "engine/base/secret_buffer.h"
#include "hsm/pkcs11/session.h"

namespace rewrap {

inline constexpr std::size_t kAesBlockLen = 16;

enum class Direction { kEncrypt, kDecrypt };

// KnownBlock is a pair of blocks that belong together under one key only.
struct KnownBlock {
  std::array<std::uint8_t, kAesBlockLen> plain{};
  std::array<std::uint8_t, kAesBlockLen> cipher{};
};

// run_ecb puts the whole blocks `in` into `out`, which has the same length and may be the same
// memory. After an error `out` is unspecified, and an operation may be left open in the session.
Status run_ecb(Session& session, CK_OBJECT_HANDLE key, Direction direction, ByteView in,
               ByteSpan out);

// is_too_long_for_token says whether a run_ecb may have failed because `in` was longer than what the
// token takes at once: limits differ (16 KiB and less), and no call tells them.
bool is_too_long_for_token(const Status& status);

// wrap_by_ecb and unwrap_by_ecb are RFC 3394 section 2.2 for a key of 16 to 64 bytes, a multiple of
// 8, with a call to the token for each step: for single keys, not for bulk. `first_step`, if given,
// is told the blocks of the first step, which are right if the whole opens.
// Errors of unwrap_by_ecb: kIntegrity if it does not open under `key`; else what the token failed at
Status wrap_by_ecb(Session& session, CK_OBJECT_HANDLE key, ByteView secret, ByteSpan wrapped);
Result<SecretBuffer> unwrap_by_ecb(Session& session, CK_OBJECT_HANDLE key, ByteView wrapped,
                                   KnownBlock* first_step = nullptr);

}  // namespace rewrap

#endif  // REWRAP_HSM_PKCS11_ECB_H_
