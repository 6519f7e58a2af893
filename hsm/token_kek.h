// A KEK that stays inside its token, and what can be done with it from outside. Lengths are bytes.
// May be called from any number of threads: calls to one token wait for each other, since tokens
// get slower, not faster, when they are asked for two things at once. A call that meets a lost
// session or token brings it back by itself, as far as that can be done, before it fails. That the
// token's handle leads to another key, with no error from the token, counts as a loss too: ECB calls
// and unwraps find it out by themselves, confirm() finds it out for the rest.
#ifndef REWRAP_HSM_TOKEN_KEK_H_
#define REWRAP_HSM_TOKEN_KEK_H_

#include <cstddef>
#include <cstdint>
#include <mutex>

#include "engine/base/bytes.h"
#include "engine/base/status.h"

namespace rewrap {

// TokenCustody is which of two disjoint families of uses the KEK was made with. A key that has both
// could be made to give away what it wraps.
enum class TokenCustody : std::uint8_t {
  kKekInToken,  // CKA_ENCRYPT and CKA_DECRYPT: bulk AES-ECB; the DEKs pass through this process
  kInToken,     // CKA_WRAP and CKA_UNWRAP: the DEKs never leave the token either
};

class TokenKek {
 public:
  TokenKek() = default;
  TokenKek(const TokenKek&) = delete;
  TokenKek& operator=(const TokenKek&) = delete;
  virtual ~TokenKek() = default;

  [[nodiscard]] virtual TokenCustody custody() const = 0;
  [[nodiscard]] virtual std::size_t key_len() const = 0;  // 16, 24 or 32

  // calls is what the calls to one token wait at. Whoever makes many of them in a row holds it, since
  // two threads that take turns call by call spend most of their time on taking turns.
  [[nodiscard]] virtual std::recursive_mutex& calls() const = 0;

  // confirm proves this KEK, and `to` where keys go from this one to that, and gives a number. If an
  // earlier confirm() of the same two gave the same number, the calls in between used these KEKs and
  // no others. To be asked before wraps are given out that rewrap_key, generate_key and wrap_key made:
  // a wrong KEK makes wraps that look like right ones. Errors: what the token failed at
  virtual Result<std::uint64_t> confirm(TokenKek& to) = 0;

  // ecb_encrypt and ecb_decrypt work in place on a whole number of 16-byte blocks; only with
  // kKekInToken. After an error `blocks` is unspecified.
  virtual Status ecb_encrypt(ByteSpan blocks) = 0;
  virtual Status ecb_decrypt(ByteSpan blocks) = 0;

  // The rest is for kInToken only, one RFC 3394 wrap at a time; a wrap is 8 bytes longer than its
  // key.
  // Errors: kIntegrity    the wrap does not open: `out` is zero
  //         anything else the token failed
  // rewrap_key opens `wrapped` and wraps what was inside under `to`, a KEK of the same token.
  virtual Status rewrap_key(ByteView wrapped, TokenKek& to, ByteSpan out) = 0;
  // check_key opens `wrapped` and forgets what was inside.
  virtual Status check_key(ByteView wrapped) = 0;
  // generate_key makes a random key inside the token and gives its wrap only.
  virtual Status generate_key(ByteSpan wrapped) = 0;
  // unwrap_key and wrap_key move a key out of the token and into it: for the keys that
  // authenticate the store, never for DEKs at rest.
  virtual Status unwrap_key(ByteView wrapped, ByteSpan key) = 0;
  virtual Status wrap_key(ByteView key, ByteSpan wrapped) = 0;
};

}  // namespace rewrap

#endif  // REWRAP_HSM_TOKEN_KEK_H_
