// GCM wraps: the record, every key length, the IVs, the additional data, and every bit that counts.
#include <gtest/gtest.h>

#include <algorithm>

#include "engine/openssl_gcm.h"
#include "engine/two_step.h"
#include "tests/hsm/expect_code.h"
#include "tests/unit/implementation_param.h"
#include "tests/unit/openssl_reference.h"
#include "tests/unit/test_keys.h"

namespace rewrap {
namespace {

using test::make_kek;
using test::openssl_gcm_wrap;

constexpr std::uint32_t kFixedField = 3;

Bytes joined(ByteView a, ByteView b) {
  Bytes all(a.begin(), a.end());
  all.insert(all.end(), b.begin(), b.end());
  return all;
}

class GcmTest : public test::ImplementationTest {
 protected:
  WrapSide side(ByteView prefix = {}) { return {WrapAlgorithm::kGcm, &kek_, {prefix, &ivs_}}; }

  // opens runs one record through unwrap, check and re-wrap, which must agree.
  bool opens(ByteView record, std::size_t key_len, ByteView prefix, ByteView aad) {
    const AadColumn column{aad, aad.size(), aad.size()};
    Bytes verdicts(3, 0xee);
    Bytes key(key_len, 0xee);
    Bytes moved(record.size(), 0xee);
    const ByteSpan all = verdicts;
    EXPECT_OK(unwrapper(key_len, side(prefix))->run({record, key, all.first(1), column, {}}));
    EXPECT_OK(checker(key_len, side(prefix))->run({record, {}, all.subspan(1, 1), column, {}}));
    // With one column for both sides, as here, re-wraps may go through kernels too.
    EXPECT_OK(rewrapper(key_len, side(prefix), side(prefix))
                  ->run({record, moved, all.last(1), column, column}));
    EXPECT_EQ(verdicts, Bytes(3, verdicts[0]));
    if (verdicts[0] != kIntact) {
      EXPECT_EQ(key, Bytes(key_len, 0));
      EXPECT_EQ(moved, Bytes(record.size(), 0));
    }
    return verdicts[0] == kIntact;
  }

  test::Random random_{71};
  Bytes kek_bytes_ = random_.bytes(32);
  Kek kek_ = make_kek(kek_bytes_);
  IvSource ivs_{kFixedField, 0, kMaxGcmWraps};
};

TEST_P(GcmTest, KeysOfEveryLenAndKek) {
  for (const std::size_t kek_len : {16U, 24U, 32U}) {
    const Bytes kek_bytes = random_.bytes(kek_len);
    const Kek kek = make_kek(kek_bytes);
    for (std::size_t key_len = 1; key_len <= kMaxKeyLen; key_len += key_len < 140 ? 1 : 659) {
      SCOPED_TRACE(testing::Message() << "key of " << key_len << " under KEK of " << kek_len);
      const std::size_t num = 3;
      const Bytes keys = random_.bytes(num * key_len);
      IvSource ivs(kFixedField, 40, kMaxGcmWraps);
      const WrapSide gcm{WrapAlgorithm::kGcm, &kek, {{}, &ivs}};
      Bytes want;
      for (std::size_t k = 0; k < num; ++k) {
        want = joined(want, openssl_gcm_wrap(kek_bytes, kFixedField, 40 + k, {},
                                             ByteView(keys).subspan(k * key_len, key_len)));
      }
      Bytes wraps(want.size());
      Bytes verdicts(num, 0xee);
      ASSERT_OK(wrapper(key_len, gcm)->run(keys, wraps, verdicts));
      ASSERT_EQ(wraps, want);
      Bytes opened(keys.size());
      ASSERT_OK(unwrapper(key_len, gcm)->run(wraps, opened, verdicts));
      ASSERT_EQ(opened, keys);
      ASSERT_EQ(verdicts, Bytes(num, kIntact));
    }
  }
}

// Prefix and column together are the additional data; where one ends does not matter.
TEST_P(GcmTest, AdditionalDataOfEveryLen) {
  const Bytes key = random_.bytes(32);
  for (std::size_t prefix_len = 0; prefix_len <= 36; prefix_len += 4) {
    for (std::size_t len = 0; len <= 70; len += len < 34 ? 1 : 9) {
      SCOPED_TRACE(testing::Message() << prefix_len << " and " << len);
      const Bytes prefix = random_.bytes(prefix_len);
      const Bytes aad = random_.bytes(len);
      const Bytes record = openssl_gcm_wrap(kek_bytes_, 9, 9, joined(prefix, aad), key);
      ASSERT_TRUE(opens(record, 32, prefix, aad));
    }
  }
}

TEST_P(GcmTest, EveryBitOfARecordAndOfItsAdditionalDataCounts) {
  for (const std::size_t key_len : {1U, 16U, 24U, 32U, 48U, 64U}) {
    SCOPED_TRACE(testing::Message() << "key of " << key_len);
    const Bytes prefix = random_.bytes(16);
    const Bytes aad = random_.bytes(16);
    const Bytes record =
        openssl_gcm_wrap(kek_bytes_, 9, 9, joined(prefix, aad), random_.bytes(key_len));
    ASSERT_TRUE(opens(record, key_len, prefix, aad));
    for (std::size_t bit = 0; bit < 8 * record.size(); ++bit) {
      Bytes damaged = record;
      test::flip_bit(damaged, bit);
      ASSERT_FALSE(opens(damaged, key_len, prefix, aad)) << "bit " << bit;
    }
    for (std::size_t bit = 0; bit < 8 * aad.size(); ++bit) {
      Bytes other = aad;
      test::flip_bit(other, bit);
      ASSERT_FALSE(opens(record, key_len, prefix, other)) << "bit " << bit;
      other = prefix;
      test::flip_bit(other, bit);
      ASSERT_FALSE(opens(record, key_len, other, aad)) << "bit " << bit;
    }
    ASSERT_FALSE(opens(record, key_len, prefix, {}));
    ASSERT_FALSE(opens(record, key_len, {}, aad));
    ASSERT_FALSE(opens(record, key_len, aad, prefix));
  }
}

TEST_P(GcmTest, AnotherKekOrAnotherKeysDataOpensNothing) {
  const std::size_t num = 100;
  const Bytes keys = random_.bytes(num * 32);
  const Bytes ids = random_.bytes(num * 24);
  Bytes wraps(num * 64);
  Bytes verdicts(num);
  ASSERT_OK(wrapper(32, side())->run({keys, wraps, verdicts, {}, {ids, 16, 24}}));
  const auto check = checker(32, side());
  ASSERT_OK(check->run({wraps, {}, verdicts, {ids, 16, 24}, {}}));
  EXPECT_EQ(verdicts, Bytes(num, kIntact));
  ASSERT_OK(check->run(
      {ByteView(wraps).subspan(64), {}, ByteSpan(verdicts).subspan(1), {ids, 16, 24}, {}}));
  EXPECT_EQ(Bytes(verdicts.begin() + 1, verdicts.end()), Bytes(num - 1, kDamaged));
  const Kek other = make_kek(random_.bytes(32));
  const auto wrong = checker(32, {WrapAlgorithm::kGcm, &other});
  ASSERT_OK(wrong->run({wraps, {}, verdicts, {ids, 16, 24}, {}}));
  EXPECT_EQ(verdicts, Bytes(num, kDamaged));
}

TEST_P(GcmTest, NumbersGoOnFromRunToRunAndFromTransformToTransform) {
  const WrapSide kw{WrapAlgorithm::kKw, &kek_};
  const std::unique_ptr<Transform> transforms[] = {wrapper(32, side()), wrapper(16, side()),
                                                   rewrapper(32, side(), side()),
                                                   rewrapper(32, kw, side())};
  std::uint64_t next = 0;
  for (int turn = 0; turn < 3; ++turn) {
    for (const auto& transform : transforms) {
      const std::size_t num = 1200;  // more than one piece of a two-step run
      const Bytes in = random_.bytes(num * transform->in_len());
      Bytes out(num * transform->out_len());
      Bytes verdicts(num, 0xee);
      ASSERT_OK(transform->run(in, out, verdicts));
      for (std::size_t k = 0; k < num; ++k) {
        if (verdicts[k] != kIntact) continue;
        ASSERT_EQ(load_be32(&out[k * transform->out_len()]), kFixedField);
        ASSERT_EQ(load_be64(&out[k * transform->out_len() + 4]), next + k);
      }
      next += num;  // a damaged key takes its number as well
    }
  }
}

TEST_P(GcmTest, ARunWithTooFewNumbersDoesNothing) {
  IvSource few(kFixedField, 10, 1210);
  const WrapSide to{WrapAlgorithm::kGcm, &kek_, {{}, &few}};
  const Bytes keys = random_.bytes(1201 * std::size_t{32});
  const std::unique_ptr<Transform> transforms[] = {wrapper(32, to), rewrapper(32, side(), to)};
  for (const auto& transform : transforms) {
    const Bytes in = random_.bytes(1201 * transform->in_len());
    Bytes out(1201 * std::size_t{64}, 0xcd);
    Bytes verdicts(1201, 0xcd);
    EXPECT_CODE(transform->run(in, out, verdicts), Errc::kExhausted);
    EXPECT_EQ(out, Bytes(out.size(), 0xcd));
    EXPECT_EQ(verdicts, Bytes(1201, 0xcd));
  }
  Bytes out(1200 * std::size_t{64});
  Bytes verdicts(1200);
  EXPECT_OK(transforms[0]->run(ByteView(keys).first(1200 * std::size_t{32}), out, verdicts));
  EXPECT_CODE(transforms[0]->run(ByteView(keys).first(32), ByteSpan(out).first(64),
                                 ByteSpan(verdicts).first(1)),
              Errc::kExhausted);
}

TEST_P(GcmTest, AdditionalDataThatDoesNotFitIsRefused) {
  const Bytes keys = random_.bytes(4 * std::size_t{32});
  const Bytes ids = random_.bytes(3 * std::size_t{24} + 16);
  Bytes out(4 * std::size_t{64});
  Bytes verdicts(4);
  const auto transform = wrapper(32, side());
  EXPECT_OK(transform->run({keys, out, verdicts, {}, {ids, 16, 24}}));
  EXPECT_CODE(transform->run({keys, out, verdicts, {}, {ids, 17, 24}}), Errc::kInvalidArgument);
  EXPECT_CODE(transform->run({keys, out, verdicts, {}, {ids, 16, 15}}), Errc::kInvalidArgument);
  EXPECT_CODE(transform->run({keys, out, verdicts, {}, {ByteView(ids).first(80), 16, 24}}),
              Errc::kInvalidArgument);
  EXPECT_CODE(implementation().make({32, std::nullopt, WrapSide{WrapAlgorithm::kGcm, &kek_}}),
              Errc::kInvalidArgument);
}

REWRAP_FOR_EACH_IMPLEMENTATION(GcmTest);

TEST(IvSource, HandsOutEachNumberOnceAndStopsAtTheLimit) {
  IvSource ivs(1, kMaxGcmWraps - 10, kMaxGcmWraps + 1000);
  EXPECT_EQ(ivs.take(4).value(), kMaxGcmWraps - 10);
  EXPECT_CODE(ivs.take(7), Errc::kExhausted);
  EXPECT_EQ(ivs.take(6).value(), kMaxGcmWraps - 6);
  EXPECT_CODE(ivs.take(1), Errc::kExhausted);
  EXPECT_CODE(ivs.take(UINT64_MAX), Errc::kExhausted);
}

TEST(OpensslGcm, TakesOneGcmSideOnly) {
  test::Random random(3);
  const Kek kek = make_kek(random.bytes(32));
  IvSource ivs(1, 0, kMaxGcmWraps);
  const WrapSide gcm{WrapAlgorithm::kGcm, &kek, {{}, &ivs}};
  const WrapSide kw{WrapAlgorithm::kKw, &kek};
  EXPECT_OK(make_openssl_gcm({32, gcm, std::nullopt, true}));
  EXPECT_CODE(make_openssl_gcm({32, gcm, gcm, false}), Errc::kInvalidArgument);
  EXPECT_CODE(make_openssl_gcm({32, kw, std::nullopt, false}), Errc::kInvalidArgument);
  EXPECT_CODE(make_openssl_gcm({0, gcm, std::nullopt, false}), Errc::kInvalidArgument);
}

// A wrapper that says of every key what the test tells it to, and writes ones.
class StubbornWrap final : public Transform {
 public:
  explicit StubbornWrap(std::uint8_t verdict) : verdict_(verdict) {}
  [[nodiscard]] std::size_t in_len() const override { return 32; }
  [[nodiscard]] std::size_t out_len() const override { return 40; }

 private:
  Status transform(const Batch& batch) override {
    std::fill(batch.out.begin(), batch.out.end(), 0xff);
    std::fill(batch.verdicts.begin(), batch.verdicts.end(), verdict_);
    return {};
  }
  std::uint8_t verdict_;
};

TEST(TwoStep, AKeyThatEitherHalfRefusesIsZeros) {
  test::Random random(5);
  const Bytes kek_bytes = random.bytes(32);
  const Kek kek = make_kek(kek_bytes);
  const std::size_t num = 1100;
  Bytes in = test::openssl_wrap_all(WrapAlgorithm::kKw, kek_bytes, random.bytes(num * 32), 32);
  for (std::size_t k = 0; k < num; k += 3) in[k * 40] ^= 1;
  for (const std::uint8_t verdict : {kIntact, kDamaged}) {
    auto unwrap = implementations().back().make(
        {32, WrapSide{WrapAlgorithm::kKw, &kek}, std::nullopt, false});
    ASSERT_OK(unwrap);
    auto both =
        make_two_step(std::move(unwrap).value(), std::make_unique<StubbornWrap>(verdict), nullptr);
    ASSERT_OK(both);
    Bytes out(num * 40, 0xee);
    Bytes verdicts(num, 0xee);
    ASSERT_OK(both.value()->run(in, out, verdicts));
    for (std::size_t k = 0; k < num; ++k) {
      const bool damaged = k % 3 == 0 || verdict == kDamaged;
      ASSERT_EQ(verdicts[k], damaged ? kDamaged : kIntact) << k;
      const Bytes wrap(&out[k * 40], &out[k * 40] + 40);
      ASSERT_EQ(wrap, Bytes(40, damaged ? 0 : 0xff)) << k;
    }
  }
}

TEST(TwoStep, HalvesMustFit) {
  test::Random random(5);
  const Kek kek = make_kek(random.bytes(32));
  const WrapSide kw{WrapAlgorithm::kKw, &kek};
  const auto make = [&](const TransformSpec& spec) {
    return std::move(implementations().back().make(spec)).value();
  };
  EXPECT_CODE(make_two_step(make({24, kw, std::nullopt, false}),
                            std::make_unique<StubbornWrap>(kIntact), nullptr),
              Errc::kInvalidArgument);
  EXPECT_CODE(make_two_step(make({32, kw, std::nullopt, true}),
                            std::make_unique<StubbornWrap>(kIntact), nullptr),
              Errc::kInvalidArgument);
  EXPECT_CODE(make_two_step(make({32, kw, std::nullopt, false}), make({32, kw, std::nullopt, true}),
                            nullptr),
              Errc::kInvalidArgument);
}

}  // namespace
}  // namespace rewrap
