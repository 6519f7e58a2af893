// NIST's CAVP files for AES key wrap with the forward cipher, every case through every
// implementation by its name. TKW (three-key TDEA) is not an algorithm of ours; its files are left
// alone.
#include <gtest/gtest.h>

#include <iostream>
#include <string>
#include <tuple>

#include "engine/implementation.h"
#include "tests/hsm/expect_code.h"
#include "tests/unit/implementation_param.h"
#include "tests/vectors/vector_run.h"

namespace rewrap {
namespace {

// How many cases each file holds; fewer would be a file cut short.
constexpr std::size_t kNumCases = 500;
constexpr std::size_t kNumRefusedInAd = 100;

using Case = std::tuple<Implementation, WrapAlgorithm, std::string, int>;

std::string file_of(const Case& param) {
  const auto& [implementation, algorithm, direction, kek_bits] = param;
  const std::string name = algorithm == WrapAlgorithm::kKw ? "KW_" : "KWP_";
  return name + direction + "_" + std::to_string(kek_bits);
}

class CavpTest : public testing::TestWithParam<Case> {};

TEST_P(CavpTest, EveryCase) {
  const auto& [param, algorithm, direction, kek_bits] = GetParam();
  if (!test::runs_here(param)) GTEST_SKIP() << "this CPU lacks " << param.needs;
  const auto chosen = choose_implementation(param.name);
  ASSERT_OK(chosen);
  ASSERT_STREQ(chosen.value()->name, param.name);
  const bool encrypts = direction == "AE";
  test::Counts counts;
  for (const auto& vector :
       test::read_vector_file("kwtestvectors/" + file_of(GetParam()) + ".txt")) {
    ASSERT_EQ(vector.kek.size() * 8, static_cast<std::size_t>(kek_bits)) << vector.where;
    if (encrypts) {
      expect_wrap(chosen.value()->make, algorithm, vector, &counts);
    } else {
      expect_unwrap(chosen.value()->make, algorithm, vector, &counts);
    }
  }
  std::cout << file_of(GetParam()) << ": " << counts.good << " good, " << counts.refused
            << " refused, by " << param.name << "\n";
  EXPECT_EQ(counts.good + counts.refused, kNumCases);
  EXPECT_EQ(counts.refused, encrypts ? 0 : kNumRefusedInAd);
}

std::string case_name(const testing::TestParamInfo<Case>& info) {
  return std::string(std::get<0>(info.param).name) + "_" + file_of(info.param);
}
INSTANTIATE_TEST_SUITE_P(
    Implementations, CavpTest,
    testing::Combine(testing::ValuesIn(implementations().begin(), implementations().end()),
                     testing::Values(WrapAlgorithm::kKw, WrapAlgorithm::kKwp),
                     testing::Values("AE", "AD"), testing::Values(128, 192, 256)),
    case_name);

}  // namespace
}  // namespace rewrap
