// Reads chunked bodies: RFC 9112 section 7.1. One thread at a time.
#ifndef REWRAP_API_HTTP_CHUNKED_H_
#define REWRAP_API_HTTP_CHUNKED_H_

#include <cstddef>
#include <string_view>

#include "api/http/wiped_string.h"

namespace rewrap {

// ChunkedBody joins the chunks and throws extensions and trailers away. Stricter than the RFC where it
// leaves a choice: no white space around a size, no lone CR or LF anywhere.
class ChunkedBody {
 public:
  // No body longer than `max_body_len`; no chunk line, and no trailers together, longer than
  // `max_line_len`.
  ChunkedBody(std::size_t max_body_len, std::size_t max_line_len)
      : max_body_len_(max_body_len), max_line_len_(max_line_len) {}

  // feed reads from the front of `bytes`, adds to `*body`, and takes what it has read off `bytes`. Gives
  // 0, or the status to refuse the request with: 400, 413, 431. It reads all, unless the body ends.
  int feed(std::string_view* bytes, WipedString* body);

  [[nodiscard]] bool done() const { return state_ == State::kDone; }

 private:
  enum class State {
    kSize,       // in a chunk's size
    kExtension,  // after it, up to the CR
    kSizeEnd,    // at the LF
    kData,
    kDataCr,   // after the data, at the CR
    kDataLf,   // and at the LF
    kTrailer,  // at the first byte of a line
    kTrailerName,
    kTrailerValue,
    kTrailerLf,
    kLastLf,  // of the empty line
    kDone,
  };

  int step(char c);
  int step_size(char c);
  int step_trailer(char c);
  int go(State state);

  const std::size_t max_body_len_;
  const std::size_t max_line_len_;
  State state_ = State::kSize;
  std::size_t size_ = 0;  // of this chunk, then what is left of it
  std::size_t num_digits_ = 0;
  std::size_t line_len_ = 0;  // of this chunk line, or of all trailers
  std::size_t body_len_ = 0;
  std::size_t num_overhead_ = 0;  // bytes that are not body
};

}  // namespace rewrap

#endif  // REWRAP_API_HTTP_CHUNKED_H_
