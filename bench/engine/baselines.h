// What the engine is compared with: other libraries, used as their manuals say, one key at a time,
// with the key schedules set up once. A Baseline belongs to one thread.
#ifndef REWRAP_BENCH_ENGINE_BASELINES_H_
#define REWRAP_BENCH_ENGINE_BASELINES_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "engine/base/bytes.h"
#include "engine/base/status.h"
#include "engine/wrap_algorithm.h"

namespace rewrap::bench {

// The additional data of the GCM records here: one prefix for all and a column for each key.
inline constexpr std::size_t kAadPrefixLen = 16;
inline constexpr std::size_t kAadColumnLen = 16;
inline constexpr std::array<std::uint8_t, kAadPrefixLen> kAadPrefix = {'b', 'e', 'n', 'c', 'h'};
inline constexpr std::uint32_t kOldVersion = 1;  // the fixed field of IVs under the old KEK
inline constexpr std::uint32_t kNewVersion = 2;

class Baseline {
 public:
  Baseline() = default;
  Baseline(const Baseline&) = delete;
  Baseline& operator=(const Baseline&) = delete;
  virtual ~Baseline() = default;

  // rewrap opens one wrap under the old KEK and wraps the key under the new one; false if it does
  // not open. `aad` is the key's own part of the additional data (GCM). New IVs count from 0. The
  // key passes through the stack and is not wiped: no time is charged for what the others do not
  // offer.
  virtual bool rewrap(const std::uint8_t* in, std::uint8_t* out, const std::uint8_t* aad) = 0;
};

// BaselineEntry makes a Baseline for two KEKs of 32 bytes, or null if the library fails.
struct BaselineEntry {
  const char* name;
  WrapAlgorithm algorithm;
  std::unique_ptr<Baseline> (*make)(std::size_t dek_len, ByteView old_kek, ByteView new_kek);
};

std::span<const BaselineEntry> kw_baselines();
std::span<const BaselineEntry> gcm_baselines();

// evp_gcm_wrap wraps DEKs by OpenSSL, as the records that all GCM cases start from; IVs count from
// 0. `column` has kAadColumnLen bytes per key.
Status evp_gcm_wrap(ByteView kek, std::uint32_t version, std::size_t dek_len, ByteView deks,
                    ByteView column, ByteSpan records);

// Versions of the libraries that run, not of the headers.
const char* openssl_version();
const char* libgcrypt_version();
std::string nettle_version();
std::string botan_version();
const char* ipsecmb_version();

}  // namespace rewrap::bench

#endif  // REWRAP_BENCH_ENGINE_BASELINES_H_
