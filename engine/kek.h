// A key encryption key: an AES key of 16, 24 or 32 bytes, either in secret memory here, or inside a
// token that does not give it out. Its own type, so that a KEK cannot be passed where a DEK is
// meant. Movable; read by any number of threads at once.
#ifndef REWRAP_ENGINE_KEK_H_
#define REWRAP_ENGINE_KEK_H_

#include <memory>
#include <utility>

#include "engine/base/secret_buffer.h"
#include "engine/base/status.h"
#include "hsm/token_kek.h"

namespace rewrap {

class Kek {
 public:
  // create takes the key. Errors: kInvalidArgument if it is not 16, 24 or 32 bytes.
  static Result<Kek> create(SecretBuffer key) {
    if (key.size() != 16 && key.size() != 24 && key.size() != 32) {
      return Status(Errc::kInvalidArgument, "a KEK is an AES key of 16, 24 or 32 bytes");
    }
    return Kek(std::move(key), nullptr);
  }

  // in_token is a KEK that stays where it is; `token` is not null.
  static Kek in_token(std::shared_ptr<TokenKek> token) {
    return {SecretBuffer(), std::move(token)};
  }

  [[nodiscard]] std::size_t len() const { return token_ ? token_->key_len() : key_.size(); }

  // token gives the KEK inside its token, or null if it is here.
  [[nodiscard]] const std::shared_ptr<TokenKek>& token() const { return token_; }

  // expose_secret may be asked for only where token() is null; anything else is a bug and ends the
  // program.
  [[nodiscard]] ByteView expose_secret() const {
    if (token_) __builtin_trap();
    return key_.expose_secret();
  }

 private:
  Kek(SecretBuffer key, std::shared_ptr<TokenKek> token)
      : key_(std::move(key)), token_(std::move(token)) {}

  SecretBuffer key_;                 // empty if the key is in a token
  std::shared_ptr<TokenKek> token_;  // null if it is not
};

}  // namespace rewrap

#endif  // REWRAP_ENGINE_KEK_H_
