// Keys for tests: hexadecimal, random bytes that repeat from run to run, KEKs. Nothing here is
// secret.
#ifndef REWRAP_TESTS_UNIT_TEST_KEYS_H_
#define REWRAP_TESTS_UNIT_TEST_KEYS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <random>
#include <string_view>

#include "engine/base/bytes.h"
#include "engine/implementation.h"
#include "engine/kek.h"

namespace rewrap::test {

// decode_hex reads an even number of digits of either case, or gives nothing.
std::optional<Bytes> decode_hex(std::string_view hex);

// from_hex is decode_hex for texts in a test; anything but digits ends the test by an exception.
Bytes from_hex(std::string_view hex);

// Random gives the same bytes for the same seed everywhere.
class Random {
 public:
  explicit Random(std::uint64_t seed) : engine_(seed) {}
  Bytes bytes(std::size_t len);
  // below gives a number from 0 to bound - 1.
  std::size_t below(std::size_t bound) { return static_cast<std::size_t>(engine_() % bound); }

 private:
  std::mt19937_64 engine_;
};

// make_kek: `key` is 16, 24 or 32 bytes; anything else ends the test by an exception.
Kek make_kek(ByteView key);

// flip_bit inverts bit `bit` of `bytes`; bit 0 is the lowest of the first byte.
inline void flip_bit(ByteSpan bytes, std::size_t bit) {
  bytes[bit / 8] = static_cast<std::uint8_t>(bytes[bit / 8] ^ (1U << (bit % 8)));
}

// runs_here says whether this CPU can run `implementation`; tests of one that it cannot are
// skipped.
inline bool runs_here(const Implementation& implementation) {
  return implementation.runs_on(cpu_features());
}

// runs_here_by_name: the same; an unknown name does not run.
inline bool runs_here_by_name(std::string_view name) {
  for (const Implementation& implementation : implementations()) {
    if (implementation.name == name) return runs_here(implementation);
  }
  return false;
}

}  // namespace rewrap::test

#endif  // REWRAP_TESTS_UNIT_TEST_KEYS_H_
