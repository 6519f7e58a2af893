// Text forms of bytes: UUID, base64, hex.
#include "engine/base/bytes.h"

namespace rewrap {
namespace {

constexpr char kHexDigits[] = "0123456789abcdef";
constexpr char kBase64Digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::uint8_t kNotADigit = 0xff;

constexpr std::array<std::uint8_t, 256> make_base64_values() {
  std::array<std::uint8_t, 256> values{};
  for (auto& v : values) v = kNotADigit;
  for (std::uint8_t i = 0; i < 64; ++i) values[static_cast<std::uint8_t>(kBase64Digits[i])] = i;
  return values;
}
constexpr auto kBase64Values = make_base64_values();

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool is_uuid_dash(std::size_t pos) { return pos == 8 || pos == 13 || pos == 18 || pos == 23; }

}  // namespace

std::string encode_hex(ByteView bytes) {
  std::string text;
  text.reserve(bytes.size() * 2);
  for (const std::uint8_t b : bytes) {
    text.push_back(kHexDigits[b >> 4]);
    text.push_back(kHexDigits[b & 15]);
  }
  return text;
}

std::string format_uuid(const DekId& id) {
  std::string text = encode_hex(id);
  for (const std::size_t pos : {8U, 13U, 18U, 23U}) text.insert(pos, 1, '-');
  return text;
}

bool parse_uuid(std::string_view text, DekId* out) {
  if (text.size() != 36) return false;
  DekId id{};
  std::size_t digits = 0;
  for (std::size_t pos = 0; pos < text.size(); ++pos) {
    if (is_uuid_dash(pos)) {
      if (text[pos] != '-') return false;
      continue;
    }
    const int value = hex_value(text[pos]);
    if (value < 0) return false;
    id[digits / 2] = static_cast<std::uint8_t>(id[digits / 2] << 4 | value);
    ++digits;
  }
  *out = id;
  return true;
}

std::string encode_base64(ByteView bytes) {
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t have = bytes.size() - i < 3 ? bytes.size() - i : 3;
    std::uint32_t group = static_cast<std::uint32_t>(bytes[i]) << 16;
    if (have > 1) group |= static_cast<std::uint32_t>(bytes[i + 1]) << 8;
    if (have > 2) group |= bytes[i + 2];
    text.push_back(kBase64Digits[group >> 18]);
    text.push_back(kBase64Digits[group >> 12 & 63]);
    text.push_back(have > 1 ? kBase64Digits[group >> 6 & 63] : '=');
    text.push_back(have > 2 ? kBase64Digits[group & 63] : '=');
  }
  return text;
}

bool decode_base64(std::string_view text, Bytes* out) {
  if (text.size() % 4 != 0) return false;
  out->clear();
  out->reserve(text.size() / 4 * 3);
  for (std::size_t i = 0; i < text.size(); i += 4) {
    const bool last = i + 4 == text.size();
    std::size_t pads = 0;
    if (last && text[i + 3] == '=') pads = text[i + 2] == '=' ? 2 : 1;
    std::uint32_t group = 0;
    for (std::size_t k = 0; k < 4; ++k) {
      const bool pad = k >= 4 - pads;
      const std::uint8_t value = pad ? 0 : kBase64Values[static_cast<std::uint8_t>(text[i + k])];
      if (value == kNotADigit) return false;
      group = group << 6 | value;
    }
    // Canonical form: the bits that padding cuts off are zero, so each byte string has one text.
    if ((pads == 1 && (group & 0xff) != 0) || (pads == 2 && (group & 0xffff) != 0)) return false;
    out->push_back(static_cast<std::uint8_t>(group >> 16));
    if (pads < 2) out->push_back(static_cast<std::uint8_t>(group >> 8));
    if (pads < 1) out->push_back(static_cast<std::uint8_t>(group));
  }
  return true;
}

}  // namespace rewrap
