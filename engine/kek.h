// A key encryption key on the host: an AES key of 16, 24 or 32 bytes in secret memory.
// Its own type, so that a KEK cannot be passed where a DEK is meant. Movable; read by any number of
// threads at once.
#ifndef REWRAP_ENGINE_KEK_H_
#define REWRAP_ENGINE_KEK_H_

#include <utility>

#include "engine/base/secret_buffer.h"
#include "engine/base/status.h"

namespace rewrap {

class Kek {
 public:
  // create takes the key. Errors: kInvalidArgument if it is not 16, 24 or 32 bytes.
  static Result<Kek> create(SecretBuffer key) {
    if (key.size() != 16 && key.size() != 24 && key.size() != 32) {
      return Status(Errc::kInvalidArgument, "a KEK is an AES key of 16, 24 or 32 bytes");
    }
    return Kek(std::move(key));
  }

  [[nodiscard]] std::size_t len() const { return key_.size(); }
  [[nodiscard]] ByteView expose_secret() const { return key_.expose_secret(); }

 private:
  explicit Kek(SecretBuffer key) : key_(std::move(key)) {}
  SecretBuffer key_;
};

}  // namespace rewrap

#endif  // REWRAP_ENGINE_KEK_H_
