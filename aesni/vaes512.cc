// The fused key wrap with AVX-512 and VAES: four keys a register, sixteen registers in flight.
#include <immintrin.h>

#include "aesni/kernels.h"
#include "aesni/kw_core.h"

namespace rewrap::aesni {
namespace {

// The AES instructions are written out, in place: from intrinsics GCC 12 makes a copy of every
// register in every round, which fills the window in which the CPU looks for work.
struct Zmm {
  using Vector = __m512i;
  static constexpr size_t kChains = 16;

  static REWRAP_INLINE Vector load(const void* at) { return _mm512_load_si512(at); }
  static REWRAP_INLINE void store(void* at, Vector v) { _mm512_store_si512(at, v); }
  static REWRAP_INLINE void take_high(Vector* v, const void* at) {
    asm("vshufpd $0xaa, %1, %0, %0" : "+v"(*v) : "m"(*static_cast<const Vector*>(at)));
  }
  template <bool kInverse>
  static REWRAP_INLINE void round(Vector* v, Vector key) {
    if constexpr (kInverse) {
      asm("vaesdec %1, %0, %0" : "+v"(*v) : "v"(key));
    } else {
      asm("vaesenc %1, %0, %0" : "+v"(*v) : "v"(key));
    }
  }
  template <bool kInverse>
  static REWRAP_INLINE void last_round(Vector* v, Vector key) {
    if constexpr (kInverse) {
      asm("vaesdeclast %1, %0, %0" : "+v"(*v) : "v"(key));
    } else {
      asm("vaesenclast %1, %0, %0" : "+v"(*v) : "v"(key));
    }
  }
  static REWRAP_INLINE void clear_registers() {
    asm volatile(
        "vzeroall\n\t"
        ".irp i, 16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n\t"
        "vpxorq %%xmm\\i, %%xmm\\i, %%xmm\\i\n\t"
        ".endr" ::
            : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9",
              "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "xmm16", "xmm17", "xmm18",
              "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25", "xmm26", "xmm27",
              "xmm28", "xmm29", "xmm30", "xmm31");
  }
};

}  // namespace

const KwKernel kVaes512Kw{Kw<Zmm>::set_up, Kw<Zmm>::rewrap, Kw<Zmm>::wrap, Kw<Zmm>::unwrap,
                          Kw<Zmm>::check};

}  // namespace rewrap::aesni
