// Key wrap where neither KEK nor DEK leaves the token: one key at a time, by the token's own unwrap
// and wrap.
#ifndef REWRAP_ENGINE_IN_TOKEN_H_
#define REWRAP_ENGINE_IN_TOKEN_H_

#include <memory>

#include "engine/transform.h"

namespace rewrap {

// is_in_token says whether a KEK is one of those (TokenCustody::kInToken).
inline bool is_in_token(const Kek& kek) {
  return kek.token() != nullptr && kek.token()->custody() == TokenCustody::kInToken;
}

// make_in_token makes a transform all of whose sides are such KEKs, of one token, and RFC 3394:
// re-wrap, check, and, for keys that are not DEKs at rest, wrap and unwrap. Its runs fail as the
// token fails, and then say nothing about any key: a key is damaged only where the token, working,
// says that its wrap does not open. The KEKs prove themselves anew before any result is given out,
// since a token can lead their handles to other keys without a word.
// Errors: kInvalidArgument  the spec is not valid, or has another algorithm
Result<std::unique_ptr<Transform>> make_in_token(const TransformSpec& spec);

// generate_in_token makes random keys inside the token and gives their wraps, each `wrap_len` bytes,
// back to back. Errors: what the token fails at; then `wraps` is unspecified
Status generate_in_token(TokenKek& kek, std::size_t wrap_len, ByteSpan wraps);

}  // namespace rewrap

#endif  // REWRAP_ENGINE_IN_TOKEN_H_
