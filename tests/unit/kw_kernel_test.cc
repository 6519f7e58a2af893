// What the fused key wrap leaves behind. What it computes is tested through its implementations.
#include <gtest/gtest.h>

#include <ostream>
#include <string>

#include "aesni/kernels.h"
#include "engine/base/secret_buffer.h"
#include "engine/wrap_algorithm.h"
#include "tests/unit/test_keys.h"
#include "tests/unit/vector_registers.h"

namespace rewrap {
namespace {

struct Tried {
  const char* name;
  const aesni::KwKernel* kernel;
  std::size_t first;  // registers first to end - 1 must be clear in their first `len` bytes
  std::size_t end;
  std::size_t len;
};
void PrintTo(const Tried& tried, std::ostream* out) { *out << tried.name; }

// Registers below 16 serve a sanitizer too, between the kernel and the look at them.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr Tried kTried[] = {{"vaes512", &aesni::kVaes512Kw, 16, 32, 64}};
#else
constexpr Tried kTried[] = {{"vaes512", &aesni::kVaes512Kw, 4, 32, 64},
                            {"vaes256", &aesni::kVaes256Kw, 4, 16, 32},
                            {"aesni", &aesni::kAesniKw, 4, 16, 16}};
#endif

class KwKernelTest : public testing::TestWithParam<Tried> {
 protected:
  void SetUp() override {
    if (!test::runs_here_by_name("vaes512")) GTEST_SKIP() << "this CPU cannot run vaes512";
  }
};

TEST_P(KwKernelTest, NoSecretStaysInVectorRegisters) {
  constexpr std::size_t kNum = 100;
  constexpr std::size_t kKeyLen = 32;
  const auto [name, kernel, first, end, len] = GetParam();
  test::Random random(3);
  const Bytes old_kek = random.bytes(32);
  const Bytes new_kek = random.bytes(32);
  const std::uint64_t icv = integrity_check_value(WrapAlgorithm::kKw, kKeyLen);
  const aesni::KwSide from{old_kek.data(), old_kek.size(), icv};
  const aesni::KwSide to{new_kek.data(), new_kek.size(), icv};
  auto memory = SecretBuffer::create(sizeof(aesni::KwState)).value();
  auto* state = new (memory.expose_secret().data()) aesni::KwState;
  Bytes keys = random.bytes(kNum * kKeyLen);
  Bytes wraps(kNum * (kKeyLen + kSemiblockLen));
  Bytes verdicts(kNum);

  kernel->set_up(state, kKeyLen / kSemiblockLen, nullptr, &from);
  EXPECT_TRUE(test::vector_registers_are_zero(first, end, len)) << "set_up";
  kernel->wrap(state, keys.data(), wraps.data(), kNum);
  EXPECT_TRUE(test::vector_registers_are_zero(first, end, len)) << "wrap";
  kernel->set_up(state, kKeyLen / kSemiblockLen, &from, &to);
  kernel->rewrap(state, wraps.data(), wraps.data(), verdicts.data(), kNum);
  EXPECT_TRUE(test::vector_registers_are_zero(first, end, len)) << "rewrap";
  kernel->set_up(state, kKeyLen / kSemiblockLen, &to, nullptr);
  kernel->check(state, wraps.data(), verdicts.data(), kNum);
  EXPECT_TRUE(test::vector_registers_are_zero(first, end, len)) << "check";
  kernel->unwrap(state, wraps.data(), keys.data(), verdicts.data(), kNum);
  EXPECT_TRUE(test::vector_registers_are_zero(first, end, len)) << "unwrap";
  EXPECT_EQ(verdicts, Bytes(kNum, kIntact));
}

std::string kernel_name(const testing::TestParamInfo<Tried>& info) { return info.param.name; }
INSTANTIATE_TEST_SUITE_P(Kernels, KwKernelTest, testing::ValuesIn(kTried), kernel_name);

}  // namespace
}  // namespace rewrap
