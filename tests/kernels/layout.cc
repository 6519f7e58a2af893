// Prints what code_check.py has to know of aesni/kernels.h and aesni/gcm.h, so that the check never
// works with stale offsets.
#include <cstddef>
#include <cstdio>

#include "aesni/gcm.h"
#include "aesni/kernels.h"

namespace {

using rewrap::aesni::GcmBatch;
using rewrap::aesni::GcmKernels;
using rewrap::aesni::GcmShape;
using rewrap::aesni::KwHalf;
using rewrap::aesni::KwKernel;
using rewrap::aesni::KwSide;
using rewrap::aesni::KwState;

void entry(const char* table, const char* name, std::size_t offset) {
  std::printf("entry %s %s %zu\n", table, name, offset);
}

void field(const char* object, std::size_t offset, std::size_t len) {
  std::printf("public %s %zu %zu\n", object, offset, len);
}

}  // namespace

int main() {
  entry("kw", "set_up", offsetof(KwKernel, set_up));
  entry("kw", "rewrap", offsetof(KwKernel, rewrap));
  entry("kw", "wrap", offsetof(KwKernel, wrap));
  entry("kw", "unwrap", offsetof(KwKernel, unwrap));
  entry("kw", "check", offsetof(KwKernel, check));
  entry("gcm", "set_up", offsetof(GcmKernels, set_up));
  entry("gcm", "rewrap", offsetof(GcmKernels, rewrap));
  entry("gcm", "wrap", offsetof(GcmKernels, wrap));
  entry("gcm", "unwrap", offsetof(GcmKernels, unwrap));
  entry("gcm", "check", offsetof(GcmKernels, check));
  // Everything else in these structures counts as secret.
  field("state", offsetof(KwState, unwrap) + offsetof(KwHalf, num_rounds),
        sizeof(KwHalf::num_rounds));
  field("state", offsetof(KwState, wrap) + offsetof(KwHalf, num_rounds),
        sizeof(KwHalf::num_rounds));
  field("state", offsetof(KwState, num_semiblocks), sizeof(KwState::num_semiblocks));
  field("side", offsetof(KwSide, key), sizeof(KwSide::key));  // the pointer, not the key
  field("side", offsetof(KwSide, key_len), sizeof(KwSide::key_len));
  // Numbers, and pointers to what counts as secret.
  field("batch", 0, sizeof(GcmBatch));
  field("shape", 0, sizeof(GcmShape));
}
