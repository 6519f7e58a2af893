// The AES ceiling of ymm registers; compiled with -mavx2 -mvaes.
#include <immintrin.h>

#include "bench/engine/ceiling_loops.h"

namespace rewrap::bench {
namespace {

struct Isa {
  using Register = __m256i;
  static Register seed(unsigned n) { return _mm256_set1_epi32(static_cast<int>(n)); }
  static Register encrypt(Register a, Register key) { return _mm256_aesenc_epi128(a, key); }
  static Register decrypt(Register a, Register key) { return _mm256_aesdec_epi128(a, key); }
  static Register shuffle(Register a, Register key) { return _mm256_unpacklo_epi64(a, key); }
  // Makes the compiler believe that the value is needed.
  static void use(Register a) { asm volatile("" : : "x"(a)); }
};

}  // namespace

const Ceiling kCeilingYmm = {"ymm",
                             2,
                             [](const CpuFeatures& cpu) { return cpu.vaes && cpu.avx2; },
                             ceiling_throughput<Isa>,
                             ceiling_latency<Isa>,
                             ceiling_key_wrap_chain<Isa>};

}  // namespace rewrap::bench
