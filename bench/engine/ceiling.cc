// The list of ceilings.
#include "bench/engine/ceiling.h"

namespace rewrap::bench {

std::span<const Ceiling> ceilings() {
#if defined(__x86_64__)
  static const Ceiling list[] = {kCeilingXmm, kCeilingYmm, kCeilingZmm};
  return list;
#else
  return {};
#endif
}

}  // namespace rewrap::bench
