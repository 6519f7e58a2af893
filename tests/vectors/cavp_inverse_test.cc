// NIST's CAVP files in which the designated cipher function is the AES inverse cipher (SP 800-38F
// §5.1). No product of ours wraps so; but they are twelve more files that the step-sliced code must
// agree with, over a cipher turned round.
#include <gtest/gtest.h>

#include <iostream>
#include <string>
#include <tuple>

#include "engine/step_sliced.h"
#include "tests/unit/test_keys.h"
#include "tests/vectors/vector_run.h"

namespace rewrap {
namespace {

constexpr std::size_t kNumCases = 500;
constexpr std::size_t kNumRefusedInAd = 100;

// InverseCipher encrypts by decrypting and the other way round.
class InverseCipher final : public EcbCipher {
 public:
  explicit InverseCipher(std::unique_ptr<EcbCipher> forward) : forward_(std::move(forward)) {}
  Status encrypt(ByteSpan blocks) override { return forward_->decrypt(blocks); }
  Status decrypt(ByteSpan blocks) override { return forward_->encrypt(blocks); }
  [[nodiscard]] std::size_t preferred_lanes() const override { return forward_->preferred_lanes(); }

 private:
  std::unique_ptr<EcbCipher> forward_;
};

Result<std::optional<SlicedSide>> inverse_side(const std::optional<WrapSide>& side) {
  if (!side) return std::optional<SlicedSide>();
  REWRAP_ASSIGN(auto forward, make_openssl_ecb(*side->kek));
  return std::optional<SlicedSide>(
      SlicedSide{side->algorithm, std::make_unique<InverseCipher>(std::move(forward))});
}

Result<std::unique_ptr<Transform>> make_inverse(const TransformSpec& spec) {
  REWRAP_TRY(validate(spec));
  REWRAP_ASSIGN(auto from, inverse_side(spec.from));
  REWRAP_ASSIGN(auto to, inverse_side(spec.to));
  return make_step_sliced(spec.key_len, std::move(from), std::move(to), spec.check_only);
}

using Case = std::tuple<WrapAlgorithm, std::string, int>;

std::string file_of(const Case& param) {
  const auto& [algorithm, direction, kek_bits] = param;
  const std::string name = algorithm == WrapAlgorithm::kKw ? "KW_" : "KWP_";
  return name + direction + "_" + std::to_string(kek_bits) + "_inv";
}

class CavpInverseTest : public testing::TestWithParam<Case> {};

TEST_P(CavpInverseTest, EveryCase) {
  const auto& [algorithm, direction, kek_bits] = GetParam();
  const bool encrypts = direction == "AE";
  test::Counts counts;
  for (const auto& vector :
       test::read_vector_file("kwtestvectors/" + file_of(GetParam()) + ".txt")) {
    ASSERT_EQ(vector.kek.size() * 8, static_cast<std::size_t>(kek_bits)) << vector.where;
    if (encrypts) {
      expect_wrap(make_inverse, algorithm, vector, &counts);
    } else {
      expect_unwrap(make_inverse, algorithm, vector, &counts);
    }
  }
  std::cout << file_of(GetParam()) << ": " << counts.good << " good, " << counts.refused
            << " refused\n";
  EXPECT_EQ(counts.good + counts.refused, kNumCases);
  EXPECT_EQ(counts.refused, encrypts ? 0 : kNumRefusedInAd);
}

std::string case_name(const testing::TestParamInfo<Case>& info) { return file_of(info.param); }
INSTANTIATE_TEST_SUITE_P(Files, CavpInverseTest,
                         testing::Combine(testing::Values(WrapAlgorithm::kKw, WrapAlgorithm::kKwp),
                                          testing::Values("AE", "AD"),
                                          testing::Values(128, 192, 256)),
                         case_name);

}  // namespace
}  // namespace rewrap
