// EXPECT_CODE and ASSERT_OK for Status and Result, with the error's own words where they fail.
#ifndef REWRAP_TESTS_HSM_EXPECT_CODE_H_
#define REWRAP_TESTS_HSM_EXPECT_CODE_H_

#include <gtest/gtest.h>

#include <string>

#include "engine/base/status.h"

namespace rewrap::test {

inline const Status& status_of(const Status& status) { return status; }
template <typename T>
const Status& status_of(const Result<T>& result) {
  return result.status();
}

inline std::string words_of(const Status& status) {
  return std::string(errc_name(status.code())) + ": " + status.describe() +
         " | hint: " + status.hint();
}

template <typename T>
testing::AssertionResult has_code(const char* expr, const char* /*expected_expr*/, const T& seen,
                                  Errc expected) {
  const Status& status = status_of(seen);
  if (status.code() == expected) return testing::AssertionSuccess();
  return testing::AssertionFailure()
         << expr << " should give " << errc_name(expected) << " but gave " << words_of(status);
}

}  // namespace rewrap::test

#define EXPECT_CODE(expr, expected) EXPECT_PRED_FORMAT2(::rewrap::test::has_code, expr, expected)
#define EXPECT_OK(expr) EXPECT_CODE(expr, ::rewrap::Errc::kOk)
#define ASSERT_OK(expr) ASSERT_PRED_FORMAT2(::rewrap::test::has_code, expr, ::rewrap::Errc::kOk)

#endif  // REWRAP_TESTS_HSM_EXPECT_CODE_H_
