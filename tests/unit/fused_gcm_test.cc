// Which batches the fused GCM transform gives to the kernels, which to its fallback, and its IVs.
#include "engine/fused_gcm.h"

#include <gtest/gtest.h>

#include <utility>

#include "aesni/gcm.h"
#include "tests/hsm/expect_code.h"
#include "tests/unit/test_keys.h"

namespace rewrap {
namespace {

constexpr std::size_t kNum = 9;
constexpr std::size_t kKeyLen = 32;
constexpr std::size_t kStride = 24;

// Spy counts the runs that come to the fallback.
class Spy final : public Transform {
 public:
  Spy(std::size_t in_len, std::size_t out_len, std::size_t* num_runs)
      : in_len_(in_len), out_len_(out_len), num_runs_(num_runs) {}
  [[nodiscard]] std::size_t in_len() const override { return in_len_; }
  [[nodiscard]] std::size_t out_len() const override { return out_len_; }

 private:
  Status transform(const Batch& /*batch*/) override {
    ++*num_runs_;
    return Status(Errc::kUnavailable, "the fallback was asked");
  }
  std::size_t in_len_;
  std::size_t out_len_;
  std::size_t* num_runs_;
};

class FusedGcmTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!test::runs_here_by_name("vaes512")) GTEST_SKIP() << "this CPU cannot run vaes512";
  }

  WrapSide side(const Kek& kek) { return {WrapAlgorithm::kGcm, &kek, {prefix_, &ivs_}}; }

  std::unique_ptr<Transform> make(const TransformSpec& spec) {
    EXPECT_OK(validate(spec));
    EXPECT_TRUE(is_fused_gcm(spec));
    const std::size_t record_len = wrapped_len(WrapAlgorithm::kGcm, spec.key_len);
    const std::size_t in_len = spec.from ? record_len : spec.key_len;
    const std::size_t out_len = spec.check_only ? 0 : spec.to ? record_len : spec.key_len;
    auto fused = make_fused_gcm(aesni::kVaes512Gcm, spec,
                                std::make_unique<Spy>(in_len, out_len, &num_fallback_runs_));
    EXPECT_EQ(fused.value()->in_len(), in_len);
    EXPECT_EQ(fused.value()->out_len(), out_len);
    return std::move(fused).value();
  }

  [[nodiscard]] AadColumn column(std::size_t len = 16, std::size_t at = 0) const {
    return {ByteView(aad_).subspan(at), len, kStride};
  }

  test::Random random_{83};
  Kek old_ = test::make_kek(random_.bytes(32));
  Kek new_ = test::make_kek(random_.bytes(32));
  Bytes prefix_ = random_.bytes(16);
  Bytes aad_ = random_.bytes((kNum + 1) * kStride);
  Bytes keys_ = random_.bytes(kNum * kKeyLen);
  IvSource ivs_{7, 100, 200};
  std::size_t num_fallback_runs_ = 0;
};

TEST_F(FusedGcmTest, WrapRewrapUnwrapAndCheckFitTogether) {
  const auto wrap = make({kKeyLen, std::nullopt, side(old_), false});
  const auto rewrap = make({kKeyLen, side(old_), side(new_), false});
  const auto check = make({kKeyLen, side(new_), std::nullopt, true});
  const auto unwrap = make({kKeyLen, side(new_), std::nullopt, false});
  Bytes records(kNum * 64);
  Bytes verdicts(kNum, 0xee);
  ASSERT_OK(wrap->run({keys_, records, verdicts, {}, column()}));
  EXPECT_EQ(load_be64(records.data() + 4), 100U);
  records[3 * 64 + 20] ^= 1;
  ASSERT_OK(rewrap->run({records, records, verdicts, column(), column()}));
  EXPECT_EQ(load_be32(records.data()), 7U);
  EXPECT_EQ(load_be64(records.data() + 4), 100 + kNum);
  Bytes want_verdicts(kNum, kIntact);
  want_verdicts[3] = kDamaged;
  EXPECT_EQ(verdicts, want_verdicts);
  ASSERT_OK(check->run({records, {}, verdicts, column(), {}}));
  EXPECT_EQ(verdicts, want_verdicts);
  Bytes opened(keys_.size());
  ASSERT_OK(unwrap->run({records, opened, verdicts, column(), {}}));
  wipe(ByteSpan(keys_).subspan(3 * kKeyLen, kKeyLen));
  EXPECT_EQ(opened, keys_);
  EXPECT_EQ(num_fallback_runs_, 0U);
}

TEST_F(FusedGcmTest, OtherAdditionalDataGoesToTheFallback) {
  const auto rewrap = make({kKeyLen, side(old_), side(new_), false});
  const auto wrap = make({kKeyLen, std::nullopt, side(new_), false});
  const auto check = make({kKeyLen, side(old_), std::nullopt, true});
  Bytes records(kNum * 64);
  Bytes verdicts(kNum);
  const Bytes elsewhere = aad_;
  AadColumn other_stride = column();
  other_stride.stride = kStride + 1;
  const Batch batches[] = {
      {records, records, verdicts, {}, {}},
      {records, records, verdicts, column(), {}},
      {records, records, verdicts, {}, column()},
      {records, records, verdicts, column(15), column(15)},
      {records, records, verdicts, column(17), column(17)},
      {records, records, verdicts, column(16), column(15)},
      {records, records, verdicts, column(), column(16, 1)},
      {records, records, verdicts, column(), other_stride},
      {records, records, verdicts, column(), {elsewhere, 16, kStride}},
  };
  std::size_t num_runs = 0;
  for (const Batch& batch : batches) {
    EXPECT_CODE(rewrap->run(batch), Errc::kUnavailable);
    EXPECT_EQ(num_fallback_runs_, ++num_runs);
  }
  EXPECT_CODE(wrap->run({keys_, records, verdicts, {}, column(12)}), Errc::kUnavailable);
  EXPECT_CODE(check->run({records, {}, verdicts, {}, {}}), Errc::kUnavailable);
  EXPECT_EQ(num_fallback_runs_, num_runs + 2);
  EXPECT_EQ(ivs_.take(1).value(), 100U) << "the fallback takes its own IVs";
}

TEST_F(FusedGcmTest, WithoutIvsNothingIsDone) {
  const auto wrap = make({kKeyLen, std::nullopt, side(new_), false});
  ASSERT_OK(ivs_.take(100 - kNum + 1));
  Bytes records(kNum * 64, 0xcd);
  Bytes verdicts(kNum, 0xcd);
  EXPECT_CODE(wrap->run({keys_, records, verdicts, {}, column()}), Errc::kExhausted);
  EXPECT_EQ(records, Bytes(kNum * 64, 0xcd));
  EXPECT_EQ(verdicts, Bytes(kNum, 0xcd));
}

TEST_F(FusedGcmTest, SpecsThatTheKernelsDoNotServe) {
  const Kek short_kek = test::make_kek(random_.bytes(16));
  WrapSide odd_prefix = side(old_);
  odd_prefix.gcm.aad_prefix = ByteView(prefix_).first(15);
  const WrapSide kw{WrapAlgorithm::kKw, &old_};
  EXPECT_TRUE(is_fused_gcm({32, side(old_), side(new_), false}));
  EXPECT_FALSE(is_fused_gcm({32, side(short_kek), side(new_), false}));
  EXPECT_FALSE(is_fused_gcm({32, side(old_), side(short_kek), false}));
  EXPECT_FALSE(is_fused_gcm({32, odd_prefix, side(new_), false}));
  EXPECT_FALSE(is_fused_gcm({32, kw, side(new_), false}));
  EXPECT_FALSE(is_fused_gcm({32, side(old_), kw, false}));
  EXPECT_FALSE(is_fused_gcm({40, side(old_), side(new_), false}));
  for (const std::size_t key_len : kDekLens) {
    EXPECT_TRUE(is_fused_gcm({key_len, side(old_), std::nullopt, true}));
  }
}

}  // namespace
}  // namespace rewrap
