// The AES ceiling of xmm registers; compiled with -maes.
#include <immintrin.h>

#include "bench/engine/ceiling_loops.h"

namespace rewrap::bench {
namespace {

struct Isa {
  using Register = __m128i;
  static Register seed(unsigned n) { return _mm_set1_epi32(static_cast<int>(n)); }
  static Register encrypt(Register a, Register key) { return _mm_aesenc_si128(a, key); }
  static Register decrypt(Register a, Register key) { return _mm_aesdec_si128(a, key); }
  static Register shuffle(Register a, Register key) { return _mm_unpacklo_epi64(a, key); }
  // Makes the compiler believe that the value is needed.
  static void use(Register a) { asm volatile("" : : "x"(a)); }
};

}  // namespace

const Ceiling kCeilingXmm = {"xmm",
                             1,
                             [](const CpuFeatures& cpu) { return cpu.aes; },
                             ceiling_throughput<Isa>,
                             ceiling_latency<Isa>,
                             ceiling_key_wrap_chain<Isa>};

}  // namespace rewrap::bench
