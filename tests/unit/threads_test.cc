// Transforms of different threads share nothing, and the choice may be made by all of them at once.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "engine/implementation.h"
#include "tests/unit/openssl_reference.h"
#include "tests/unit/test_keys.h"

namespace rewrap {
namespace {

constexpr std::size_t kNumThreads = 8;
constexpr std::size_t kNumKeys = 300;
constexpr std::size_t kKeyLen = 32;

// rewraps_rightly runs several batches through a transform of its own and compares with OpenSSL.
bool rewraps_rightly(std::uint64_t seed, const Kek& from, const Kek& to) {
  test::Random random(seed);
  const Bytes keys = random.bytes(kNumKeys * kKeyLen);
  const Bytes in = test::openssl_wrap_all(WrapAlgorithm::kKw, from.expose_secret(), keys, kKeyLen);
  const Bytes want = test::openssl_wrap_all(WrapAlgorithm::kKwp, to.expose_secret(), keys, kKeyLen);
  const auto chosen = choose_implementation("");
  if (!chosen.ok()) return false;
  auto transform = chosen.value()->make(
      {kKeyLen, WrapSide{WrapAlgorithm::kKw, &from}, WrapSide{WrapAlgorithm::kKwp, &to}, false});
  if (!transform.ok()) return false;
  for (int turn = 0; turn < 10; ++turn) {
    Bytes out(want.size());
    Bytes verdicts(kNumKeys, 0xee);
    if (!transform.value()->run(in, out, verdicts).ok()) return false;
    if (out != want || verdicts != Bytes(kNumKeys, kIntact)) return false;
  }
  return true;
}

TEST(Threads, TransformsDoNotDisturbOneAnother) {
  test::Random random(41);
  const Kek from = test::make_kek(random.bytes(32));
  const Kek to = test::make_kek(random.bytes(24));
  std::atomic<std::size_t> num_right{0};
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < kNumThreads; ++i) {
    threads.emplace_back([&, i] { num_right += rewraps_rightly(i, from, to) ? 1 : 0; });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(num_right, kNumThreads);
}

TEST(Threads, AllMayChooseAtOnce) {
  std::atomic<std::size_t> num_ok{0};
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < kNumThreads; ++i) {
    threads.emplace_back([&] {
      for (const Implementation& implementation : implementations()) {
        const auto chosen = choose_implementation(implementation.name);
        num_ok += chosen.ok() || chosen.status().code() == Errc::kUnsupported ? 1 : 0;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(num_ok, kNumThreads * implementations().size());
}

}  // namespace
}  // namespace rewrap
