// Base64 by arithmetic: tables would tell the key to whoever watches the cache.
#include "hsm/awskms/secret_text.h"

#include <algorithm>
#include <cstdint>
#include <utility>

namespace rewrap {
namespace {

constexpr std::size_t kQuantumLen = 3;  // bytes that make
constexpr std::size_t kNumChars = 4;    // characters
constexpr std::uint8_t kPad = '=';

// between gives all ones if low <= c <= high, else 0. All are below 2^31.
constexpr std::uint32_t between(std::uint32_t c, std::uint32_t low, std::uint32_t high) {
  // Outside, one of the differences is below zero: its top bit is 1.
  return (((c - low) | (high - c)) >> 31) - 1;
}

// RFC 4648, table 1: A-Z a-z 0-9 + / are 0 to 63.
constexpr std::uint8_t char_of(std::uint32_t value) {
  const std::uint32_t c = (between(value, 0, 25) & (value + 'A')) |
                          (between(value, 26, 51) & (value - 26 + 'a')) |
                          (between(value, 52, 61) & (value - 52 + '0')) |
                          (between(value, 62, 62) & '+') | (between(value, 63, 63) & '/');
  return static_cast<std::uint8_t>(c);
}

// value_of gives the value; what is no character of the alphabet makes `*bad` other than 0.
constexpr std::uint32_t value_of(std::uint32_t c, std::uint32_t* bad) {
  const std::uint32_t upper = between(c, 'A', 'Z');
  const std::uint32_t lower = between(c, 'a', 'z');
  const std::uint32_t digit = between(c, '0', '9');
  const std::uint32_t plus = between(c, '+', '+');
  const std::uint32_t slash = between(c, '/', '/');
  *bad |= ~(upper | lower | digit | plus | slash);
  return (upper & (c - 'A')) | (lower & (c - 'a' + 26)) | (digit & (c - '0' + 52)) | (plus & 62) |
         (slash & 63);
}

// encode_quantum writes the four characters of one to three bytes.
void encode_quantum(ByteView in, std::uint8_t* out) {
  std::uint32_t bits = 0;
  for (std::size_t i = 0; i < kQuantumLen; ++i) bits = bits << 8 | (i < in.size() ? in[i] : 0U);
  for (std::size_t i = 0; i < kNumChars; ++i) {
    const bool is_pad = i > in.size();
    out[i] = is_pad ? kPad : char_of(bits >> (18 - 6 * i) & 63);
  }
}

}  // namespace

Result<SecretWriter> SecretWriter::create(std::size_t capacity) {
  REWRAP_ASSIGN(SecretBuffer buffer, SecretBuffer::create(capacity));
  return SecretWriter(std::move(buffer));
}

ByteSpan SecretWriter::reserve(std::size_t len) {
  fits_ = fits_ && len <= buffer_.size() - len_;
  if (!fits_) return {};
  const ByteSpan room = buffer_.expose_secret().subspan(len_, len);
  len_ += len;
  return room;
}

void SecretWriter::text(std::string_view text) {
  const ByteSpan room = reserve(text.size());
  if (room.size() == text.size()) copy_bytes(room, as_bytes(text));
}

void SecretWriter::base64(ByteView secret) {
  const std::size_t num_quanta = (secret.size() + kQuantumLen - 1) / kQuantumLen;
  ByteSpan room = reserve(num_quanta * kNumChars);
  while (!room.empty()) {
    const std::size_t len = std::min(secret.size(), kQuantumLen);
    encode_quantum(secret.first(len), room.data());
    secret = secret.subspan(len);
    room = room.subspan(kNumChars);
  }
}

Result<SecretBuffer> SecretWriter::take() && {
  if (!fits_) return Status(Errc::kExhausted, "a request to the KMS is too long");
  buffer_.shrink_to(len_);
  return std::move(buffer_);
}

Result<SecretBuffer> decode_secret_base64(ByteView text) {
  const Status wrong(Errc::kInvalidArgument, "this is not base64");
  if (text.empty() || text.size() % kNumChars != 0) return wrong;
  const std::size_t num_pads =
      text.back() != kPad ? 0 : (text[text.size() - 2] != kPad ? 1 : 2);  // the length is no secret
  REWRAP_ASSIGN(SecretBuffer out, SecretBuffer::create(text.size() / kNumChars * kQuantumLen));
  const ByteSpan bytes = out.expose_secret();
  const std::size_t num_values = text.size() - num_pads;
  std::uint32_t bad = 0;
  std::uint32_t bits = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    bits = bits << 6 | (i < num_values ? value_of(text[i], &bad) : 0U);
    if (i % kNumChars != kNumChars - 1) continue;
    std::uint8_t* to = bytes.data() + i / kNumChars * kQuantumLen;
    to[0] = static_cast<std::uint8_t>(bits >> 16);
    to[1] = static_cast<std::uint8_t>(bits >> 8);
    to[2] = static_cast<std::uint8_t>(bits);
  }
  // The bits behind the last byte are zero, or two texts would mean the same.
  const std::size_t len = bytes.size() - num_pads;
  for (const std::uint8_t byte : bytes.subspan(len)) bad |= byte;
  if (bad != 0) return wrong;
  out.shrink_to(len);
  return out;
}

}  // namespace rewrap
