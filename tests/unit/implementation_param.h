// ImplementationTest: a gtest parametrised over every implementation that was built; skipped where
// the CPU cannot run it.
#ifndef REWRAP_TESTS_UNIT_IMPLEMENTATION_PARAM_H_
#define REWRAP_TESTS_UNIT_IMPLEMENTATION_PARAM_H_

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <ostream>
#include <string>

#include "engine/implementation.h"
#include "tests/unit/test_keys.h"

namespace rewrap {

// PrintTo is what gtest calls to print a parameter; without it the addresses of functions would be
// in the test list.
inline void PrintTo(const Implementation& implementation, std::ostream* out) {
  *out << implementation.name;
}

}  // namespace rewrap

namespace rewrap::test {

class ImplementationTest : public testing::TestWithParam<Implementation> {
 protected:
  void SetUp() override {
    if (!runs_here(implementation())) GTEST_SKIP() << "this CPU lacks " << implementation().needs;
  }

  static const Implementation& implementation() { return GetParam(); }

  // Each of these makes a transform that must be possible; a failure ends the test by an exception.
  static std::unique_ptr<Transform> wrapper(std::size_t key_len, WrapSide to) {
    return implementation().make({key_len, std::nullopt, to, false}).value();
  }
  static std::unique_ptr<Transform> unwrapper(std::size_t key_len, WrapSide from) {
    return implementation().make({key_len, from, std::nullopt, false}).value();
  }
  static std::unique_ptr<Transform> checker(std::size_t key_len, WrapSide from) {
    return implementation().make({key_len, from, std::nullopt, true}).value();
  }
  static std::unique_ptr<Transform> rewrapper(std::size_t key_len, WrapSide from, WrapSide to) {
    return implementation().make({key_len, from, to, false}).value();
  }
};

inline std::string implementation_name(const testing::TestParamInfo<Implementation>& info) {
  return info.param.name;
}

}  // namespace rewrap::test

#define REWRAP_FOR_EACH_IMPLEMENTATION(suite)                                                    \
  INSTANTIATE_TEST_SUITE_P(                                                                      \
      Implementations, suite,                                                                    \
      testing::ValuesIn(::rewrap::implementations().begin(), ::rewrap::implementations().end()), \
      ::rewrap::test::implementation_name)

#endif  // REWRAP_TESTS_UNIT_IMPLEMENTATION_PARAM_H_
