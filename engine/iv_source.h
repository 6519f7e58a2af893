// The IVs of GCM wraps under one KEK: built from a counter, so that none can come twice
// (SP 800-38D §8.2.1, deterministic construction). Any thread.
#ifndef REWRAP_ENGINE_IV_SOURCE_H_
#define REWRAP_ENGINE_IV_SOURCE_H_

#include <atomic>
#include <cstdint>

#include "engine/base/status.h"

namespace rewrap {

// The most wraps under one KEK version, whoever makes them (SP 800-38D §8.3 asks for this limit
// where IVs are random; here it bounds what one KEK ever encrypts, and is one more than the largest
// invocation number).
inline constexpr std::uint64_t kMaxGcmWraps = std::uint64_t{1} << 32;

// An IV is the fixed field (32 bits, big endian; the KEK version) and the invocation number (64
// bits, big endian). IvSource hands out the numbers first, first + 1, ... to those who wrap, each
// once, and never reaches `end`. Whoever makes a source has to make durable beforehand that no
// other source under this KEK starts before `end`.
class IvSource {
 public:
  IvSource(std::uint32_t fixed_field, std::uint64_t first, std::uint64_t end)
      : fixed_field_(fixed_field), end_(end < kMaxGcmWraps ? end : kMaxGcmWraps), next_(first) {}

  [[nodiscard]] std::uint32_t fixed_field() const { return fixed_field_; }

  // take gives the first of `count` numbers in a row. Errors: kExhausted, and nothing was taken.
  Result<std::uint64_t> take(std::uint64_t count) {
    std::uint64_t first = next_.load(std::memory_order_relaxed);
    do {
      if (first > end_ || count > end_ - first) {
        return Status(Errc::kExhausted, "no IVs are left for GCM wraps under this KEK",
                      "rekey the keyset: a new KEK version starts afresh");
      }
    } while (!next_.compare_exchange_weak(first, first + count, std::memory_order_relaxed));
    return first;
  }

 private:
  std::uint32_t fixed_field_;
  std::uint64_t end_;
  std::atomic<std::uint64_t> next_;
};

}  // namespace rewrap

#endif  // REWRAP_ENGINE_IV_SOURCE_H_
