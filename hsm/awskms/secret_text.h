// Text that holds a key: base64 without a branch or an index that depends on it, and a writer into
// locked memory. Lengths are bytes. One thread at a time.
#ifndef REWRAP_HSM_AWSKMS_SECRET_TEXT_H_
#define REWRAP_HSM_AWSKMS_SECRET_TEXT_H_

#include <cstddef>
#include <string_view>
#include <utility>

#include "engine/base/bytes.h"
#include "engine/base/secret_buffer.h"
#include "engine/base/status.h"

namespace rewrap {

// SecretWriter builds a text of at most `capacity` bytes in locked memory.
class SecretWriter {
 public:
  // Errors: as SecretBuffer::create
  static Result<SecretWriter> create(std::size_t capacity);

  // text writes as it stands; what does not fit makes take() fail.
  void text(std::string_view text);

  // base64 writes RFC 4648 section 4, in time that depends on the length only.
  void base64(ByteView secret);

  // take gives the text. Errors: kExhausted  it did not fit
  Result<SecretBuffer> take() &&;

 private:
  explicit SecretWriter(SecretBuffer buffer) : buffer_(std::move(buffer)) {}

  // reserve gives room for `len` more bytes; empty if there is none.
  ByteSpan reserve(std::size_t len);

  SecretBuffer buffer_;
  std::size_t len_ = 0;
  bool fits_ = true;
};

// decode_secret_base64 is strict, as decode_base64 is, but takes the same time for all texts of one
// length and padding.
// Errors: kInvalidArgument  not base64, or nothing in it
Result<SecretBuffer> decode_secret_base64(ByteView text);

}  // namespace rewrap

#endif  // REWRAP_HSM_AWSKMS_SECRET_TEXT_H_
