// Wrap, unwrap and check of keys of every length, and the rules on specs and batch lengths.
#include "engine/transform.h"

#include <gtest/gtest.h>

#include <vector>

#include "tests/hsm/expect_code.h"
#include "tests/unit/implementation_param.h"
#include "tests/unit/openssl_reference.h"
#include "tests/unit/test_keys.h"

namespace rewrap {
namespace {

using test::make_kek;
using test::openssl_unwrap;
using test::openssl_wrap_all;

class TransformTest : public test::ImplementationTest {
 protected:
  // expect_round_trip wraps, unwraps and checks `num` keys under `kek_bytes` and compares with
  // OpenSSL.
  void expect_round_trip(WrapAlgorithm algorithm, const Bytes& kek_bytes, std::size_t key_len,
                         std::size_t num) {
    SCOPED_TRACE(testing::Message()
                 << algorithm_name(algorithm) << ", " << num << " keys of " << key_len);
    const Kek kek = make_kek(kek_bytes);
    const WrapSide side{algorithm, &kek};
    const std::size_t wrap_len = wrapped_len(algorithm, key_len);
    const Bytes keys = random_.bytes(num * key_len);

    Bytes wraps(num * wrap_len);
    Bytes verdicts(num, 0xee);
    ASSERT_OK(wrapper(key_len, side)->run(keys, wraps, verdicts));
    ASSERT_EQ(wraps, openssl_wrap_all(algorithm, kek_bytes, keys, key_len));
    ASSERT_EQ(verdicts, Bytes(num, kIntact));

    Bytes opened(num * key_len);
    ASSERT_OK(unwrapper(key_len, side)->run(wraps, opened, verdicts));
    ASSERT_EQ(opened, keys);
    ASSERT_EQ(verdicts, Bytes(num, kIntact));

    const auto check = checker(key_len, side);
    ASSERT_EQ(check->out_len(), 0U);
    Bytes seen(num, 0xee);
    ASSERT_OK(check->run(wraps, {}, seen));
    ASSERT_EQ(seen, Bytes(num, kIntact));
    const std::size_t damaged = random_.below(num);
    test::flip_bit(ByteSpan(wraps).subspan(damaged * wrap_len, wrap_len),
                   random_.below(8 * wrap_len));
    ASSERT_OK(check->run(wraps, {}, seen));
    for (std::size_t k = 0; k < num; ++k) ASSERT_EQ(seen[k], k == damaged ? kDamaged : kIntact);
  }

  test::Random random_{11};
};

std::vector<std::size_t> interesting_lens(WrapAlgorithm algorithm) {
  std::vector<std::size_t> lens;
  for (std::size_t len = 1; len <= kMaxKeyLen; len += len < 80 ? 1 : 501) {
    if (is_wrappable(algorithm, len)) lens.push_back(len);
  }
  for (const std::size_t len :
       {88U, 128U, 255U, 256U, 257U, 264U, 4080U, 4088U, 4089U, 4095U, 4096U}) {
    if (is_wrappable(algorithm, len)) lens.push_back(len);
  }
  return lens;
}

TEST_P(TransformTest, KeysOfEveryLenRoundTrip) {
  for (const WrapAlgorithm algorithm : {WrapAlgorithm::kKw, WrapAlgorithm::kKwp}) {
    for (const std::size_t kek_len : {16U, 24U, 32U}) {
      const Bytes kek = random_.bytes(kek_len);
      for (const std::size_t key_len : interesting_lens(algorithm)) {
        ASSERT_NO_FATAL_FAILURE(expect_round_trip(algorithm, kek, key_len, 3));
      }
    }
  }
}

TEST_P(TransformTest, DeksInBatchesRoundTrip) {
  for (const WrapAlgorithm algorithm : {WrapAlgorithm::kKw, WrapAlgorithm::kKwp}) {
    const Bytes kek = random_.bytes(32);
    for (const std::size_t key_len : kDekLens) {
      for (const std::size_t num : {1U, 2U, 7U, 63U, 64U, 65U, 511U, 512U, 513U, 1000U}) {
        ASSERT_NO_FATAL_FAILURE(expect_round_trip(algorithm, kek, key_len, num));
      }
    }
  }
}

TEST_P(TransformTest, LongKeysInBatchesRoundTrip) {
  const Bytes kek = random_.bytes(32);
  ASSERT_NO_FATAL_FAILURE(expect_round_trip(WrapAlgorithm::kKw, kek, 4096, 300));
  ASSERT_NO_FATAL_FAILURE(expect_round_trip(WrapAlgorithm::kKwp, kek, 4091, 300));
}

// A KWP key whose length is no multiple of 8 changes nothing about re-wrap.
TEST_P(TransformTest, PaddedKeysAreRewrapped) {
  const Bytes old_kek = random_.bytes(16);
  const Bytes new_kek = random_.bytes(32);
  const Kek from = make_kek(old_kek);
  const Kek to = make_kek(new_kek);
  for (const std::size_t key_len : {1U, 7U, 8U, 9U, 15U, 17U, 20U, 31U, 33U, 65U}) {
    const Bytes keys = random_.bytes(100 * key_len);
    const auto transform =
        rewrapper(key_len, {WrapAlgorithm::kKwp, &from}, {WrapAlgorithm::kKwp, &to});
    Bytes wraps = openssl_wrap_all(WrapAlgorithm::kKwp, old_kek, keys, key_len);
    Bytes verdicts(100);
    ASSERT_OK(transform->run(wraps, wraps, verdicts));
    EXPECT_EQ(wraps, openssl_wrap_all(WrapAlgorithm::kKwp, new_kek, keys, key_len)) << key_len;
    EXPECT_EQ(verdicts, Bytes(100, kIntact));
  }
}

TEST_P(TransformTest, WrongLensGiveInvalidArgumentAndTouchNothing) {
  const Kek kek = make_kek(random_.bytes(32));
  const WrapSide side{WrapAlgorithm::kKw, &kek};
  const std::unique_ptr<Transform> transforms[] = {wrapper(32, side), unwrapper(32, side),
                                                   rewrapper(32, side, side), checker(32, side)};
  for (const auto& transform : transforms) {
    const std::size_t num = 5;
    const std::size_t in_len = num * transform->in_len();
    const std::size_t out_len = num * transform->out_len();
    const std::pair<std::size_t, std::size_t> wrong[] = {{in_len - 1, out_len},
                                                         {in_len + 1, out_len},
                                                         {in_len - transform->in_len(), out_len},
                                                         {0, out_len},
                                                         {in_len, out_len + 1},
                                                         {in_len, out_len + 1000},
                                                         {in_len + transform->in_len(), out_len}};
    for (const auto& [wrong_in, wrong_out] : wrong) {
      const Bytes in = random_.bytes(wrong_in);
      Bytes out(wrong_out, 0xcd);
      Bytes verdicts(num, 0xcd);
      EXPECT_CODE(transform->run(in, out, verdicts), Errc::kInvalidArgument);
      EXPECT_EQ(out, Bytes(wrong_out, 0xcd));
      EXPECT_EQ(verdicts, Bytes(num, 0xcd));
    }
    const Bytes in = random_.bytes(in_len);
    Bytes out(out_len, 0xcd);
    Bytes verdicts(num + 1, 0xcd);
    EXPECT_CODE(transform->run(in, out, verdicts), Errc::kInvalidArgument);
    EXPECT_EQ(out, Bytes(out_len, 0xcd));
    EXPECT_EQ(verdicts, Bytes(num + 1, 0xcd));
  }
}

TEST_P(TransformTest, ABatchOfNoKeysIsNothingToDo) {
  const Kek kek = make_kek(random_.bytes(16));
  const WrapSide side{WrapAlgorithm::kKw, &kek};
  EXPECT_OK(wrapper(16, side)->run({}, {}, {}));
  EXPECT_OK(unwrapper(16, side)->run({}, {}, {}));
  EXPECT_OK(rewrapper(16, side, side)->run({}, {}, {}));
  EXPECT_OK(checker(16, side)->run({}, {}, {}));
}

TEST_P(TransformTest, KeksAreNotNeededAfterItIsMade) {
  const Bytes old_kek = random_.bytes(24);
  const Bytes new_kek = random_.bytes(16);
  std::unique_ptr<Transform> transform;
  {
    const Kek from = make_kek(old_kek);
    const Kek to = make_kek(new_kek);
    transform = rewrapper(32, {WrapAlgorithm::kKw, &from}, {WrapAlgorithm::kKw, &to});
  }
  const Bytes keys = random_.bytes(32 * 9);
  Bytes wraps = openssl_wrap_all(WrapAlgorithm::kKw, old_kek, keys, 32);
  Bytes verdicts(9);
  ASSERT_OK(transform->run(wraps, wraps, verdicts));
  EXPECT_EQ(wraps, openssl_wrap_all(WrapAlgorithm::kKw, new_kek, keys, 32));
}

TEST_P(TransformTest, BadSpecsAreRefused) {
  const Kek kek = make_kek(random_.bytes(32));
  const WrapSide kw{WrapAlgorithm::kKw, &kek};
  const WrapSide kwp{WrapAlgorithm::kKwp, &kek};
  const WrapSide no_kek{WrapAlgorithm::kKw, nullptr};
  const TransformSpec bad[] = {
      {32, std::nullopt, std::nullopt, false},
      {32, std::nullopt, std::nullopt, true},
      {32, std::nullopt, kw, true},
      {32, kw, kw, true},
      {32, no_kek, kw, false},
      {32, kw, no_kek, false},
      {0, kw, kw, false},
      {8, kw, std::nullopt, false},
      {15, kw, std::nullopt, false},
      {17, kw, std::nullopt, false},
      {20, kwp, kw, false},
      {20, kw, kwp, false},
      {0, kwp, kwp, false},
      {kMaxKeyLen + 8, kw, kw, false},
      {kMaxKeyLen + 1, kwp, kwp, false},
  };
  for (const TransformSpec& spec : bad) {
    EXPECT_CODE(validate(spec), Errc::kInvalidArgument);
    EXPECT_CODE(implementation().make(spec), Errc::kInvalidArgument);
  }
  EXPECT_OK(validate({32, kw, std::nullopt, true}));
}

REWRAP_FOR_EACH_IMPLEMENTATION(TransformTest);

TEST(WrapAlgorithm, LensOfWraps) {
  EXPECT_EQ(wrapped_len(WrapAlgorithm::kKw, 32), 40U);
  EXPECT_EQ(wrapped_len(WrapAlgorithm::kKwp, 32), 40U);
  EXPECT_EQ(wrapped_len(WrapAlgorithm::kKwp, 1), 16U);
  EXPECT_EQ(wrapped_len(WrapAlgorithm::kKwp, 9), 24U);
  EXPECT_EQ(wrapped_len(WrapAlgorithm::kGcm, 32), 64U);
  for (const auto algorithm : {WrapAlgorithm::kKw, WrapAlgorithm::kKwp, WrapAlgorithm::kGcm}) {
    std::size_t deks = 0;
    for (std::size_t len = 0; len <= 2 * kMaxWrappedDekLen; ++len) {
      const auto dek_len = dek_len_of_wrap(algorithm, len);
      if (!dek_len) continue;
      ++deks;
      EXPECT_TRUE(is_dek_len(*dek_len));
      EXPECT_EQ(wrapped_len(algorithm, *dek_len), len);
      EXPECT_LE(len, kMaxWrappedDekLen);
    }
    EXPECT_EQ(deks, std::size(kDekLens));
  }
}

TEST(Kek, IsAnAesKey) {
  for (std::size_t len = 1; len <= 64; ++len) {
    const Errc expected = len == 16 || len == 24 || len == 32 ? Errc::kOk : Errc::kInvalidArgument;
    EXPECT_CODE(Kek::create(SecretBuffer::create(len).value()), expected);
  }
  EXPECT_CODE(Kek::create(SecretBuffer()), Errc::kInvalidArgument);
}

}  // namespace
}  // namespace rewrap
