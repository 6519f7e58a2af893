// Re-wrap of batches of every size, DEK length, algorithm and KEK, against OpenSSL one key at a
// time.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <tuple>
#include <vector>

#include "engine/implementation.h"
#include "tests/hsm/expect_code.h"
#include "tests/unit/implementation_param.h"
#include "tests/unit/openssl_reference.h"
#include "tests/unit/test_keys.h"

namespace rewrap {
namespace {

using test::make_kek;
using test::openssl_wrap_all;

constexpr std::size_t kMaxBatch = 4097;
constexpr std::size_t kDamagePercent = 20;
constexpr std::size_t kFenceLen = 64;
constexpr std::uint8_t kFence = 0xfe;
constexpr std::size_t kAllEqual = SIZE_MAX;

// 1 to 70 covers the kernels' groups of 12, 24 and 64 keys, what they take in fewer registers, and
// the neighbours; then twice and three times the largest group, OpenSSL's 512 lanes, and long runs.
std::vector<std::size_t> batch_sizes() {
  std::vector<std::size_t> sizes = {127, 128, 129, 191, 192, 193, 511, 512, 513, 1000, kMaxBatch};
  for (std::size_t size = 1; size <= 70; ++size) sizes.push_back(size);
  return sizes;
}

// FencedBytes starts at any alignment and notices writes beside it. Nothing follows the rear fence,
// so AddressSanitizer sees farther ones and reads too.
class FencedBytes {
 public:
  FencedBytes(std::size_t len, std::size_t offset)
      : bytes_(offset + len + 2 * kFenceLen, kFence), front_(kFenceLen + offset), len_(len) {}
  ByteSpan span() { return ByteSpan(bytes_).subspan(front_, len_); }
  [[nodiscard]] bool fences_stand() const {
    const auto is_fence = [](std::uint8_t b) { return b == kFence; };
    const auto middle = bytes_.begin() + static_cast<std::ptrdiff_t>(front_);
    return std::all_of(bytes_.begin(), middle, is_fence) &&
           std::all_of(middle + static_cast<std::ptrdiff_t>(len_), bytes_.end(), is_fence);
  }

 private:
  Bytes bytes_;
  std::size_t front_;
  std::size_t len_;
};

// first_different gives the number of the first key of `stride` bytes that differs, or kAllEqual.
std::size_t first_different(ByteView a, ByteView b, std::size_t stride) {
  if (a.size() != b.size()) return 0;
  const auto [at, ignored] = std::mismatch(a.begin(), a.end(), b.begin());
  return at == a.end() ? kAllEqual : static_cast<std::size_t>(at - a.begin()) / stride;
}

// Batch is an input with what must come of it.
struct Batch {
  Bytes in;
  Bytes out;
  Bytes verdicts;
};

// make_batch takes the first `num` keys of `from` and `to`, and flips one random bit in some of the
// wraps.
Batch make_batch(const Bytes& from, const Bytes& to, std::size_t num, std::size_t wrap_len,
                 std::size_t damage_percent, test::Random* random) {
  const auto end = static_cast<std::ptrdiff_t>(num * wrap_len);
  Batch batch{Bytes(from.begin(), from.begin() + end), Bytes(to.begin(), to.begin() + end),
              Bytes(num, kIntact)};
  for (std::size_t k = 0; k < num; ++k) {
    if (random->below(100) >= damage_percent) continue;
    test::flip_bit(ByteSpan(batch.in).subspan(k * wrap_len, wrap_len), random->below(8 * wrap_len));
    wipe(ByteSpan(batch.out).subspan(k * wrap_len, wrap_len));
    batch.verdicts[k] = kDamaged;
  }
  return batch;
}

// expect_run runs the batch at a given alignment, in place or not, and compares every byte.
void expect_run(Transform* transform, const Batch& batch, std::size_t offset, bool in_place) {
  const std::size_t num = batch.verdicts.size();
  Bytes in_bytes(offset);
  in_bytes.insert(in_bytes.end(), batch.in.begin(), batch.in.end());
  FencedBytes out(batch.out.size(), (offset * 3) % 64);
  FencedBytes verdicts(num, (offset * 5) % 64);
  if (in_place) copy_bytes(out.span(), batch.in);
  const ByteView in = in_place ? ByteView(out.span()) : ByteView(in_bytes).subspan(offset);
  ASSERT_OK(transform->run(in, out.span(), verdicts.span()));
  ASSERT_EQ(first_different(verdicts.span(), batch.verdicts, 1), kAllEqual);
  ASSERT_EQ(first_different(out.span(), batch.out, batch.out.size() / num), kAllEqual);
  ASSERT_TRUE(out.fences_stand() && verdicts.fences_stand());
  if (!in_place) {
    ASSERT_EQ(first_different(in, batch.in, 1), kAllEqual) << "the input was changed";
  }
}

using Case = std::tuple<Implementation, std::size_t, WrapAlgorithm, WrapAlgorithm>;

std::string case_name(const testing::TestParamInfo<Case>& info) {
  return std::string(std::get<0>(info.param).name) + "_" + algorithm_name(std::get<2>(info.param)) +
         "_to_" + algorithm_name(std::get<3>(info.param)) + "_dek_" +
         std::to_string(std::get<1>(info.param));
}

class RewrapTest : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    if (!test::runs_here(implementation_))
      GTEST_SKIP() << "this CPU lacks " << implementation_.needs;
  }

  // for_each_kek_pair calls body(transform, from, to) with kMaxBatch wraps under each pair of KEK
  // sizes.
  template <typename Body>
  void for_each_kek_pair(Body body) {
    const Bytes deks = random_.bytes(kMaxBatch * dek_len_);
    for (const std::size_t from_len : {16U, 24U, 32U}) {
      const Bytes from_kek = random_.bytes(from_len);
      const Bytes from = openssl_wrap_all(from_algorithm_, from_kek, deks, dek_len_);
      for (const std::size_t to_len : {16U, 24U, 32U}) {
        SCOPED_TRACE(testing::Message() << "KEK of " << from_len << " to KEK of " << to_len);
        const Bytes to_kek = random_.bytes(to_len);
        const Bytes to = openssl_wrap_all(to_algorithm_, to_kek, deks, dek_len_);
        const Kek old_kek = make_kek(from_kek);
        const Kek new_kek = make_kek(to_kek);
        auto transform = implementation_.make({dek_len_, WrapSide{from_algorithm_, &old_kek},
                                               WrapSide{to_algorithm_, &new_kek}, false});
        ASSERT_OK(transform);
        ASSERT_EQ(transform.value()->in_len(), wrap_len_);
        ASSERT_EQ(transform.value()->out_len(), wrap_len_);
        body(transform.value().get(), from, to);
        if (HasFatalFailure()) return;
        ++num_kek_pairs_;
      }
    }
  }

  Implementation implementation_ = std::get<0>(GetParam());
  std::size_t dek_len_ = std::get<1>(GetParam());
  WrapAlgorithm from_algorithm_ = std::get<2>(GetParam());
  WrapAlgorithm to_algorithm_ = std::get<3>(GetParam());
  std::size_t wrap_len_ = dek_len_ + kSemiblockLen;
  std::size_t num_kek_pairs_ = 0;  // done so far
  test::Random random_{dek_len_};
};

TEST_P(RewrapTest, BatchesOfEverySizeIntactAndDamaged) {
  for_each_kek_pair([this](Transform* transform, const Bytes& from, const Bytes& to) {
    for (const std::size_t num : batch_sizes()) {
      SCOPED_TRACE(testing::Message() << "batch of " << num);
      for (const std::size_t damage_percent : {std::size_t{0}, kDamagePercent}) {
        const Batch batch = make_batch(from, to, num, wrap_len_, damage_percent, &random_);
        const bool in_place = num % 2 == 0;
        expect_run(transform, batch, 0, in_place);
        if (HasFatalFailure()) return;
      }
    }
  });
}

TEST_P(RewrapTest, BatchesOfOneToAThousand) {
  for_each_kek_pair([this](Transform* transform, const Bytes& from, const Bytes& to) {
    // Each pair of KEKs takes other sizes; together they take them all.
    for (std::size_t num = 1 + num_kek_pairs_; num <= 1000; num += 9) {
      SCOPED_TRACE(testing::Message() << "batch of " << num);
      const Batch batch = make_batch(from, to, num, wrap_len_, kDamagePercent, &random_);
      expect_run(transform, batch, 0, num % 2 == 0);
      if (HasFatalFailure()) return;
    }
  });
}

TEST_P(RewrapTest, InPlaceAndOutOfPlaceAtEveryAlignment) {
  for_each_kek_pair([this](Transform* transform, const Bytes& from, const Bytes& to) {
    // Each pair of KEKs takes other offsets; together they take all that a cache line has.
    for (std::size_t offset = num_kek_pairs_; offset < 64; offset += 9) {
      for (const std::size_t num : {1U, 13U, 65U, 300U}) {
        for (const bool in_place : {false, true}) {
          SCOPED_TRACE(testing::Message()
                       << "offset " << offset << ", batch of " << num << ", in place " << in_place);
          expect_run(transform, make_batch(from, to, num, wrap_len_, kDamagePercent, &random_),
                     offset, in_place);
          if (HasFatalFailure()) return;
        }
      }
    }
  });
}

TEST_P(RewrapTest, OneDamagedKeyAtEachPlace) {
  for_each_kek_pair([this](Transform* transform, const Bytes& from, const Bytes& to) {
    constexpr std::size_t kNum = 67;
    for (std::size_t damaged = 0; damaged < kNum; ++damaged) {
      SCOPED_TRACE(testing::Message() << "key " << damaged);
      Batch batch = make_batch(from, to, kNum, wrap_len_, 0, &random_);
      test::flip_bit(ByteSpan(batch.in).subspan(damaged * wrap_len_, wrap_len_),
                     random_.below(8 * wrap_len_));
      wipe(ByteSpan(batch.out).subspan(damaged * wrap_len_, wrap_len_));
      batch.verdicts[damaged] = kDamaged;
      expect_run(transform, batch, 0, damaged % 2 == 0);
      if (HasFatalFailure()) return;
    }
  });
}

INSTANTIATE_TEST_SUITE_P(Implementations, RewrapTest,
                         testing::Combine(testing::ValuesIn(implementations().begin(),
                                                            implementations().end()),
                                          testing::ValuesIn(kDekLens),
                                          testing::Values(WrapAlgorithm::kKw, WrapAlgorithm::kKwp),
                                          testing::Values(WrapAlgorithm::kKw, WrapAlgorithm::kKwp)),
                         case_name);

}  // namespace
}  // namespace rewrap
