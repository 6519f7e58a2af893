// Known-answer self-test of an implementation: RFC 3394 section 4, RFC 5649 section 6, the GCM
// specification's and NIST's test cases, round trips of what has no known answer, and damaged
// inputs; each in batches of several sizes, since kernels of many lanes have as many ways to fail.
#include <algorithm>
#include <array>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

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

struct GcmAnswer {
  std::string_view kek;
  std::string_view iv;
  std::string_view aad;
  std::string_view key;
  std::string_view wrapped;  // ciphertext and tag
};

constexpr std::string_view kZeroIv = "000000000000000000000000";
constexpr std::string_view kZeroKey128 = "00000000000000000000000000000000";
constexpr std::string_view kZeroKey192 = "000000000000000000000000000000000000000000000000";
constexpr std::string_view kZeroKey256 =
    "0000000000000000000000000000000000000000000000000000000000000000";

constexpr GcmAnswer kGcmAnswers[] = {
    // McGrew and Viega, The Galois/Counter Mode of Operation, test cases 2, 8 and 14: the IV of
    // zeros is also that of invocation number 0 under a fixed field of 0
    {kZeroKey128, kZeroIv, "", kZeroKey128,
     "0388dace60b6a392f328c2b971b2fe78ab6e47d42cec13bdf53a67b21257bddf"},
    {kZeroKey192, kZeroIv, "", kZeroKey128,
     "98e7247c07f0fe411c267e4384b0f6002ff58d80033927ab8ef4d4587514f0fb"},
    {kZeroKey256, kZeroIv, "", kZeroKey128,
     "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919"},
    // NIST CAVP, gcmEncryptExtIV128, 192 and 256
    {"d4a22488f8dd1d5c6c19a7d6ca17964c", "f3d5837f22ac1a0425e0d1d5",
     "f1c5d424b83f96c6ad8cb28ca0d20e475e023b5a", "7b43016a16896497fb457be6d2a54122",
     "c2bd67eef5e95cac27e3b06e3031d0a8f23eacf9d1cdf8737726c58648826e9c"},
    {"d1007bd17c6c3ec9efba9baa7584a9c12f61bc36fd8fe95f", "9513f4473b2bd9410d2e2f1f",
     "ab9c76ff9b1de550cde5fd42c6aeae95cbc0395a6c39ac3edf9db75b76a6688461b8cf2fcaf2efcd8d8dd4265b30"
     "e291",
     "17f5ccf5dbe6e97b277824f717d02f8b5b199d014444f72d1a00fb831e1a9d6f",
     "db6aee7f53b8627323e7e77e01553463302effc19884553fcdca6d7d0c0ddd338c413e2f67a4124f1ef9d7ab6c23"
     "8784"},
    {"37ccdba1d929d6436c16bba5b5ff34deec88ed7df3d15d0f4ddf80c0c731ee1f", "5c1b21c8998ed6299006d3f9",
     "22ed235946235a85a45bc5fad7140bfa",
     "ad4260e3cdc76bcc10c7b2c06b80b3be948258e5ef20c508a81f51e96a518388",
     "3b335f8b08d33ccdcad228a74700f1007542a4d1e7fc1ebe3f447fe71af298161fbf49cc46f458bf6e88f6370975"
     "e6d4"},
};

Bytes from_hex(std::string_view hex) {
  const auto digit = [](char c) {
    return static_cast<std::uint8_t>(c <= '9' ? c - '0' : c - 'a' + 10);
  };
  Bytes bytes(hex.size() / 2);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<std::uint8_t>(digit(hex[2 * i]) << 4 | digit(hex[2 * i + 1]));
  }
  return bytes;
}

Result<Kek> kek_from_hex(std::string_view hex) {
  REWRAP_ASSIGN(SecretBuffer buffer, SecretBuffer::copy_of(from_hex(hex)));
  return Kek::create(std::move(buffer));
}

constexpr Literal kFailed("the self-test of this implementation failed");
constexpr Literal kFailedHint(
    "do not use this build on this CPU; choose another --implementation and report the CPU's name");

Status expect(bool holds) {
  return holds ? Status() : Status(Errc::kInternal, kFailed, kFailedHint);
}

// One key, part of a kernel's lanes, a few more than 16 and than 32, and many rounds with a rest.
constexpr std::size_t kBatches[] = {1, 5, 17, 41, 300};
constexpr std::uint8_t kNoVerdict = 0xff;  // an answer left from the run before must not count

// The IVs of the self-test's own wraps.
constexpr std::uint32_t kFixedField = 0x01020304;
constexpr std::uint64_t kFirstNumber = 0xffff0080;  // so that numbers carry from byte to byte

bool is_damaged_lane(std::size_t lane) { return lane % 7 == 0; }

// Lanes is a batch: keys, and their wraps under `side`. All are public test values.
struct Lanes {
  WrapSide side;
  std::size_t key_len = 0;
  std::size_t num = 0;
  AadColumn aad;
  Bytes keys;
  Bytes wraps;

  [[nodiscard]] std::size_t wrap_len() const { return wrapped_len(side.algorithm, key_len); }

  // damage changes one bit in some of the wraps, each at another place, and zeros their keys.
  void damage() {
    for (std::size_t k = 0; k < num; ++k) {
      if (!is_damaged_lane(k)) continue;
      wraps[k * wrap_len() + (wrap_len() / 2 + 5 * k) % wrap_len()] ^= 0x10;
      wipe(ByteSpan(keys).subspan(k * key_len, key_len));
    }
  }
};

Bytes repeated(const Bytes& bytes, std::size_t times) {
  Bytes all;
  for (std::size_t i = 0; i < times; ++i) all.insert(all.end(), bytes.begin(), bytes.end());
  return all;
}

// different_keys gives keys of which no two are equal; the first is `key`.
Bytes different_keys(const Bytes& key, std::size_t num) {
  Bytes keys = repeated(key, num);
  for (std::size_t k = 0; k < num; ++k) {
    keys[k * key.size()] ^= static_cast<std::uint8_t>(k);
    keys[(k + 1) * key.size() - 1] ^= static_cast<std::uint8_t>(k >> 8);
  }
  return keys;
}

Status expect_verdicts(ByteView verdicts, bool damaged) {
  for (std::size_t k = 0; k < verdicts.size(); ++k) {
    REWRAP_TRY(expect(verdicts[k] == (damaged && is_damaged_lane(k) ? kDamaged : kIntact)));
  }
  return {};
}

// Tester runs batches under one KEK; a transform is made once and used for every size of batch.
class Tester {
 public:
  Tester(const Implementation& implementation, std::size_t key_len)
      : implementation_(implementation), key_len_(key_len) {}

  // expect_wrapped wraps the keys and keeps the wraps.
  Status expect_wrapped(Lanes* lanes) {
    REWRAP_ASSIGN(Transform * transform, get(std::nullopt, lanes->side, false));
    lanes->wraps.assign(lanes->num * lanes->wrap_len(), 0xee);
    Bytes verdicts(lanes->num, kNoVerdict);
    REWRAP_ASSIGN(const std::uint64_t number, next_number(lanes->side));
    REWRAP_TRY(transform->run({lanes->keys, lanes->wraps, verdicts, {}, lanes->aad}));
    REWRAP_TRY(expect_verdicts(verdicts, false));
    return expect_ivs(*lanes, number);
  }

  // expect_opened unwraps and checks, and compares the keys and the verdicts.
  Status expect_opened(const Lanes& lanes, bool damaged) {
    Bytes keys(lanes.keys.size(), 0xee);
    Bytes verdicts(lanes.num, kNoVerdict);
    REWRAP_ASSIGN(Transform * unwrap, get(lanes.side, std::nullopt, false));
    REWRAP_TRY(unwrap->run({lanes.wraps, keys, verdicts, lanes.aad, {}}));
    REWRAP_TRY(expect_verdicts(verdicts, damaged));
    REWRAP_TRY(expect(keys == lanes.keys));
    verdicts.assign(lanes.num, kNoVerdict);
    REWRAP_ASSIGN(Transform * check, get(lanes.side, std::nullopt, true));
    REWRAP_TRY(check->run({lanes.wraps, {}, verdicts, lanes.aad, {}}));
    return expect_verdicts(verdicts, damaged);
  }

  // expect_rewrapped moves the wraps to the side of `to`, and keeps them there.
  Status expect_rewrapped(const Lanes& lanes, Lanes* to, bool damaged) {
    REWRAP_ASSIGN(Transform * transform, get(lanes.side, to->side, false));
    to->wraps.assign(to->num * to->wrap_len(), 0xee);
    Bytes verdicts(lanes.num, kNoVerdict);
    REWRAP_ASSIGN(const std::uint64_t number, next_number(to->side));
    REWRAP_TRY(transform->run({lanes.wraps, to->wraps, verdicts, lanes.aad, to->aad}));
    REWRAP_TRY(expect_verdicts(verdicts, damaged));
    if (!damaged) return expect_ivs(*to, number);
    for (std::size_t k = 0; k < to->num; ++k) {
      const ByteView wrap = ByteView(to->wraps).subspan(k * to->wrap_len(), to->wrap_len());
      const auto zeros = std::count(wrap.begin(), wrap.end(), std::uint8_t{0});
      const bool all_zero = static_cast<std::size_t>(zeros) == wrap.size();
      REWRAP_TRY(expect(all_zero == is_damaged_lane(k)));
    }
    return {};
  }

  // expect_moved opens `lanes`, re-wraps them to `side` and opens them there; whole, then damaged.
  Status expect_moved(Lanes lanes, const WrapSide& side) {
    for (const bool damaged : {false, true}) {
      if (damaged) lanes.damage();
      REWRAP_TRY(expect_opened(lanes, damaged));
      Lanes to = lanes;
      to.side = side;
      REWRAP_TRY(expect_rewrapped(lanes, &to, damaged));
      REWRAP_TRY(expect_opened(to, damaged));
    }
    return {};
  }

 private:
  struct Made {
    std::optional<WrapAlgorithm> from;
    std::optional<WrapAlgorithm> to;
    bool check_only = false;
    std::unique_ptr<Transform> transform;
  };

  // get gives the transform between these algorithms; there is one KEK, one prefix of additional
  // data and one source of IVs per Tester.
  Result<Transform*> get(const std::optional<WrapSide>& from, const std::optional<WrapSide>& to,
                         bool check_only) {
    const auto algorithm = [](const std::optional<WrapSide>& side) {
      return side ? std::optional(side->algorithm) : std::nullopt;
    };
    for (const Made& made : made_) {
      if (made.from == algorithm(from) && made.to == algorithm(to) && made.check_only == check_only)
        return made.transform.get();
    }
    REWRAP_ASSIGN(auto transform, implementation_.make({key_len_, from, to, check_only}));
    made_.push_back({algorithm(from), algorithm(to), check_only, std::move(transform)});
    return made_.back().transform.get();
  }

  // next_number gives the number that the next wrap must have.
  static Result<std::uint64_t> next_number(const WrapSide& side) {
    if (side.algorithm != WrapAlgorithm::kGcm) return std::uint64_t{0};
    REWRAP_ASSIGN(const std::uint64_t skipped, side.gcm.ivs->take(1));
    return skipped + 1;
  }

  // expect_ivs compares the IVs of GCM wraps with `first` and the numbers that follow it.
  static Status expect_ivs(const Lanes& lanes, std::uint64_t first) {
    if (lanes.side.algorithm != WrapAlgorithm::kGcm) return {};
    for (std::size_t k = 0; k < lanes.num; ++k) {
      const std::uint8_t* wrap = &lanes.wraps[k * lanes.wrap_len()];
      REWRAP_TRY(expect(load_be32(wrap) == kFixedField && load_be64(wrap + 4) == first + k &&
                        load_be32(wrap + kGcmIvLen) == 0));
    }
    return {};
  }

  const Implementation& implementation_;
  std::size_t key_len_;
  std::vector<Made> made_;
};

// Key wrap has a known answer for every lane; besides, lanes of different keys tell whether one
// was taken for another.
Status run_answer(const Implementation& implementation, const KnownAnswer& answer) {
  REWRAP_ASSIGN(const Kek kek, kek_from_hex(answer.kek));
  const WrapSide side{answer.algorithm, &kek};
  const Bytes key = from_hex(answer.key);
  Tester tester(implementation, key.size());
  for (const std::size_t num : kBatches) {
    const Bytes wraps = repeated(from_hex(answer.wrapped), num);
    Lanes lanes{side, key.size(), num, {}, repeated(key, num), {}};
    REWRAP_TRY(tester.expect_wrapped(&lanes));
    REWRAP_TRY(expect(lanes.wraps == wraps));
    Lanes to = lanes;
    REWRAP_TRY(tester.expect_rewrapped(lanes, &to, false));
    REWRAP_TRY(expect(to.wraps == wraps));
    lanes.keys = different_keys(key, num);
    REWRAP_TRY(tester.expect_wrapped(&lanes));
    REWRAP_TRY(tester.expect_moved(lanes, side));
  }
  return {};
}

// Half of the additional data is the same for all keys, half stands in a column with gaps.
struct SplitAad {
  SplitAad(const Bytes& aad, std::size_t num)
      : prefix(aad.begin(), aad.begin() + static_cast<std::ptrdiff_t>(aad.size() / 2)) {
    Bytes slot(aad.begin() + static_cast<std::ptrdiff_t>(aad.size() / 2), aad.end());
    const std::size_t len = slot.size();
    slot.resize(len + 8, 0x5a);
    bytes = repeated(slot, num);
    column = {bytes, len, slot.size()};
  }

  Bytes prefix;
  Bytes bytes;
  AadColumn column;
};

// The IV of zeros is the only one of the known answers that an IvSource gives.
Status run_zero_iv(const Implementation& implementation, const Kek& kek, const Bytes& key,
                   const Bytes& record) {
  IvSource ivs(0, 0, 1);
  const WrapSide side{WrapAlgorithm::kGcm, &kek, {{}, &ivs}};
  REWRAP_ASSIGN(auto wrap, implementation.make({key.size(), std::nullopt, side, false}));
  Bytes made(record.size());
  Bytes verdict(1, kNoVerdict);
  REWRAP_TRY(wrap->run(key, made, verdict));
  return expect(made == record && verdict[0] == kIntact);
}

Status run_gcm_answer(const Implementation& implementation, const GcmAnswer& answer) {
  REWRAP_ASSIGN(const Kek kek, kek_from_hex(answer.kek));
  const Bytes key = from_hex(answer.key);
  Bytes record = from_hex(answer.iv);
  record.resize(kGcmIvFieldLen);
  const Bytes body = from_hex(answer.wrapped);
  record.insert(record.end(), body.begin(), body.end());
  if (answer.iv == kZeroIv) REWRAP_TRY(run_zero_iv(implementation, kek, key, record));

  IvSource ivs(kFixedField, kFirstNumber, kMaxGcmWraps);
  const WrapSide kw{WrapAlgorithm::kKw, &kek};
  Tester tester(implementation, key.size());
  for (const std::size_t num : kBatches) {
    const SplitAad aad(from_hex(answer.aad), num);
    const WrapSide gcm{WrapAlgorithm::kGcm, &kek, {aad.prefix, &ivs}};
    Lanes lanes{gcm, key.size(), num, aad.column, repeated(key, num), repeated(record, num)};
    REWRAP_TRY(tester.expect_opened(lanes, false));
    lanes.keys = different_keys(key, num);
    REWRAP_TRY(tester.expect_wrapped(&lanes));
    REWRAP_TRY(tester.expect_moved(lanes, gcm));
    if (answer.aad.empty()) continue;  // enough of key wrap with the others
    REWRAP_TRY(tester.expect_moved(lanes, kw));
    lanes.side = kw;
    REWRAP_TRY(tester.expect_wrapped(&lanes));
    REWRAP_TRY(tester.expect_moved(lanes, gcm));
  }
  return {};
}

}  // namespace

Status self_test(const Implementation& implementation) {
  for (const KnownAnswer& answer : kAnswers) REWRAP_TRY(run_answer(implementation, answer));
  for (const GcmAnswer& answer : kGcmAnswers) REWRAP_TRY(run_gcm_answer(implementation, answer));
  return {};
}

}  // namespace rewrap
