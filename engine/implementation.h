// The implementations of key wrap, the choice among them by CPU or by name, and their self-test.
// Any thread.
#ifndef REWRAP_ENGINE_IMPLEMENTATION_H_
#define REWRAP_ENGINE_IMPLEMENTATION_H_

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "engine/transform.h"

namespace rewrap {

// CpuFeatures are the instruction sets that kernels ask for, as this CPU and operating system offer
// them.
struct CpuFeatures {
  bool aes = false;
  bool sse41 = false;
  bool bmi2 = false;
  bool avx2 = false;
  bool avx512 = false;  // F, BW, DQ and VL
  bool vaes = false;
  bool vpclmulqdq = false;
};
const CpuFeatures& cpu_features();

struct Implementation {
  const char* name;         // what --implementation takes
  const char* description;  // one line
  const char* needs;        // in words, for the list
  bool (*runs_on)(const CpuFeatures& cpu);
  Result<std::unique_ptr<Transform>> (*make)(const TransformSpec& spec);
};

// implementations lists all that were built, best first.
std::span<const Implementation> implementations();

// choose_implementation gives the one called `name`, or the best that this CPU runs if `name` is
// empty, after its self-test has passed (run once per process).
// Errors: kNotFound     no implementation of that name
//         kUnsupported  this CPU cannot run it; nothing else is put in its place
//         kInternal     the self-test failed; it must not be used
Result<const Implementation*> choose_implementation(std::string_view name);

// self_test runs the known answers of RFC 3394, RFC 5649 and GCM through `implementation`, and DEKs
// of every length in the shapes that kernels serve: both ways, from KEK to KEK, and damaged inputs
// that it must refuse, in batches of 1 to 300 keys. Errors: kInternal.
Status self_test(const Implementation& implementation);

}  // namespace rewrap

#endif  // REWRAP_ENGINE_IMPLEMENTATION_H_
