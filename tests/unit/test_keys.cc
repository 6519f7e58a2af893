// Hexadecimal, reproducible random bytes and KEKs for tests.
#include "tests/unit/test_keys.h"

#include <utility>

namespace rewrap::test {
namespace {

int digit_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

std::optional<Bytes> decode_hex(std::string_view hex) {
  if (hex.size() % 2 != 0) return std::nullopt;
  Bytes bytes;
  for (std::size_t i = 0; i < hex.size(); i += 2) {
    const int high = digit_value(hex[i]);
    const int low = digit_value(hex[i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    bytes.push_back(static_cast<std::uint8_t>(high << 4 | low));
  }
  return bytes;
}

Bytes from_hex(std::string_view hex) { return decode_hex(hex).value(); }

Bytes Random::bytes(std::size_t len) {
  Bytes bytes(len);
  for (std::uint8_t& b : bytes) b = static_cast<std::uint8_t>(engine_() >> 56);
  return bytes;
}

Kek make_kek(ByteView key) {
  SecretBuffer buffer = SecretBuffer::copy_of(key).value();
  return Kek::create(std::move(buffer)).value();
}

}  // namespace rewrap::test
