// Wrap and unwrap of one vector in batches of one and of several.
#include "tests/vectors/vector_run.h"

#include <gtest/gtest.h>

#include <optional>

#include "tests/hsm/expect_code.h"
#include "tests/unit/test_keys.h"

namespace rewrap::test {
namespace {

// Alone, and in enough copies for lanes of 16 and one left over.
constexpr std::size_t kBatches[] = {1, 17};

Bytes repeated(const Bytes& bytes, std::size_t times) {
  Bytes all;
  for (std::size_t i = 0; i < times; ++i) all.insert(all.end(), bytes.begin(), bytes.end());
  return all;
}

// unwrap_as opens the wrap as a key of `key_len` bytes; nothing if it is refused. All copies must
// agree.
std::optional<Bytes> unwrap_as(const MakeTransform& make, WrapSide side, const VectorCase& vector,
                               std::size_t key_len) {
  std::optional<Bytes> opened;
  for (const std::size_t num : kBatches) {
    auto transform = make({key_len, side, std::nullopt, false});
    EXPECT_OK(transform);
    Bytes keys(num * key_len, 0xee);
    Bytes verdicts(num, 0xee);
    EXPECT_OK(transform.value()->run(repeated(vector.wrapped, num), keys, verdicts));
    const Bytes first(keys.begin(), keys.begin() + static_cast<std::ptrdiff_t>(key_len));
    if (num == 1 && verdicts[0] == kIntact) opened = first;
    EXPECT_EQ(verdicts, Bytes(num, opened ? kIntact : kDamaged)) << vector.where;
    EXPECT_EQ(keys, opened ? repeated(*opened, num) : Bytes(num * key_len, 0)) << vector.where;
  }
  return opened;
}

std::size_t shortest_key(WrapAlgorithm algorithm, std::size_t wrap_len) {
  const std::size_t longest = wrap_len - kSemiblockLen;
  return algorithm == WrapAlgorithm::kKw ? longest : longest - (kSemiblockLen - 1);
}

}  // namespace

void expect_wrap(const MakeTransform& make, WrapAlgorithm algorithm, const VectorCase& vector,
                 Counts* counts) {
  const Kek kek = make_kek(vector.kek);
  for (const std::size_t num : kBatches) {
    auto transform = make({vector.key.size(), std::nullopt, WrapSide{algorithm, &kek}, false});
    ASSERT_OK(transform);
    Bytes wraps(num * wrapped_len(algorithm, vector.key.size()), 0xee);
    Bytes verdicts(num, 0xee);
    ASSERT_OK(transform.value()->run(repeated(vector.key, num), wraps, verdicts));
    ASSERT_EQ(verdicts, Bytes(num, kIntact)) << vector.where;
    ASSERT_EQ(wraps, repeated(vector.wrapped, num)) << vector.where;
  }
  ++counts->good;
}

void expect_unwrap(const MakeTransform& make, WrapAlgorithm algorithm, const VectorCase& vector,
                   Counts* counts) {
  ASSERT_TRUE(vector.wrapped.size() % kSemiblockLen == 0 &&
              vector.wrapped.size() >= 2 * kSemiblockLen)
      << vector.where;
  const Kek kek = make_kek(vector.kek);
  const std::size_t longest = vector.wrapped.size() - kSemiblockLen;
  std::vector<Bytes> opened;
  for (std::size_t len = shortest_key(algorithm, vector.wrapped.size()); len <= longest; ++len) {
    const auto key = unwrap_as(make, {algorithm, &kek}, vector, len);
    if (key) opened.push_back(*key);
  }
  ASSERT_EQ(opened.size(), vector.must_fail ? 0U : 1U) << vector.where;
  if (vector.must_fail) {
    ++counts->refused;
    return;
  }
  ASSERT_EQ(opened[0], vector.key) << vector.where;
  ++counts->good;
}

}  // namespace rewrap::test
