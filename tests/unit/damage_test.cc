// Every check of unwrap on its own: each bit, the length indicator, the padding, the algorithm, the
// KEK.
#include <gtest/gtest.h>

#include "tests/hsm/expect_code.h"
#include "tests/unit/implementation_param.h"
#include "tests/unit/openssl_reference.h"
#include "tests/unit/test_keys.h"

namespace rewrap {
namespace {

using test::make_kek;
using test::openssl_w;
using test::openssl_wrap;

constexpr std::uint64_t kKwpIcv = 0xA65959A600000000;  // SP 800-38F §6.3

class DamageTest : public test::ImplementationTest {
 protected:
  // expect_verdicts opens, checks and re-wraps `wraps` and expects verdict `expected` of all of
  // them, and zeros if damaged.
  void expect_verdicts(WrapAlgorithm algorithm, std::size_t key_len, const Bytes& wraps,
                       std::uint8_t expected) {
    const WrapSide side{algorithm, &kek_};
    const std::size_t num = wraps.size() / wrapped_len(algorithm, key_len);
    Bytes verdicts(num, 0xee);
    Bytes out(wraps.size(), 0xee);
    ASSERT_OK(checker(key_len, side)->run(wraps, {}, verdicts));
    ASSERT_EQ(verdicts, Bytes(num, expected));

    verdicts.assign(num, 0xee);
    ASSERT_OK(rewrapper(key_len, side, side)->run(wraps, out, verdicts));
    ASSERT_EQ(verdicts, Bytes(num, expected));
    ASSERT_EQ(out, expected == kIntact ? wraps : Bytes(wraps.size(), 0));

    verdicts.assign(num, 0xee);
    Bytes keys(num * key_len, 0xee);
    ASSERT_OK(unwrapper(key_len, side)->run(wraps, keys, verdicts));
    ASSERT_EQ(verdicts, Bytes(num, expected));
    if (expected == kDamaged) {
      ASSERT_EQ(keys, Bytes(num * key_len, 0));
    }
  }

  test::Random random_{23};
  Bytes kek_bytes_ = random_.bytes(32);
  Kek kek_ = make_kek(kek_bytes_);
};

TEST_P(DamageTest, EveryBitOfAWrapCounts) {
  const std::pair<WrapAlgorithm, std::size_t> cases[] = {
      {WrapAlgorithm::kKw, 16}, {WrapAlgorithm::kKw, 32}, {WrapAlgorithm::kKw, 64},
      {WrapAlgorithm::kKwp, 7}, {WrapAlgorithm::kKwp, 8}, {WrapAlgorithm::kKwp, 20},
      {WrapAlgorithm::kKwp, 32}};
  for (const auto& [algorithm, key_len] : cases) {
    SCOPED_TRACE(testing::Message() << algorithm_name(algorithm) << " " << key_len);
    const Bytes wrap = openssl_wrap(algorithm, kek_bytes_, random_.bytes(key_len));
    Bytes wraps;
    for (std::size_t bit = 0; bit < 8 * wrap.size(); ++bit) {
      Bytes damaged = wrap;
      test::flip_bit(damaged, bit);
      wraps.insert(wraps.end(), damaged.begin(), damaged.end());
    }
    ASSERT_NO_FATAL_FAILURE(expect_verdicts(algorithm, key_len, wraps, kDamaged));
    ASSERT_NO_FATAL_FAILURE(expect_verdicts(algorithm, key_len, wrap, kIntact));
  }
}

// The eight lengths that share a wrap length are told apart by the message length indicator alone.
TEST_P(DamageTest, AKwpWrapOpensAtItsOwnLenOnly) {
  for (const std::size_t base : {0U, 8U, 24U}) {
    for (std::size_t key_len = base + 1; key_len <= base + 8; ++key_len) {
      // Zeros all through, so that the padding check cannot help.
      const Bytes wrap = openssl_wrap(WrapAlgorithm::kKwp, kek_bytes_, Bytes(key_len, 0));
      for (std::size_t tried = base + 1; tried <= base + 8; ++tried) {
        SCOPED_TRACE(testing::Message() << key_len << " as " << tried);
        ASSERT_NO_FATAL_FAILURE(expect_verdicts(WrapAlgorithm::kKwp, tried, wrap,
                                                tried == key_len ? kIntact : kDamaged));
      }
    }
  }
}

TEST_P(DamageTest, KwpPaddingMustBeZero) {
  for (const std::size_t num_semiblocks : {1U, 2U, 4U}) {
    for (std::size_t pad_len = 1; pad_len < kSemiblockLen; ++pad_len) {
      const std::size_t key_len = num_semiblocks * kSemiblockLen - pad_len;
      SCOPED_TRACE(testing::Message() << "key of " << key_len);
      Bytes body = random_.bytes(key_len);
      body.resize(num_semiblocks * kSemiblockLen);
      ASSERT_NO_FATAL_FAILURE(expect_verdicts(
          WrapAlgorithm::kKwp, key_len, openssl_w(kek_bytes_, kKwpIcv | key_len, body), kIntact));
      Bytes wraps;
      for (std::size_t bit = 0; bit < 8 * pad_len; ++bit) {
        Bytes padded = body;
        test::flip_bit(ByteSpan(padded).subspan(key_len), bit);
        const Bytes wrap = openssl_w(kek_bytes_, kKwpIcv | key_len, padded);
        wraps.insert(wraps.end(), wrap.begin(), wrap.end());
      }
      ASSERT_NO_FATAL_FAILURE(expect_verdicts(WrapAlgorithm::kKwp, key_len, wraps, kDamaged));
    }
  }
}

// Each bit of the value that the chain ends in: neither half may be left out of the comparison.
TEST_P(DamageTest, EveryBitOfTheIntegrityValueCounts) {
  const std::pair<WrapAlgorithm, std::uint64_t> cases[] = {{WrapAlgorithm::kKw, 0xA6A6A6A6A6A6A6A6},
                                                           {WrapAlgorithm::kKwp, kKwpIcv | 32}};
  for (const auto& [algorithm, integrity] : cases) {
    const Bytes body = random_.bytes(32);
    ASSERT_NO_FATAL_FAILURE(
        expect_verdicts(algorithm, 32, openssl_w(kek_bytes_, integrity, body), kIntact));
    Bytes wraps;
    for (int bit = 0; bit < 64; ++bit) {
      const Bytes wrap = openssl_w(kek_bytes_, integrity ^ (std::uint64_t{1} << bit), body);
      wraps.insert(wraps.end(), wrap.begin(), wrap.end());
    }
    ASSERT_NO_FATAL_FAILURE(expect_verdicts(algorithm, 32, wraps, kDamaged));
  }
}

TEST_P(DamageTest, TheAlgorithmsDoNotOpenEachOther) {
  for (const std::size_t key_len : kDekLens) {
    const Bytes key = random_.bytes(key_len);
    const Bytes kw = openssl_wrap(WrapAlgorithm::kKw, kek_bytes_, key);
    const Bytes kwp = openssl_wrap(WrapAlgorithm::kKwp, kek_bytes_, key);
    ASSERT_NO_FATAL_FAILURE(expect_verdicts(WrapAlgorithm::kKwp, key_len, kw, kDamaged));
    ASSERT_NO_FATAL_FAILURE(expect_verdicts(WrapAlgorithm::kKw, key_len, kwp, kDamaged));
  }
}

TEST_P(DamageTest, AnotherKekOpensNothing) {
  for (const std::size_t kek_len : {16U, 24U, 32U}) {
    const Bytes other = random_.bytes(kek_len);
    const Bytes keys = random_.bytes(50 * std::size_t{32});
    const Bytes wraps = test::openssl_wrap_all(WrapAlgorithm::kKw, other, keys, 32);
    ASSERT_NO_FATAL_FAILURE(expect_verdicts(WrapAlgorithm::kKw, 32, wraps, kDamaged));
  }
}

REWRAP_FOR_EACH_IMPLEMENTATION(DamageTest);

}  // namespace
}  // namespace rewrap
