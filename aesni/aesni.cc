// The fused key wrap with AES-NI: one key a register, twelve registers in flight.
#include <immintrin.h>

#include "aesni/kernels.h"
#include "aesni/kw_core.h"
#include "aesni/kw_setup.h"

namespace rewrap::aesni {
namespace {

// The AES instructions are written out, in place: from intrinsics GCC 12 makes a copy of every
// register in every round, which fills the window in which the CPU looks for work.
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
};

}  // namespace

const KwKernel kAesniKw{set_up, Kw<Xmm>::rewrap, Kw<Xmm>::wrap, Kw<Xmm>::unwrap, Kw<Xmm>::check};

}  // namespace rewrap::aesni
