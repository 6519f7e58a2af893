// The KWP vectors that came from Botan: RFC 5649's two, and keys of every length from 1 to 80 bytes
// and more by OpenSSL.
#include <gtest/gtest.h>

#include <iostream>

#include "tests/unit/implementation_param.h"
#include "tests/vectors/vector_run.h"

namespace rewrap {
namespace {

constexpr std::size_t kNumCases = 129;

class BotanTest : public test::ImplementationTest {};

TEST_P(BotanTest, EveryCaseBothWays) {
  test::Counts wrapped;
  test::Counts opened;
  for (const auto& vector : test::read_vector_file("kwp_botan.txt")) {
    expect_wrap(implementation().make, WrapAlgorithm::kKwp, vector, &wrapped);
    expect_unwrap(implementation().make, WrapAlgorithm::kKwp, vector, &opened);
  }
  std::cout << "kwp_botan: " << wrapped.good << " wrapped, " << opened.good << " opened, by "
            << implementation().name << "\n";
  EXPECT_EQ(wrapped.good, kNumCases);
  EXPECT_EQ(opened.good, kNumCases);
}

REWRAP_FOR_EACH_IMPLEMENTATION(BotanTest);

}  // namespace
}  // namespace rewrap
