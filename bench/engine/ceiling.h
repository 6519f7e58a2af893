// The speed of this core's AES instructions, in registers only: what no implementation can beat.
// Each width is compiled on its own, with the instructions it needs.
#ifndef REWRAP_BENCH_ENGINE_CEILING_H_
#define REWRAP_BENCH_ENGINE_CEILING_H_

#include <cstdint>
#include <span>

#include "engine/implementation.h"

namespace rewrap::bench {

// Independent chains of AES rounds that `throughput` keeps in flight: more than the latency of one
// round times the rounds that any core starts at once, few enough for 16 registers.
inline constexpr unsigned kCeilingChains = 12;

struct Ceiling {
  const char* name;  // of the register
  unsigned blocks;   // AES blocks per register
  bool (*runs_on)(const CpuFeatures& cpu);
  // throughput does `steps` rounds on every chain, half of them encryption.
  void (*throughput)(std::uint64_t steps);
  // latency does `steps` rounds on one chain.
  void (*latency)(std::uint64_t steps);
  // key_wrap_chain does what one key alone has to wait for: `blocks` AES-256 block operations, each
  // on the result of the one before, with the shuffle that exchanges semiblocks in between.
  void (*key_wrap_chain)(std::uint64_t blocks);
};

// ceilings lists those of this processor's kind, widest last; runs_on says which may be run.
std::span<const Ceiling> ceilings();

// One per width, in a file of its own.
extern const Ceiling kCeilingXmm;
extern const Ceiling kCeilingYmm;
extern const Ceiling kCeilingZmm;

}  // namespace rewrap::bench

#endif  // REWRAP_BENCH_ENGINE_CEILING_H_
