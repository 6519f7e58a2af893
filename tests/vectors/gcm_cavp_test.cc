// NIST's CAVP files for AES-GCM, those cases that can stand in a record: IVs of 96 bits, tags of
// 128, a plaintext of at least one byte. Every one of them is opened, through every implementation
// by its name; the cases left out are counted by their reason. NIST's IVs are not those that we
// give, so the cases of encryption are opened as well.
#include <gtest/gtest.h>

#include <iostream>
#include <string>
#include <tuple>

#include "engine/implementation.h"
#include "tests/hsm/expect_code.h"
#include "tests/unit/implementation_param.h"
#include "tests/unit/test_keys.h"
#include "tests/vectors/gcm_vector_file.h"

namespace rewrap {
namespace {

using test::GcmVector;

// What each of the six files holds; anything else would be a file cut short or misread.
constexpr std::size_t kNumCases = 7875;
constexpr std::size_t kNumOtherIvLen = 5250;
constexpr std::size_t kNumOtherTagLen = 2250;  // of those with IVs of 96 bits
constexpr std::size_t kNumEmpty = 75;          // of those that are left
constexpr std::size_t kNumRun = 300;

// How many of a file's kNumRun cases say FAIL.
std::size_t num_refused(const std::string& file) {
  if (file == "gcmDecrypt128") return 152;
  if (file == "gcmDecrypt192") return 151;
  if (file == "gcmDecrypt256") return 153;
  return 0;
}

// How much of the additional data is the prefix. The kernels take whole blocks, of which the last
// is a key's own: data of 16 and of 48 bytes can be cut so. The rest is halved.
std::size_t prefix_len(std::size_t aad_len) {
  return aad_len == 16 || aad_len == 48 ? aad_len - 16 : aad_len / 2;
}

// Alone, and in more copies than any kernel has lanes.
constexpr std::size_t kBatches[] = {1, 67};

using Case = std::tuple<Implementation, std::string>;
class GcmCavpTest : public testing::TestWithParam<Case> {
 protected:
  // opened runs the case in batches, which must agree, and gives the key, or nothing if refused.
  static std::optional<Bytes> opened(const Implementation& implementation,
                                     const GcmVector& vector) {
    const Kek kek = test::make_kek(vector.kek);
    Bytes record = vector.iv;
    record.resize(kGcmIvFieldLen);
    record.insert(record.end(), vector.ciphertext.begin(), vector.ciphertext.end());
    record.insert(record.end(), vector.tag.begin(), vector.tag.end());
    // The first part of the additional data is the same for all, the rest stands once per key.
    const ByteView prefix = ByteView(vector.aad).first(prefix_len(vector.aad.size()));
    const ByteView own = ByteView(vector.aad).subspan(prefix.size());
    const std::size_t key_len = vector.ciphertext.size();
    const WrapSide side{WrapAlgorithm::kGcm, &kek, {prefix, nullptr}};
    auto transform = implementation.make({key_len, side, std::nullopt, false});
    EXPECT_OK(transform);
    std::optional<Bytes> key;
    for (const std::size_t num : kBatches) {
      Bytes in;
      Bytes aads;
      for (std::size_t k = 0; k < num; ++k) {
        in.insert(in.end(), record.begin(), record.end());
        aads.insert(aads.end(), own.begin(), own.end());
      }
      Bytes out(num * key_len, 0xee);
      Bytes verdicts(num, 0xee);
      EXPECT_OK(transform.value()->run({in, out, verdicts, {aads, own.size(), own.size()}, {}}));
      if (num == 1 && verdicts[0] == kIntact) key = out;
      EXPECT_EQ(verdicts, Bytes(num, key ? kIntact : kDamaged)) << vector.where;
      for (std::size_t k = 0; k < num; ++k) {
        const Bytes one(&out[k * key_len], &out[k * key_len] + key_len);
        EXPECT_EQ(one, key ? *key : Bytes(key_len, 0)) << vector.where;
      }
    }
    return key;
  }
};

TEST_P(GcmCavpTest, EveryCaseThatARecordCanHold) {
  const auto& [param, file] = GetParam();
  if (!test::runs_here(param)) GTEST_SKIP() << "this CPU lacks " << param.needs;
  const auto chosen = choose_implementation(param.name);
  ASSERT_OK(chosen);
  std::size_t other_iv_len = 0;
  std::size_t other_tag_len = 0;
  std::size_t empty = 0;
  std::size_t good = 0;
  std::size_t refused = 0;
  const auto vectors = test::read_gcm_vector_file(file + ".rsp");
  for (const GcmVector& vector : vectors) {
    if (vector.iv.size() != kGcmIvLen) {
      ++other_iv_len;
    } else if (vector.tag.size() != kGcmTagLen) {
      ++other_tag_len;
    } else if (vector.ciphertext.empty()) {
      ++empty;
    } else {
      const auto key = opened(*chosen.value(), vector);
      ASSERT_EQ(key.has_value(), !vector.must_fail) << vector.where;
      if (key) {
        ASSERT_EQ(*key, vector.plaintext) << vector.where;
      }
      ++(key ? good : refused);
    }
  }
  std::cout << file << ": " << good << " opened, " << refused << " refused, by " << param.name
            << "; left out: " << other_iv_len << " with IVs of other than 96 bits, "
            << other_tag_len << " with tags of other than 128 bits, " << empty
            << " without plaintext\n";
  EXPECT_EQ(vectors.size(), kNumCases);
  EXPECT_EQ(other_iv_len, kNumOtherIvLen);
  EXPECT_EQ(other_tag_len, kNumOtherTagLen);
  EXPECT_EQ(empty, kNumEmpty);
  EXPECT_EQ(good + refused, kNumRun);
  EXPECT_EQ(refused, num_refused(file));
}

std::string case_name(const testing::TestParamInfo<Case>& info) {
  return std::string(std::get<0>(info.param).name) + "_" + std::get<1>(info.param);
}
INSTANTIATE_TEST_SUITE_P(
    Implementations, GcmCavpTest,
    testing::Combine(testing::ValuesIn(implementations().begin(), implementations().end()),
                     testing::Values("gcmDecrypt128", "gcmDecrypt192", "gcmDecrypt256",
                                     "gcmEncryptExtIV128", "gcmEncryptExtIV192",
                                     "gcmEncryptExtIV256")),
    case_name);

}  // namespace
}  // namespace rewrap
