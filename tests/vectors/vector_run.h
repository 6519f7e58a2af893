// Running of one vector through any maker of transforms, alone and among copies of itself in a
// batch.
#ifndef REWRAP_TESTS_VECTORS_VECTOR_RUN_H_
#define REWRAP_TESTS_VECTORS_VECTOR_RUN_H_

#include <cstddef>
#include <functional>
#include <memory>

#include "engine/transform.h"
#include "tests/vectors/vector_file.h"

namespace rewrap::test {

// MakeTransform is Implementation::make, or something that takes the same specs.
using MakeTransform = std::function<Result<std::unique_ptr<Transform>>(const TransformSpec&)>;

// Counts of the cases that were run and came out as the file says.
struct Counts {
  std::size_t good = 0;
  std::size_t refused = 0;
};

// expect_wrap wraps the case's key and compares (NIST's AE).
void expect_wrap(const MakeTransform& make, WrapAlgorithm algorithm, const VectorCase& vector,
                 Counts* counts);

// expect_unwrap opens the case's wrap and compares, or expects its refusal (NIST's AD). The length
// of a KWP key is unknown before it is opened: all eight that fit the wrap are tried; one must
// open, or none if the case must fail.
void expect_unwrap(const MakeTransform& make, WrapAlgorithm algorithm, const VectorCase& vector,
                   Counts* counts);

}  // namespace rewrap::test

#endif  // REWRAP_TESTS_VECTORS_VECTOR_RUN_H_
