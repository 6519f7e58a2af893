// What the cases work on: keys, their wraps, and the transforms and libraries that treat them.
#ifndef REWRAP_BENCH_ENGINE_WORKLOAD_H_
#define REWRAP_BENCH_ENGINE_WORKLOAD_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

#include "bench/engine/baselines.h"
#include "engine/implementation.h"

namespace rewrap::bench {

enum class Work { kRewrap, kVerify, kWrap, kUnwrap };
const char* work_name(Work work);

// AlignedBytes starts at a page, as a store's records may; vectors would start anywhere.
class AlignedBytes {
 public:
  explicit AlignedBytes(std::size_t len);
  [[nodiscard]] ByteSpan span() const { return {bytes_.get(), len_}; }

 private:
  struct Deleter {
    void operator()(std::uint8_t* bytes) const;
  };
  std::unique_ptr<std::uint8_t, Deleter> bytes_;
  std::size_t len_;
};

// Workload is `num` random DEKs, their wraps under the old KEK, additional data, and room for
// results, which all cases on it share. The DEKs are random numbers, nobody's keys: no secret
// memory is spent on them.
struct Workload {
  WrapAlgorithm algorithm;
  std::size_t dek_len;
  std::size_t num;
  AlignedBytes deks;
  AlignedBytes wraps;
  AlignedBytes results;
  AlignedBytes verdicts;
  AlignedBytes column;

  static Result<std::shared_ptr<Workload>> make(WrapAlgorithm algorithm, std::size_t dek_len,
                                                std::size_t num);
  [[nodiscard]] std::size_t wrap_len() const { return wrapped_len(algorithm, dek_len); }

 private:
  Workload(WrapAlgorithm which, std::size_t len, std::size_t count);
};

// Turn is one step of a case, as in Case.
using Turn = std::function<bool(unsigned thread)>;

// engine_turn and baseline_turn give each of `threads` threads its own transform or library context
// and its own share of the workload, through which it walks `chunk` keys a turn, again and again.
// Errors: what the implementation refuses; kInternal if a library does.
Result<Turn> engine_turn(const Implementation& implementation, Work work,
                         const std::shared_ptr<Workload>& workload, unsigned threads,
                         std::size_t chunk);
Result<Turn> baseline_turn(const BaselineEntry& entry, const std::shared_ptr<Workload>& workload,
                           unsigned threads, std::size_t chunk);

// agrees says whether `turn`, over the whole of a workload, gives the bytes that `reference` gives:
// else its time means nothing.
bool agrees(const Turn& turn, const BaselineEntry& reference, const Workload& workload);

}  // namespace rewrap::bench

#endif  // REWRAP_BENCH_ENGINE_WORKLOAD_H_
