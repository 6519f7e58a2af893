// What a kernel leaves in the vector registers. For CPUs with AVX-512.
#ifndef REWRAP_TESTS_UNIT_VECTOR_REGISTERS_H_
#define REWRAP_TESTS_UNIT_VECTOR_REGISTERS_H_

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

namespace rewrap::test {

// vector_registers_are_zero looks at the first `len` bytes of the registers `first` to `end` - 1.
// Those below 16 serve the C++ library too: ask for them only straight after the call, and not for
// the first few.
inline bool vector_registers_are_zero(std::size_t first, std::size_t end = 32,
                                      std::size_t len = 64) {
  constexpr std::size_t kRegisterLen = 64;
  std::array<std::uint8_t, 32 * kRegisterLen> bytes;
  asm volatile(
      ".irp i, "
      "0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31"
      "\n\tvmovdqu64 %%zmm\\i, 64*\\i(%0)\n\t.endr"
      :
      : "r"(bytes.data())
      : "memory");
  for (std::size_t i = first; i < end; ++i) {
    const auto* at = bytes.data() + i * kRegisterLen;
    if (std::any_of(at, at + len, [](std::uint8_t b) { return b != 0; })) return false;
  }
  return true;
}

}  // namespace rewrap::test

#endif  // REWRAP_TESTS_UNIT_VECTOR_REGISTERS_H_
