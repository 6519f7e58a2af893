// The AES ceiling of zmm registers; compiled with -mavx512f -mvaes.
#include <immintrin.h>

#include "bench/engine/ceiling_loops.h"

namespace rewrap::bench {
namespace {

struct Isa {
  using Register = __m512i;
  static Register seed(unsigned n) { return _mm512_set1_epi32(static_cast<int>(n)); }
  static Register encrypt(Register a, Register key) { return _mm512_aesenc_epi128(a, key); }
  static Register decrypt(Register a, Register key) { return _mm512_aesdec_epi128(a, key); }
  static Register shuffle(Register a, Register key) {
    return _mm512_maskz_unpacklo_epi64(0xff, a, key);
  }
  // Makes the compiler believe that the value is needed.
  static void use(Register a) { asm volatile("" : : "v"(a)); }
};

}  // namespace

const Ceiling kCeilingZmm = {"zmm",
                             4,
                             [](const CpuFeatures& cpu) { return cpu.vaes && cpu.avx512; },
                             ceiling_throughput<Isa>,
                             ceiling_latency<Isa>,
                             ceiling_key_wrap_chain<Isa>};

}  // namespace rewrap::bench
