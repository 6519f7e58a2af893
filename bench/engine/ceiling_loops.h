// The loops behind Ceiling, for the register type of the including file. Isa has to be in an
// unnamed namespace: these functions then belong to that file alone, and code that was compiled for
// wide registers cannot be linked into another.
#ifndef REWRAP_BENCH_ENGINE_CEILING_LOOPS_H_
#define REWRAP_BENCH_ENGINE_CEILING_LOOPS_H_

#include "bench/engine/ceiling.h"

namespace rewrap::bench {

// Rounds of a turn of the loop: the branch at its end must not cost a slot.
inline constexpr unsigned kCeilingUnroll = 10;

template <typename Isa>
void ceiling_throughput(std::uint64_t steps) {
  typename Isa::Register chains[kCeilingChains];
  const auto key = Isa::seed(0);
  for (unsigned c = 0; c < kCeilingChains; ++c) chains[c] = Isa::seed(c + 1);
  for (std::uint64_t i = 0; i < steps; i += kCeilingUnroll) {
    for (unsigned round = 0; round < kCeilingUnroll; round += 2) {
      for (auto& chain : chains) chain = Isa::encrypt(chain, key);
      for (auto& chain : chains) chain = Isa::decrypt(chain, key);
    }
  }
  for (auto& chain : chains) Isa::use(chain);
}

template <typename Isa>
void ceiling_latency(std::uint64_t steps) {
  const auto key = Isa::seed(0);
  auto chain = Isa::seed(1);
  for (std::uint64_t i = 0; i < steps; i += 2) {
    chain = Isa::encrypt(chain, key);
    chain = Isa::decrypt(chain, key);
  }
  Isa::use(chain);
}

// The whitening and the step counter are XORed into round keys beforehand: only 14 rounds and the
// shuffle are in the chain.
template <typename Isa>
void ceiling_key_wrap_chain(std::uint64_t blocks) {
  const auto key = Isa::seed(0);
  auto chain = Isa::seed(1);
  for (std::uint64_t i = 0; i < blocks; i += 2) {
    for (int round = 0; round < 14; ++round) chain = Isa::decrypt(chain, key);
    chain = Isa::shuffle(chain, key);
    for (int round = 0; round < 14; ++round) chain = Isa::encrypt(chain, key);
    chain = Isa::shuffle(chain, key);
  }
  Isa::use(chain);
}

}  // namespace rewrap::bench

#endif  // REWRAP_BENCH_ENGINE_CEILING_LOOPS_H_
