// Prints what code_check.py has to know of aesni/kernels.h, so that the check never works with
// stale offsets.
#include <cstddef>
#include <cstdio>

#include "aesni/kernels.h"

namespace {

using rewrap::aesni::KwHalf;
using rewrap::aesni::KwKernel;
using rewrap::aesni::KwSide;
using rewrap::aesni::KwState;

void entry(const char* name, std::size_t offset) { std::printf("entry %s %zu\n", name, offset); }

void field(const char* object, std::size_t offset, std::size_t len) {
  std::printf("public %s %zu %zu\n", object, offset, len);
}

}  // namespace

int main() {
  entry("set_up", offsetof(KwKernel, set_up));
  entry("rewrap", offsetof(KwKernel, rewrap));
  entry("wrap", offsetof(KwKernel, wrap));
  entry("unwrap", offsetof(KwKernel, unwrap));
  entry("check", offsetof(KwKernel, check));
  // Everything else in these structures counts as secret.
  field("state", offsetof(KwState, unwrap) + offsetof(KwHalf, num_rounds),
        sizeof(KwHalf::num_rounds));
  field("state", offsetof(KwState, wrap) + offsetof(KwHalf, num_rounds),
        sizeof(KwHalf::num_rounds));
  field("state", offsetof(KwState, num_semiblocks), sizeof(KwState::num_semiblocks));
  field("side", offsetof(KwSide, key), sizeof(KwSide::key));  // the pointer, not the key
  field("side", offsetof(KwSide, key_len), sizeof(KwSide::key_len));
}
