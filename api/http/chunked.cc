// A byte at a time but for the data: however the bytes are cut, the outcome is the same.
#include "api/http/chunked.h"

#include <algorithm>

namespace rewrap {
namespace {

// Bytes around the body for one of the body's limit. Tiny chunks with long extensions could carry a
// small body for ever.
constexpr std::size_t kMaxOverheadFactor = 8;

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// is_text allows what RFC 9110 section 5.5 does in a value, which an extension may quote.
bool is_text(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte == '\t' || (byte >= ' ' && byte != 0x7f);
}

bool is_name(char c) { return c > ' ' && c <= '~' && c != ':'; }

}  // namespace

int ChunkedBody::go(State state) {
  state_ = state;
  return 0;
}

int ChunkedBody::step_size(char c) {
  const int digit = hex_digit(c);
  if (digit >= 0) {
    ++num_digits_;
    size_ = size_ * 16 + static_cast<std::size_t>(digit);
    // Checked at each digit, so that it cannot overflow.
    return size_ > max_body_len_ - body_len_ ? 413 : 0;
  }
  if (num_digits_ == 0) return 400;
  if (c == ';') return go(State::kExtension);
  return c == '\r' ? go(State::kSizeEnd) : 400;
}

int ChunkedBody::step_trailer(char c) {
  switch (state_) {
    case State::kTrailer:
      if (c == '\r') return go(State::kLastLf);
      return is_name(c) ? go(State::kTrailerName) : 400;
    case State::kTrailerName:
      if (c == ':') return go(State::kTrailerValue);
      return is_name(c) ? 0 : 400;
    case State::kTrailerValue:
      if (c == '\r') return go(State::kTrailerLf);
      return is_text(c) ? 0 : 400;
    case State::kTrailerLf:
      return c == '\n' ? go(State::kTrailer) : 400;
    default:
      return c == '\n' ? go(State::kDone) : 400;
  }
}

int ChunkedBody::step(char c) {
  switch (state_) {
    case State::kSize:
      return step_size(c);
    case State::kExtension:
      if (c == '\r') return go(State::kSizeEnd);
      return is_text(c) ? 0 : 400;
    case State::kSizeEnd:
      if (c != '\n') return 400;
      line_len_ = num_digits_ = 0;
      return go(size_ == 0 ? State::kTrailer : State::kData);
    case State::kDataCr:
      return c == '\r' ? go(State::kDataLf) : 400;
    case State::kDataLf:
      return c == '\n' ? go(State::kSize) : 400;
    default:
      return step_trailer(c);
  }
}

int ChunkedBody::feed(std::string_view* bytes, WipedString* body) {
  while (!bytes->empty() && !done()) {
    if (state_ == State::kData) {
      const std::size_t len = std::min(size_, bytes->size());
      body->append(bytes->data(), len);
      bytes->remove_prefix(len);
      size_ -= len;
      body_len_ += len;
      if (size_ == 0) state_ = State::kDataCr;
      continue;
    }
    if (++line_len_ > max_line_len_) return 431;
    if (++num_overhead_ > max_body_len_ * kMaxOverheadFactor + max_line_len_) return 400;
    if (const int status = step(bytes->front()); status != 0) return status;
    bytes->remove_prefix(1);
  }
  return 0;
}

}  // namespace rewrap
