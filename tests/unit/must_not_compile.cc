// Misuse of the engine's types. One macro at a time is defined, and the compiler must then refuse
// this file.
#include <iostream>
#include <string>
#include <utility>

#include "engine/base/secret_buffer.h"
#include "engine/base/status.h"
#include "engine/kek.h"

namespace rewrap {

Status fail() { return Status(Errc::kIo, "a literal may be in an error"); }

void use(SecretBuffer secret, const std::string& text) {
  static_cast<void>(text);
#if defined(TEXT_MADE_AT_RUN_TIME)
  const Status status(Errc::kIo, text.c_str());
#elif defined(STATUS_DROPPED)
  fail();
#elif defined(RESULT_DROPPED)
  SecretBuffer::create(1);
#elif defined(SECRET_COPIED)
  const SecretBuffer copy(secret);
#elif defined(SECRET_COMPARED)
  static_cast<void>(secret == secret);
#elif defined(SECRET_PRINTED)
  std::cout << secret;
#elif defined(KEK_FROM_BARE_BYTES)
  const Bytes bytes(16);
  static_cast<void>(Kek::create(bytes));
#else
  static_cast<void>(Kek::create(std::move(secret)));
#endif
}

}  // namespace rewrap
