// Step-sliced key wrap over a cipher that counts its calls, fails on demand and remembers where its
// blocks were.
#include "engine/step_sliced.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <utility>

#include "tests/hsm/expect_code.h"
#include "tests/unit/openssl_reference.h"
#include "tests/unit/test_keys.h"

namespace rewrap {
namespace {

constexpr std::size_t kNever = SIZE_MAX;

// Log is what all ciphers of one transform did together; it outlives them.
struct Log {
  std::size_t num_calls = 0;
  std::size_t fail_at = kNever;  // the number of the call that fails, from 1
  std::size_t max_blocks = 0;
  ByteView blocks{};
};

// SpyCipher is AES by OpenSSL.
class SpyCipher final : public EcbCipher {
 public:
  SpyCipher(const Kek& kek, std::size_t lanes, Log* log)
      : aes_(make_openssl_ecb(kek).value()), lanes_(lanes), log_(log) {}
  Status encrypt(ByteSpan blocks) override {
    REWRAP_TRY(note(blocks));
    return aes_->encrypt(blocks);
  }
  Status decrypt(ByteSpan blocks) override {
    REWRAP_TRY(note(blocks));
    return aes_->decrypt(blocks);
  }
  [[nodiscard]] std::size_t preferred_lanes() const override { return lanes_; }

 private:
  Status note(ByteSpan blocks) {
    ++log_->num_calls;
    log_->max_blocks = std::max(log_->max_blocks, blocks.size() / kBlockLen);
    log_->blocks = blocks;
    if (log_->num_calls == log_->fail_at)
      return Status(Errc::kUnavailable, "the token went away", "put it back");
    return {};
  }

  std::unique_ptr<EcbCipher> aes_;
  std::size_t lanes_;
  Log* log_;
};

class StepSlicedTest : public testing::Test {
 protected:
  SlicedSide side(const Kek& kek, std::size_t lanes, WrapAlgorithm algorithm = WrapAlgorithm::kKw) {
    return {algorithm, std::make_unique<SpyCipher>(kek, lanes, &log_)};
  }
  std::unique_ptr<Transform> rewrapper(std::size_t key_len, std::size_t lanes) {
    return make_step_sliced(key_len, side(old_, lanes), side(new_, lanes), false).value();
  }

  Log log_;
  test::Random random_{31};
  Bytes old_bytes_ = random_.bytes(32);
  Bytes new_bytes_ = random_.bytes(32);
  Kek old_ = test::make_kek(old_bytes_);
  Kek new_ = test::make_kek(new_bytes_);
};

// 6n calls for unwrap and for wrap, however many keys fit into the lanes.
TEST_F(StepSlicedTest, ABatchCostsOneCallPerStep) {
  const auto transform = rewrapper(32, 64);
  Bytes wraps = test::openssl_wrap_all(WrapAlgorithm::kKw, old_bytes_,
                                       random_.bytes(64 * std::size_t{32}), 32);
  Bytes verdicts(64);
  ASSERT_OK(transform->run(wraps, wraps, verdicts));
  EXPECT_EQ(log_.num_calls, 48U);
  EXPECT_EQ(log_.max_blocks, 64U);
}

TEST_F(StepSlicedTest, LargeBatchesAreCutIntoLanes) {
  const auto transform = rewrapper(16, 4);
  const Bytes keys = random_.bytes(10 * std::size_t{16});
  Bytes wraps = test::openssl_wrap_all(WrapAlgorithm::kKw, old_bytes_, keys, 16);
  Bytes verdicts(10);
  ASSERT_OK(transform->run(wraps, wraps, verdicts));
  EXPECT_EQ(wraps, test::openssl_wrap_all(WrapAlgorithm::kKw, new_bytes_, keys, 16));
  EXPECT_EQ(log_.num_calls, 3 * 24U);
  EXPECT_EQ(log_.max_blocks, 4U);
}

TEST_F(StepSlicedTest, TheWiderSideSetsTheLanes) {
  const auto transform = make_step_sliced(16, side(old_, 2), side(new_, 9), false).value();
  Bytes wraps = test::openssl_wrap_all(WrapAlgorithm::kKw, old_bytes_,
                                       random_.bytes(9 * std::size_t{16}), 16);
  Bytes verdicts(9);
  ASSERT_OK(transform->run(wraps, wraps, verdicts));
  EXPECT_EQ(log_.max_blocks, 9U);
}

TEST_F(StepSlicedTest, AFailureAtAnyCallIsPassedOnAndEndsTheRun) {
  const Bytes wraps = test::openssl_wrap_all(WrapAlgorithm::kKw, old_bytes_,
                                             random_.bytes(6 * std::size_t{16}), 16);
  constexpr std::size_t kNumCalls = 2 * 24;  // two rounds of 4 lanes
  for (std::size_t fail_at = 1; fail_at <= kNumCalls; ++fail_at) {
    log_ = Log{.fail_at = fail_at};
    const auto transform = rewrapper(16, 4);
    Bytes out(wraps.size());
    Bytes verdicts(6);
    const Status status = transform->run(wraps, out, verdicts);
    EXPECT_CODE(status, Errc::kUnavailable);
    EXPECT_STREQ(status.message(), "the token went away");
    EXPECT_STREQ(status.hint(), "put it back");
    EXPECT_EQ(log_.num_calls, fail_at);
  }
  log_ = Log{.fail_at = kNumCalls + 1};
  const auto transform = rewrapper(16, 4);
  Bytes out(wraps.size());
  Bytes verdicts(6);
  EXPECT_OK(transform->run(wraps, out, verdicts));
}

TEST_F(StepSlicedTest, ATransformGoesOnAfterAFailure) {
  const Bytes keys = random_.bytes(6 * std::size_t{16});
  const Bytes wraps = test::openssl_wrap_all(WrapAlgorithm::kKw, old_bytes_, keys, 16);
  log_.fail_at = 30;
  const auto transform = rewrapper(16, 4);
  Bytes out(wraps.size());
  Bytes verdicts(6);
  EXPECT_CODE(transform->run(wraps, out, verdicts), Errc::kUnavailable);
  ASSERT_OK(transform->run(wraps, out, verdicts));
  EXPECT_EQ(out, test::openssl_wrap_all(WrapAlgorithm::kKw, new_bytes_, keys, 16));
}

bool all_zero(ByteView bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](std::uint8_t b) { return b == 0; });
}

// The blocks that the cipher worked on are in the scratch; after a run, good or failed, nothing is
// left there.
TEST_F(StepSlicedTest, ScratchIsWipedAfterEveryRun) {
  const Bytes wraps = test::openssl_wrap_all(WrapAlgorithm::kKw, old_bytes_,
                                             random_.bytes(4 * std::size_t{16}), 16);
  for (const std::size_t fail_at : {kNever, std::size_t{13}}) {
    log_ = Log{.fail_at = fail_at};
    const auto transform = rewrapper(16, 4);
    Bytes out(wraps.size());
    Bytes verdicts(4);
    EXPECT_EQ(transform->run(wraps, out, verdicts).ok(), fail_at == kNever);
    ASSERT_EQ(log_.blocks.size(), 4 * kBlockLen);
    EXPECT_TRUE(all_zero(log_.blocks));
  }
}

TEST_F(StepSlicedTest, ASingleBlockKwpKeyIsOneCall) {
  const auto transform =
      make_step_sliced(5, std::nullopt, side(new_, 8, WrapAlgorithm::kKwp), false).value();
  const Bytes keys = random_.bytes(5 * std::size_t{5});
  Bytes wraps(5 * transform->out_len());
  Bytes verdicts(5);
  ASSERT_OK(transform->run(keys, wraps, verdicts));
  EXPECT_EQ(wraps, test::openssl_wrap_all(WrapAlgorithm::kKwp, new_bytes_, keys, 5));
  EXPECT_EQ(log_.num_calls, 1U);
}

TEST_F(StepSlicedTest, BadSpecsAreRefused) {
  EXPECT_CODE(make_step_sliced(16, std::nullopt, std::nullopt, false), Errc::kInvalidArgument);
  EXPECT_CODE(make_step_sliced(16, std::nullopt, side(new_, 4), true), Errc::kInvalidArgument);
  EXPECT_CODE(make_step_sliced(17, side(old_, 4), std::nullopt, false), Errc::kInvalidArgument);
  EXPECT_CODE(make_step_sliced(0, side(old_, 4, WrapAlgorithm::kKwp), std::nullopt, false),
              Errc::kInvalidArgument);
}

}  // namespace
}  // namespace rewrap
