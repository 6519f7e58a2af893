// Byte views, byte order and other small byte work shared by every layer. Pure functions, any
// thread.
#ifndef REWRAP_ENGINE_BASE_BYTES_H_
#define REWRAP_ENGINE_BASE_BYTES_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace rewrap {

// `uint8_t` and not `std::byte`: PKCS#11, OpenSSL, LMDB and the intrinsics all speak it.
using ByteView = std::span<const std::uint8_t>;
using ByteSpan = std::span<std::uint8_t>;
using Bytes = std::vector<std::uint8_t>;  // public bytes only; secrets live in SecretBuffer

// copy_bytes copies `from` to the front of `to`, which must be at least as long. An empty `from`
// may be null.
inline void copy_bytes(ByteSpan to, ByteView from) {
  if (!from.empty()) std::memcpy(to.data(), from.data(), from.size());
}

// as_bytes views text as bytes, for hashing and storing.
inline ByteView as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

// as_text is the reverse.
inline std::string_view as_text(ByteView bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// load_be64 and its kin read and write big-endian integers at any alignment.
inline std::uint64_t load_be64(const std::uint8_t* p) {
  std::uint64_t v = 0;
  std::memcpy(&v, p, sizeof v);
  return __builtin_bswap64(v);
}
inline void store_be64(std::uint8_t* p, std::uint64_t v) {
  v = __builtin_bswap64(v);
  std::memcpy(p, &v, sizeof v);
}
inline std::uint32_t load_be32(const std::uint8_t* p) {
  std::uint32_t v = 0;
  std::memcpy(&v, p, sizeof v);
  return __builtin_bswap32(v);
}
inline void store_be32(std::uint8_t* p, std::uint32_t v) {
  v = __builtin_bswap32(v);
  std::memcpy(p, &v, sizeof v);
}

// A DEK's name: 16 bytes, written as a UUID (RFC 9562). All zero is not a valid id.
using DekId = std::array<std::uint8_t, 16>;

// format_uuid writes the 36-character lower-case form.
std::string format_uuid(const DekId& id);

// parse_uuid accepts exactly the 36-character form, either case; false and `*out` untouched
// otherwise.
bool parse_uuid(std::string_view text, DekId* out);

// encode_base64 and decode_base64 follow RFC 4648 section 4: padded, no line breaks. Decoding is
// strict: a wrong length, a foreign character, misplaced padding or non-zero trailing bits give
// false. `*out` is then unspecified. For public bytes (wrapped keys): run time depends on the data.
std::string encode_base64(ByteView bytes);
bool decode_base64(std::string_view text, Bytes* out);

// encode_hex writes two lower-case digits per byte.
std::string encode_hex(ByteView bytes);

}  // namespace rewrap

#endif  // REWRAP_ENGINE_BASE_BYTES_H_
