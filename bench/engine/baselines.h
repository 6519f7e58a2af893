// What the engine is compared with: the key wrap of other libraries, used as their manuals say, one
// key at a time, with the key schedules set up once. A Baseline belongs to one thread.
#ifndef REWRAP_BENCH_ENGINE_BASELINES_H_
#define REWRAP_BENCH_ENGINE_BASELINES_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "engine/base/bytes.h"

namespace rewrap::bench {

inline constexpr std::size_t kBaselineDekLen = 32;
inline constexpr std::size_t kBaselineWrapLen = kBaselineDekLen + 8;

class Baseline {
 public:
  Baseline() = default;
  Baseline(const Baseline&) = delete;
  Baseline& operator=(const Baseline&) = delete;
  virtual ~Baseline() = default;

  // rewrap opens one RFC 3394 wrap of a 32-byte key under the old KEK and wraps it under the new
  // one; false if it does not open. The key passes through the stack and is not wiped: no time is
  // charged for what the others do not offer.
  virtual bool rewrap(const std::uint8_t* in, std::uint8_t* out) = 0;
};

// BaselineEntry makes a Baseline for two KEKs of 32 bytes, or null if the library fails.
struct BaselineEntry {
  const char* name;
  std::unique_ptr<Baseline> (*make)(ByteView old_kek, ByteView new_kek);
};

std::span<const BaselineEntry> baselines();

// Versions of the libraries that run, not of the headers.
const char* openssl_version();
const char* libgcrypt_version();
std::string nettle_version();

}  // namespace rewrap::bench

#endif  // REWRAP_BENCH_ENGINE_BASELINES_H_
