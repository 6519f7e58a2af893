// The fused key wrap with AES-NI: one key a register, twelve registers in flight.
#include <immintrin.h>

#include "aesni/kernels.h"
#include "aesni/kw_core.h"

namespace rewrap::aesni {
namespace {

// Written out for the reason that vaes512.cc gives.
struct Xmm {
  using Vector = __m128i;
  static constexpr size_t kChains = 12;

  static REWRAP_INLINE Vector load(const void* at) {
    return _mm_load_si128(static_cast<const Vector*>(at));
  }
  static REWRAP_INLINE void store(void* at, Vector v) {
    _mm_store_si128(static_cast<Vector*>(at), v);
  }
  static REWRAP_INLINE void take_high(Vector* v, const void* at) {
    asm("shufpd $2, %1, %0" : "+x"(*v) : "m"(*static_cast<const Vector*>(at)));
  }
  template <bool kInverse>
  static REWRAP_INLINE void round(Vector* v, Vector key) {
    if constexpr (kInverse) {
      asm("aesdec %1, %0" : "+x"(*v) : "x"(key));
    } else {
      asm("aesenc %1, %0" : "+x"(*v) : "x"(key));
    }
  }
  template <bool kInverse>
  static REWRAP_INLINE void last_round(Vector* v, Vector key) {
    if constexpr (kInverse) {
      asm("aesdeclast %1, %0" : "+x"(*v) : "x"(key));
    } else {
      asm("aesenclast %1, %0" : "+x"(*v) : "x"(key));
    }
  }
  static REWRAP_INLINE void clear_registers() {
    asm volatile(
        ".irp i, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n\t"
        "pxor %%xmm\\i, %%xmm\\i\n\t"
        ".endr" ::
            : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9",
              "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
  }
};

}  // namespace

const KwKernel kAesniKw{Kw<Xmm>::set_up, Kw<Xmm>::rewrap, Kw<Xmm>::wrap, Kw<Xmm>::unwrap,
                        Kw<Xmm>::check};

}  // namespace rewrap::aesni
