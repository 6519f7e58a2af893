// Reading and writing of stored records: big-endian integers and length-prefixed fields. Any
// thread.
#ifndef REWRAP_ENGINE_BASE_CODEC_H_
#define REWRAP_ENGINE_BASE_CODEC_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "engine/base/bytes.h"

namespace rewrap {

// Encoder appends to a byte string.
class Encoder {
 public:
  void u8(std::uint8_t v) { out_.push_back(v); }
  void u16(std::uint16_t v) { integer(v, 2); }
  void u32(std::uint32_t v) { integer(v, 4); }
  void u64(std::uint64_t v) { integer(v, 8); }
  // raw appends bytes whose length the format fixes.
  void raw(ByteView bytes) { out_.insert(out_.end(), bytes.begin(), bytes.end()); }
  // field appends a 32-bit length and the bytes.
  void field(ByteView bytes) {
    u32(static_cast<std::uint32_t>(bytes.size()));
    raw(bytes);
  }
  void field(std::string_view text) { field(as_bytes(text)); }

  [[nodiscard]] const Bytes& bytes() const { return out_; }
  Bytes take() { return std::move(out_); }

 private:
  void integer(std::uint64_t v, int num_bytes) {
    for (int shift = 8 * (num_bytes - 1); shift >= 0; shift -= 8)
      out_.push_back(static_cast<std::uint8_t>(v >> shift));
  }
  Bytes out_;
};

// Decoder reads the same forms back. Any read past the end, or of a field over its limit, gives
// zeros or nothing and makes ok() false for good, so that a caller may read a whole record and ask
// once.
class Decoder {
 public:
  explicit Decoder(ByteView in) : in_(in) {}

  std::uint8_t u8() { return static_cast<std::uint8_t>(integer(1)); }
  std::uint16_t u16() { return static_cast<std::uint16_t>(integer(2)); }
  std::uint32_t u32() { return static_cast<std::uint32_t>(integer(4)); }
  std::uint64_t u64() { return integer(8); }
  ByteView raw(std::size_t len) {
    if (!ok_ || in_.size() < len) {
      ok_ = false;
      return {};
    }
    const ByteView bytes = in_.first(len);
    in_ = in_.subspan(len);
    return bytes;
  }
  ByteView field(std::size_t max_len) {
    const std::size_t len = u32();
    if (len > max_len) ok_ = false;
    return raw(ok_ ? len : 0);
  }
  std::string text(std::size_t max_len) {
    const ByteView bytes = field(max_len);
    return {bytes.begin(), bytes.end()};
  }
  // read_array fills a fixed-size array.
  template <std::size_t N>
  void read_array(std::array<std::uint8_t, N>* out) {
    const ByteView bytes = raw(N);
    if (bytes.size() == N) copy_bytes(*out, bytes);
  }

  [[nodiscard]] bool ok() const { return ok_; }
  // done is true if everything was there and nothing is left over.
  [[nodiscard]] bool done() const { return ok_ && in_.empty(); }

 private:
  std::uint64_t integer(std::size_t num_bytes) {
    std::uint64_t v = 0;
    for (const std::uint8_t b : raw(num_bytes)) v = v << 8 | b;
    return v;
  }
  ByteView in_;
  bool ok_ = true;
};

}  // namespace rewrap

#endif  // REWRAP_ENGINE_BASE_CODEC_H_
