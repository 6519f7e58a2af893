// The wrap algorithms and their lengths (NIST SP 800-38F §6.2 KW = RFC 3394, §6.3 KWP = RFC 5649;
// AES-GCM, SP 800-38D). Lengths are bytes; a semiblock is 8. Pure functions, any thread.
//
// A GCM wrap is one record: IV 12, zero 4, ciphertext (as long as the key), tag 16. The four zero
// bytes make the record of a 32-byte key one cache line; they are checked like the tag.
#ifndef REWRAP_ENGINE_WRAP_ALGORITHM_H_
#define REWRAP_ENGINE_WRAP_ALGORITHM_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace rewrap {

// The values are stored in segment headers: never renumber.
enum class WrapAlgorithm : std::uint8_t {
  kKw = 1,   // RFC 3394; keys of 16 bytes and more, a multiple of 8
  kKwp = 2,  // RFC 5649; keys of 1 byte and more
  kGcm = 3,  // SP 800-38D, IVs of 96 bits, tags of 128; keys of 1 byte and more
};

// is_wrap_algorithm says whether a stored byte is one of them.
constexpr bool is_wrap_algorithm(std::uint8_t value) { return value >= 1 && value <= 3; }

inline constexpr std::size_t kSemiblockLen = 8;
inline constexpr std::size_t kBlockLen = 16;
inline constexpr std::size_t kGcmIvLen = 12;
inline constexpr std::size_t kGcmIvFieldLen = 16;  // the IV and the four zero bytes
inline constexpr std::size_t kGcmTagLen = 16;

// The engine's own limit; the standards allow far longer keys.
inline constexpr std::size_t kMaxKeyLen = 4096;

// DEK sizes that a keyset holds: AES-128, AES-192, AES-256, and 384 and 512 bits (64 bytes is an
// XTS-AES-256 pair).
inline constexpr std::size_t kDekLens[] = {16, 24, 32, 48, 64};
constexpr bool is_dek_len(std::size_t len) {
  for (const std::size_t dek_len : kDekLens) {
    if (len == dek_len) return true;
  }
  return false;
}

// is_wrappable says whether `key_len` bytes can be wrapped by `algorithm` here.
constexpr bool is_wrappable(WrapAlgorithm algorithm, std::size_t key_len) {
  if (key_len == 0 || key_len > kMaxKeyLen) return false;
  return algorithm != WrapAlgorithm::kKw || (key_len >= 16 && key_len % kSemiblockLen == 0);
}

// wrapped_len gives the length of the wrap of `key_len` bytes. KW: one semiblock more; KWP: rounded
// up to a semiblock first; GCM: the IV field and the tag.
constexpr std::size_t wrapped_len(WrapAlgorithm algorithm, std::size_t key_len) {
  if (algorithm == WrapAlgorithm::kGcm) return kGcmIvFieldLen + key_len + kGcmTagLen;
  const std::size_t body = algorithm == WrapAlgorithm::kKwp ? (key_len + 7) / 8 * 8 : key_len;
  return body + kSemiblockLen;
}

// The longest wrap of a DEK: 64 bytes in a GCM record.
inline constexpr std::size_t kMaxWrappedDekLen = 96;

// dek_len_of_wrap is the inverse for DEK sizes: nothing if no DEK of an allowed size has a wrap of
// that length.
constexpr std::optional<std::size_t> dek_len_of_wrap(WrapAlgorithm algorithm,
                                                     std::size_t wrap_len) {
  for (const std::size_t dek_len : kDekLens) {
    if (wrapped_len(algorithm, dek_len) == wrap_len) return dek_len;
  }
  return std::nullopt;
}

// integrity_check_value gives ICV1 (SP 800-38F §6.2; RFC 3394 §2.2.3.1) or, for KWP, ICV2 with the
// length of the key in its low half (§6.3; RFC 5649 §3), as the eight bytes lie in memory. So one
// compare checks the length too.
constexpr std::uint64_t integrity_check_value(WrapAlgorithm algorithm, std::size_t key_len) {
  constexpr std::uint64_t kIcv1 = 0xA6A6A6A6A6A6A6A6;
  constexpr std::uint64_t kIcv2 = 0xA65959A600000000;
  return algorithm == WrapAlgorithm::kKw ? kIcv1 : __builtin_bswap64(kIcv2 | key_len);
}

// algorithm_name gives "kw", "kwp" or "gcm", as the command line writes them.
constexpr const char* algorithm_name(WrapAlgorithm algorithm) {
  if (algorithm == WrapAlgorithm::kGcm) return "gcm";
  return algorithm == WrapAlgorithm::kKw ? "kw" : "kwp";
}

}  // namespace rewrap

#endif  // REWRAP_ENGINE_WRAP_ALGORITHM_H_
