// The fused key wrap with AVX2 and VAES: two keys a register, twelve registers in flight.
#include <immintrin.h>

#include "aesni/kernels.h"
#include "aesni/kw_core.h"

namespace rewrap::aesni {
namespace {

// Written out for the reason that vaes512.cc gives.
struct Ymm {
  using Vector = __m256i;
  static constexpr size_t kChains = 12;

  static REWRAP_INLINE Vector load(const void* at) {
    return _mm256_load_si256(static_cast<const Vector*>(at));
  }
  static REWRAP_INLINE void store(void* at, Vector v) {
    _mm256_store_si256(static_cast<Vector*>(at), v);
  }
  static REWRAP_INLINE void take_high(Vector* v, const void* at) {
    asm("vshufpd $0xa, %1, %0, %0" : "+x"(*v) : "m"(*static_cast<const Vector*>(at)));
  }
  template <bool kInverse>
  static REWRAP_INLINE void round(Vector* v, Vector key) {
    if constexpr (kInverse) {
      asm("vaesdec %1, %0, %0" : "+x"(*v) : "x"(key));
    } else {
      asm("vaesenc %1, %0, %0" : "+x"(*v) : "x"(key));
    }
  }
  template <bool kInverse>
  static REWRAP_INLINE void last_round(Vector* v, Vector key) {
    if constexpr (kInverse) {
      asm("vaesdeclast %1, %0, %0" : "+x"(*v) : "x"(key));
    } else {
      asm("vaesenclast %1, %0, %0" : "+x"(*v) : "x"(key));
    }
  }
  static REWRAP_INLINE void clear_registers() {
    asm volatile("vzeroall" ::
                     : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8",
                       "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
  }
};

}  // namespace

const KwKernel kVaes256Kw{Kw<Ymm>::set_up, Kw<Ymm>::rewrap, Kw<Ymm>::wrap, Kw<Ymm>::unwrap,
                          Kw<Ymm>::check};

}  // namespace rewrap::aesni
