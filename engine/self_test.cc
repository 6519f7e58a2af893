// Known-answer self-test of an implementation: RFC 3394 section 4, RFC 5649 section 6, and damaged
// inputs.
#include <array>
#include <cstring>
#include <string_view>

#include "engine/implementation.h"

namespace rewrap {
namespace {

// The keys of both RFCs start with the same counting pattern or are given whole; all are public
// test values.
struct KnownAnswer {
  WrapAlgorithm algorithm;
  std::string_view kek;
  std::string_view key;
  std::string_view wrapped;
};

constexpr std::string_view kKek128 = "000102030405060708090a0b0c0d0e0f";
constexpr std::string_view kKek192 = "000102030405060708090a0b0c0d0e0f1011121314151617";
constexpr std::string_view kKek256 =
    "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
constexpr std::string_view kKey128 = "00112233445566778899aabbccddeeff";
constexpr std::string_view kKey192 = "00112233445566778899aabbccddeeff0001020304050607";
constexpr std::string_view kKey256 =
    "00112233445566778899aabbccddeeff000102030405060708090a0b0c0d0e0f";
constexpr std::string_view kKekRfc5649 = "5840df6e29b02af1ab493b705bf16ea1ae8338f4dcc176a8";

constexpr KnownAnswer kAnswers[] = {
    // RFC 3394 4.1 to 4.6
    {WrapAlgorithm::kKw, kKek128, kKey128, "1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5"},
    {WrapAlgorithm::kKw, kKek192, kKey128, "96778b25ae6ca435f92b5b97c050aed2468ab8a17ad84e5d"},
    {WrapAlgorithm::kKw, kKek256, kKey128, "64e8c3f9ce0f5ba263e9777905818a2a93c8191e7d6e8ae7"},
    {WrapAlgorithm::kKw, kKek192, kKey192,
     "031d33264e15d33268f24ec260743edce1c6c7ddee725a936ba814915c6762d2"},
    {WrapAlgorithm::kKw, kKek256, kKey192,
     "a8f9bc1612c68b3ff6e6f4fbe30e71e4769c8b80a32cb8958cd5d17d6b254da1"},
    {WrapAlgorithm::kKw, kKek256, kKey256,
     "28c9f404c4b810f4cbccb35cfb87f8263f5786e2d80ed326cbc7f0e71a99f43bfb988b9b7a02dd21"},
    // RFC 5649 6: 20 bytes, and 7 bytes (a single block)
    {WrapAlgorithm::kKwp, kKekRfc5649, "c37b7e6492584340bed12207808941155068f738",
     "138bdeaa9b8fa7fc61f97742e72248ee5ae6ae5360d1ae6a5f54f373fa543b6a"},
    {WrapAlgorithm::kKwp, kKekRfc5649, "466f7250617369", "afbeb0f07dfbf5419200f2ccb50bb24f"},
};

constexpr std::size_t kMaxAnswerLen = 40;

std::size_t from_hex(std::string_view hex, std::array<std::uint8_t, kMaxAnswerLen>* out) {
  const auto digit = [](char c) {
    return static_cast<std::uint8_t>(c <= '9' ? c - '0' : c - 'a' + 10);
  };
  for (std::size_t i = 0; i < hex.size(); i += 2) {
    (*out)[i / 2] = static_cast<std::uint8_t>(digit(hex[i]) << 4 | digit(hex[i + 1]));
  }
  return hex.size() / 2;
}

constexpr Literal kFailed("the self-test of this implementation failed");
constexpr Literal kFailedHint(
    "do not use this build on this CPU; choose another --implementation and report the CPU's name");

Status expect(bool holds) {
  return holds ? Status() : Status(Errc::kInternal, kFailed, kFailedHint);
}

// A batch of several lanes, so that the batch path is tested and not only a single key.
constexpr std::size_t kLanes = 5;
constexpr std::size_t kDamagedLane = 3;
constexpr std::uint8_t kNoVerdict = 0xff;  // an answer left from the run before must not count

Status expect_one_damaged(ByteView verdicts) {
  for (std::size_t k = 0; k < verdicts.size(); ++k) {
    REWRAP_TRY(expect(verdicts[k] == (k == kDamagedLane ? kDamaged : kIntact)));
  }
  return {};
}

Status run_answer(const Implementation& implementation, const KnownAnswer& answer) {
  std::array<std::uint8_t, kMaxAnswerLen> kek_bytes{};
  std::array<std::uint8_t, kMaxAnswerLen> key{};
  std::array<std::uint8_t, kMaxAnswerLen> wrapped{};
  const std::size_t kek_len = from_hex(answer.kek, &kek_bytes);
  const std::size_t key_len = from_hex(answer.key, &key);
  const std::size_t wrap_len = from_hex(answer.wrapped, &wrapped);
  REWRAP_ASSIGN(SecretBuffer kek_buffer, SecretBuffer::copy_of(ByteView(kek_bytes).first(kek_len)));
  REWRAP_ASSIGN(const Kek kek, Kek::create(std::move(kek_buffer)));
  const WrapSide side{answer.algorithm, &kek};

  std::array<std::uint8_t, kLanes * kMaxAnswerLen> keys{};
  std::array<std::uint8_t, kLanes * kMaxAnswerLen> wraps{};
  std::array<std::uint8_t, kLanes> verdicts{};
  for (std::size_t k = 0; k < kLanes; ++k)
    copy_bytes(ByteSpan(keys).subspan(k * key_len), ByteView(key).first(key_len));
  const ByteSpan key_span = ByteSpan(keys).first(kLanes * key_len);
  const ByteSpan wrap_span = ByteSpan(wraps).first(kLanes * wrap_len);

  REWRAP_ASSIGN(auto wrapper, implementation.make({key_len, std::nullopt, side, false}));
  REWRAP_TRY(wrapper->run(key_span, wrap_span, verdicts));
  for (std::size_t k = 0; k < kLanes; ++k) {
    REWRAP_TRY(expect(std::memcmp(&wraps[k * wrap_len], wrapped.data(), wrap_len) == 0));
  }

  wraps[kDamagedLane * wrap_len + wrap_len / 2] ^= 0x10;
  const std::array<std::uint8_t, kMaxAnswerLen> zeros{};
  REWRAP_ASSIGN(auto unwrapper, implementation.make({key_len, side, std::nullopt, false}));
  verdicts.fill(kNoVerdict);
  REWRAP_TRY(unwrapper->run(wrap_span, key_span, verdicts));
  REWRAP_TRY(expect_one_damaged(verdicts));
  for (std::size_t k = 0; k < kLanes; ++k) {
    const std::uint8_t* want = k == kDamagedLane ? zeros.data() : key.data();
    REWRAP_TRY(expect(std::memcmp(&keys[k * key_len], want, key_len) == 0));
  }

  REWRAP_ASSIGN(auto checker, implementation.make({key_len, side, std::nullopt, true}));
  verdicts.fill(kNoVerdict);
  REWRAP_TRY(checker->run(wrap_span, {}, verdicts));
  REWRAP_TRY(expect_one_damaged(verdicts));

  // Re-wrap under the same KEK gives the same wrap again.
  REWRAP_ASSIGN(auto rewrapper, implementation.make({key_len, side, side, false}));
  verdicts.fill(kNoVerdict);
  REWRAP_TRY(rewrapper->run(wrap_span, wrap_span, verdicts));
  REWRAP_TRY(expect_one_damaged(verdicts));
  for (std::size_t k = 0; k < kLanes; ++k) {
    const std::uint8_t* want = k == kDamagedLane ? zeros.data() : wrapped.data();
    REWRAP_TRY(expect(std::memcmp(&wraps[k * wrap_len], want, wrap_len) == 0));
  }
  return {};
}

}  // namespace

Status self_test(const Implementation& implementation) {
  for (const KnownAnswer& answer : kAnswers) REWRAP_TRY(run_answer(implementation, answer));
  return {};
}

}  // namespace rewrap
