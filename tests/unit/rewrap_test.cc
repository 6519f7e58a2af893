// Re-wrap of batches of every size, DEK length, pair of algorithms and KEK, against OpenSSL one key
// at a time.
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
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

constexpr std::size_t kMaxBatch = 1025;
constexpr std::size_t kDamagePercent = 20;
constexpr std::size_t kFenceLen = 64;
constexpr std::uint8_t kFence = 0xfe;
constexpr std::size_t kAllEqual = SIZE_MAX;

// The IVs and additional data of GCM sides: a prefix, and per key a part of a slot, as in a
// segment.
constexpr std::uint32_t kFixedField = 0x00c0ffee;
constexpr std::uint64_t kFromNumber = 77;
constexpr std::uint64_t kToNumber = 0xfffff0;
constexpr std::size_t kAadLen = 16;
constexpr std::size_t kAadStride = 24;

// 1 to 70 covers the kernels' groups of 12, 24 and 64 keys, what they take in fewer registers, and
// the neighbours; then twice and three times the largest group, OpenSSL's 512 lanes, and long runs.
std::vector<std::size_t> batch_sizes() {
  std::vector<std::size_t> sizes = {127, 128, 129, 191, 192, 193, 511, 512, 513, 1024, kMaxBatch};
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

// Expected is an input with what must come of it.
struct Expected {
  Bytes in;
  Bytes out;
  Bytes verdicts;
  AadColumn from_aad = {};
  AadColumn to_aad = {};
};

// expect_run runs the batch at a given alignment, in place or not, and compares every byte.
void expect_run(Transform* transform, const Expected& batch, std::size_t offset, bool in_place) {
  const std::size_t num = batch.verdicts.size();
  Bytes in_bytes(offset);
  in_bytes.insert(in_bytes.end(), batch.in.begin(), batch.in.end());
  FencedBytes out(batch.out.size(), (offset * 3) % 64);
  FencedBytes verdicts(num, (offset * 5) % 64);
  if (in_place) copy_bytes(out.span(), batch.in);
  const ByteView in = in_place ? ByteView(out.span()) : ByteView(in_bytes).subspan(offset);
  ASSERT_OK(transform->run({in, out.span(), verdicts.span(), batch.from_aad, batch.to_aad}));
  ASSERT_EQ(first_different(verdicts.span(), batch.verdicts, 1), kAllEqual);
  ASSERT_EQ(first_different(out.span(), batch.out, batch.out.size() / num), kAllEqual);
  ASSERT_TRUE(out.fences_stand() && verdicts.fences_stand());
  if (!in_place) {
    ASSERT_EQ(first_different(in, batch.in, 1), kAllEqual) << "the input was changed";
  }
}

using Pair = std::pair<WrapAlgorithm, WrapAlgorithm>;  // from and to
using Case = std::tuple<Implementation, std::size_t, Pair>;

std::string case_name(const testing::TestParamInfo<Case>& info) {
  return std::string(std::get<0>(info.param).name) + "_" +
         algorithm_name(std::get<2>(info.param).first) + "_to_" +
         algorithm_name(std::get<2>(info.param).second) + "_dek_" +
         std::to_string(std::get<1>(info.param));
}

class RewrapTest : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    if (!test::runs_here(implementation_))
      GTEST_SKIP() << "this CPU lacks " << implementation_.needs;
  }

  // for_each_kek_pair calls body(transform) with kMaxBatch wraps under each pair of KEK sizes in
  // from_wraps_ and to_wraps_.
  template <typename Body>
  void for_each_kek_pair(Body body) {
    const Bytes deks = random_.bytes(kMaxBatch * dek_len_);
    for (const std::size_t from_len : {16U, 24U, 32U}) {
      const Bytes from_kek = random_.bytes(from_len);
      from_wraps_ = wrap_all(from_algorithm_, from_kek, from_aad_, kFromNumber, deks);
      for (const std::size_t to_len : {16U, 24U, 32U}) {
        SCOPED_TRACE(testing::Message() << "KEK of " << from_len << " to KEK of " << to_len);
        const Bytes to_kek = random_.bytes(to_len);
        to_wraps_ = wrap_all(to_algorithm_, to_kek, to_aad(), kToNumber, deks);
        const Kek old_kek = make_kek(from_kek);
        const Kek new_kek = make_kek(to_kek);
        auto transform =
            implementation_.make({dek_len_, WrapSide{from_algorithm_, &old_kek, {prefix_, nullptr}},
                                  WrapSide{to_algorithm_, &new_kek, {prefix_, &*ivs_}}, false});
        ASSERT_OK(transform);
        ASSERT_EQ(transform.value()->in_len(), from_len_);
        ASSERT_EQ(transform.value()->out_len(), to_len_);
        body(transform.value().get());
        if (HasFatalFailure()) return;
        ++num_kek_pairs_;
      }
    }
  }

  Bytes wrap_all(WrapAlgorithm algorithm, const Bytes& kek, const Bytes& aads, std::uint64_t number,
                 const Bytes& deks) {
    if (algorithm != WrapAlgorithm::kGcm) return openssl_wrap_all(algorithm, kek, deks, dek_len_);
    Bytes wraps;
    for (std::size_t k = 0; k < kMaxBatch; ++k) {
      Bytes aad = prefix_;
      const ByteView own = ByteView(aads).subspan(k * kAadStride, kAadLen);
      aad.insert(aad.end(), own.begin(), own.end());
      const Bytes wrap = test::openssl_gcm_wrap(kek, kFixedField, number + k, aad,
                                                ByteView(deks).subspan(k * dek_len_, dek_len_));
      wraps.insert(wraps.end(), wrap.begin(), wrap.end());
    }
    return wraps;
  }

  // first takes the first `num` wraps. IVs start afresh with each batch, so that the answer is
  // known.
  Expected first(std::size_t num) {
    ivs_.emplace(kFixedField, kToNumber, kMaxGcmWraps);
    return {
        Bytes(from_wraps_.begin(),
              from_wraps_.begin() + static_cast<std::ptrdiff_t>(num * from_len_)),
        Bytes(to_wraps_.begin(), to_wraps_.begin() + static_cast<std::ptrdiff_t>(num * to_len_)),
        Bytes(num, kIntact),
        {from_aad_, kAadLen, kAadStride},
        {to_aad(), kAadLen, kAadStride}};
  }

  // damage flips one random bit of key `k`'s wrap.
  void damage(Expected* batch, std::size_t k) {
    test::flip_bit(ByteSpan(batch->in).subspan(k * from_len_, from_len_),
                   random_.below(8 * from_len_));
    wipe(ByteSpan(batch->out).subspan(k * to_len_, to_len_));
    batch->verdicts[k] = kDamaged;
  }

  // first_damaged is first with some of the keys damaged.
  Expected first_damaged(std::size_t num) {
    Expected batch = first(num);
    for (std::size_t k = 0; k < num; ++k) {
      if (random_.below(100) < kDamagePercent) damage(&batch, k);
    }
    return batch;
  }

  // to_aad is the column of the new wraps: the very one of the old, as in a segment, or another.
  // Kernels serve the former only.
  [[nodiscard]] const Bytes& to_aad() const { return has_two_columns_ ? other_aad_ : from_aad_; }

  [[nodiscard]] bool may_be_in_place() const { return from_len_ == to_len_; }

  Implementation implementation_ = std::get<0>(GetParam());
  std::size_t dek_len_ = std::get<1>(GetParam());
  WrapAlgorithm from_algorithm_ = std::get<2>(GetParam()).first;
  WrapAlgorithm to_algorithm_ = std::get<2>(GetParam()).second;
  std::size_t num_kek_pairs_ = 0;  // done so far
  std::size_t from_len_ = wrapped_len(from_algorithm_, dek_len_);
  std::size_t to_len_ = wrapped_len(to_algorithm_, dek_len_);
  test::Random random_{dek_len_};
  Bytes prefix_ = random_.bytes(kAadLen);
  Bytes from_aad_ = random_.bytes(kMaxBatch * kAadStride);
  Bytes other_aad_ = random_.bytes(kMaxBatch * kAadStride);
  bool has_two_columns_ = false;
  Bytes from_wraps_;
  Bytes to_wraps_;
  std::optional<IvSource> ivs_{std::in_place, kFixedField, kToNumber, kMaxGcmWraps};
};

TEST_P(RewrapTest, BatchesOfEverySizeIntactAndDamaged) {
  for_each_kek_pair([this](Transform* transform) {
    for (const std::size_t num : batch_sizes()) {
      SCOPED_TRACE(testing::Message() << "batch of " << num);
      const bool in_place = may_be_in_place() && num % 2 == 0;
      expect_run(transform, first(num), 0, in_place);
      if (HasFatalFailure()) return;
      expect_run(transform, first_damaged(num), 0, in_place);
      if (HasFatalFailure()) return;
    }
  });
}

// Under sanitizers the kernels' groups and their neighbours, several times over, are enough.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::size_t kLargestOfAll = 200;
#else
constexpr std::size_t kLargestOfAll = 1000;
#endif

TEST_P(RewrapTest, BatchesOfOneToAThousand) {
  for_each_kek_pair([this](Transform* transform) {
    // Each pair of KEKs takes other sizes; together they take them all.
    for (std::size_t num = 1 + num_kek_pairs_; num <= kLargestOfAll; num += 9) {
      SCOPED_TRACE(testing::Message() << "batch of " << num);
      expect_run(transform, first_damaged(num), 0, num % 2 == 0 && may_be_in_place());
      if (HasFatalFailure()) return;
    }
  });
}

TEST_P(RewrapTest, InPlaceAndOutOfPlaceAtEveryAlignment) {
  for_each_kek_pair([this](Transform* transform) {
    // Each pair of KEKs takes other offsets; together they take all that a cache line has.
    for (std::size_t offset = num_kek_pairs_; offset < 64; offset += 9) {
      for (const std::size_t num : {1U, 13U, 65U, 300U}) {
        for (const bool in_place : {false, true}) {
          if (in_place && !may_be_in_place()) continue;
          SCOPED_TRACE(testing::Message()
                       << "offset " << offset << ", batch of " << num << ", in place " << in_place);
          expect_run(transform, first_damaged(num), offset, in_place);
          if (HasFatalFailure()) return;
        }
      }
    }
  });
}

TEST_P(RewrapTest, OneDamagedKeyAtEachPlace) {
  for_each_kek_pair([this](Transform* transform) {
    constexpr std::size_t kNum = 67;
    for (std::size_t damaged = 0; damaged < kNum; ++damaged) {
      SCOPED_TRACE(testing::Message() << "key " << damaged);
      Expected batch = first(kNum);
      damage(&batch, damaged);
      expect_run(transform, batch, 0, may_be_in_place() && damaged % 2 == 0);
      if (HasFatalFailure()) return;
    }
  });
}

class RewrapTwoColumnsTest : public RewrapTest {
 protected:
  RewrapTwoColumnsTest() { has_two_columns_ = true; }
};

TEST_P(RewrapTwoColumnsTest, EachSideHasItsOwnAdditionalData) {
  for_each_kek_pair([this](Transform* transform) {
    for (const std::size_t num : {1U, 13U, 65U, 300U}) {
      SCOPED_TRACE(testing::Message() << "batch of " << num);
      expect_run(transform, first_damaged(num), 0, num % 2 == 0);
      if (HasFatalFailure()) return;
    }
  });
}

// Pairs of KWP and GCM would be the same two transforms in a row as those of KW and GCM.
constexpr Pair kPairs[] = {
    {WrapAlgorithm::kKw, WrapAlgorithm::kKw},  {WrapAlgorithm::kKw, WrapAlgorithm::kKwp},
    {WrapAlgorithm::kKwp, WrapAlgorithm::kKw}, {WrapAlgorithm::kKwp, WrapAlgorithm::kKwp},
    {WrapAlgorithm::kKw, WrapAlgorithm::kGcm}, {WrapAlgorithm::kGcm, WrapAlgorithm::kKw},
    {WrapAlgorithm::kGcm, WrapAlgorithm::kGcm}};
INSTANTIATE_TEST_SUITE_P(Implementations, RewrapTest,
                         testing::Combine(testing::ValuesIn(implementations().begin(),
                                                            implementations().end()),
                                          testing::ValuesIn(kDekLens), testing::ValuesIn(kPairs)),
                         case_name);
INSTANTIATE_TEST_SUITE_P(
    Implementations, RewrapTwoColumnsTest,
    testing::Combine(testing::ValuesIn(implementations().begin(), implementations().end()),
                     testing::ValuesIn(kDekLens),
                     testing::Values(Pair(WrapAlgorithm::kGcm, WrapAlgorithm::kGcm))),
    case_name);

}  // namespace
}  // namespace rewrap
