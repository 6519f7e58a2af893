// Known-answer self-test of an implementation: RFC 3394 section 4, RFC 5649 section 6, the GCM
// specification's and NIST's test cases, DEKs of every length as the kernels serve them, round
// trips of what has no known answer, and damaged inputs; each in batches of several sizes, since
// kernels of many lanes have as many ways to fail.
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

// The shape that the fused kernels serve, in all the lengths of a DEK: a KEK of 32 bytes, and for
// GCM one block of additional data that all keys share and one of their own. The answers are those
// of another implementation (OpenSSL, through Python's cryptography), under kKek256.
struct DekAnswer {
  WrapAlgorithm algorithm;
  std::size_t dek_len;
  std::string_view wrapped;
};

constexpr std::string_view kOtherKek256 =
    "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeffe0e1e2e3e4e5e6e7e8e9eaebecedeeef";
constexpr std::string_view kDek =  // as much of it as is needed
    "c0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadbdcdddedf"
    "a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebf";
constexpr std::string_view kDekAadPrefix = "505152535455565758595a5b5c5d5e5f";
constexpr std::string_view kDekAadSlot = "606162636465666768696a6b6c6d6e6f5a5a5a5a5a5a5a5a";
constexpr std::size_t kDekAadLen = 16;  // of the slot

constexpr DekAnswer kDekAnswers[] = {
    {WrapAlgorithm::kKw, 16, "687bd4e1c9d8d4cbdbb4f88ffa4e7c43ac097abcca6d73d3"},
    {WrapAlgorithm::kKw, 24, "dbcabf12cc4caabbdd76a715eca6057f1ee1809d0d1b296502f64cd1f0e9f2fe"},
    {WrapAlgorithm::kKw, 32,
     "ccecb7758a8246bf94cfd70902be66ed9b66c14f1b3ef65eff8a15639e92d969b0abefa5bc48f798"},
    {WrapAlgorithm::kKw, 48,
     "e1d1ab1544c747602057cb0e0e098f20a63b7919b52dfce1262d0eb7375f77bf6bc3a4c8d558f65794f86bafc9c4"
     "29d3fa945ae11018f2dd"},
    {WrapAlgorithm::kKw, 64,
     "f68b41441cfdeb24909c9607f1a3e810b13d92c3ec534e45d6d880e55b97f03ada8784c1ee7df4120a82e28b6432"
     "540091e7715c47cc99db4151a2b42147b95a557ebd74c397c696"},
    {WrapAlgorithm::kKwp, 16, "bfaef08f3bd61c48afbe7db5a38551e37c1a14695a84c3ac"},
    {WrapAlgorithm::kKwp, 24, "bc81fd654d0174688e03e440fa0afa667f7bd1e2ac40180f482937e6e9554de0"},
    {WrapAlgorithm::kKwp, 32,
     "639a48dfd7cd63338420371d79ca1af730b0269630b569175347a597711d25d4ce9c9b56799392c6"},
    {WrapAlgorithm::kKwp, 48,
     "3bbd41c460843ca76e8783235c98ecb7170d2ac14f7e4e22773f0bd0baa60769b5363d0cc03bf200a1f3339a56da"
     "e77c7f700f7a5f09f462"},
    {WrapAlgorithm::kKwp, 64,
     "f531c5ff9ae5c30e6d2af36d2124865817cdea319d12180ce17cfb9e56a87d2527afda4882c10dd5c64b5af87d64"
     "3d04e8c7fe6897913825474fb428e553f4bf6b8ef74f45c67368"},
    {WrapAlgorithm::kGcm, 16,
     "0102030400000000ffff0081000000005c8faa25f53d04241282d51443d36133f09e46db75fadd98f36526745d3e"
     "8db2"},
    {WrapAlgorithm::kGcm, 24,
     "0102030400000000ffff0081000000005c8faa25f53d04241282d51443d36133b34d867da4b639ffa32247dbf89a"
     "eed97da6cb324e5d805d"},
    {WrapAlgorithm::kGcm, 32,
     "0102030400000000ffff0081000000005c8faa25f53d04241282d51443d36133b34d867da4b639ffb5010df80096"
     "2a8b86a65fbd176a834726f39a063e19e42e"},
    {WrapAlgorithm::kGcm, 48,
     "0102030400000000ffff0081000000005c8faa25f53d04241282d51443d36133b34d867da4b639ffb5010df80096"
     "2a8bd195ee03d314a5be286b066b8432b482dfa77bc286b447a01f4c60d04367242d"},
    {WrapAlgorithm::kGcm, 64,
     "0102030400000000ffff0081000000005c8faa25f53d04241282d51443d36133b34d867da4b639ffb5010df80096"
     "2a8bd195ee03d314a5be286b066b8432b48258979a0943b3e8897097dbffdc83dfc68813097458c008b0f187e8d9"
     "0de49e06"},
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

// Tester runs batches of keys of one length; a transform is made once and used for every size of
// batch.
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
  using End = std::optional<std::pair<WrapAlgorithm, const Kek*>>;
  struct Made {
    End from;
    End to;
    bool check_only = false;
    std::unique_ptr<Transform> transform;
  };

  // get gives the transform between these algorithms and KEKs; there is one prefix of additional
  // data and one source of IVs per Tester.
  Result<Transform*> get(const std::optional<WrapSide>& from, const std::optional<WrapSide>& to,
                         bool check_only) {
    const auto end = [](const std::optional<WrapSide>& side) {
      return side ? End({side->algorithm, side->kek}) : std::nullopt;
    };
    for (const Made& made : made_) {
      if (made.from == end(from) && made.to == end(to) && made.check_only == check_only)
        return made.transform.get();
    }
    REWRAP_ASSIGN(auto transform, implementation_.make({key_len_, from, to, check_only}));
    made_.push_back({end(from), end(to), check_only, std::move(transform)});
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

// DekRun runs one DekAnswer: every batch is wrapped, re-wrapped from another KEK, opened,
// re-wrapped to the other KEK, and damaged.
class DekRun {
 public:
  DekRun(const Implementation& implementation, const DekAnswer& answer, const Kek& kek,
         const Kek& other)
      : answer_(answer),
        key_(from_hex(kDek.substr(0, 2 * answer.dek_len))),
        wrap_(from_hex(answer.wrapped)),
        side_{answer.algorithm, &kek, {prefix_, &*ivs_}},
        other_side_{answer.algorithm, &other, {prefix_, &*ivs_}},
        tester_(implementation, answer.dek_len) {}

  Status run(std::size_t num) {
    Bytes aads = repeated(aad_slot_, num);
    Lanes lanes{side_, key_.size(), num, column(aads), repeated(key_, num), repeated(wrap_, num)};
    REWRAP_TRY(tester_.expect_opened(lanes, false));
    if (answer_.algorithm == WrapAlgorithm::kGcm) REWRAP_TRY(expect_aad_counts(lanes));

    aads = different_keys(aad_slot_, num);
    lanes.aad = column(aads);
    REWRAP_TRY(expect_answer(&lanes));
    lanes.keys = different_keys(key_, num);
    REWRAP_TRY(tester_.expect_wrapped(&lanes));
    return tester_.expect_moved(lanes, other_side_);
  }

 private:
  // Both sides read the same column, which has gaps, as the slots of a segment.
  static AadColumn column(const Bytes& aads) { return {aads, kDekAadLen, kDekAadSlot.size() / 2}; }

  // expect_answer wraps the keys, then re-wraps them from the other KEK: both must give the answer.
  // Under GCM that is the first key's; the others have other IVs.
  Status expect_answer(Lanes* lanes) {
    const std::size_t num_alike = answer_.algorithm == WrapAlgorithm::kGcm ? 1 : lanes->num;
    const Bytes want = repeated(wrap_, num_alike);
    restart_ivs();
    REWRAP_TRY(tester_.expect_wrapped(lanes));
    REWRAP_TRY(expect(std::equal(want.begin(), want.end(), lanes->wraps.begin())));
    Lanes from = *lanes;
    from.side = other_side_;
    REWRAP_TRY(tester_.expect_wrapped(&from));
    restart_ivs();
    REWRAP_TRY(tester_.expect_rewrapped(from, lanes, false));
    return expect(std::equal(want.begin(), want.end(), lanes->wraps.begin()));
  }

  // expect_aad_counts changes one bit of some keys' own additional data instead of their wraps.
  Status expect_aad_counts(Lanes lanes) {
    Bytes aads = repeated(aad_slot_, lanes.num);
    for (std::size_t k = 0; k < lanes.num; ++k) {
      if (!is_damaged_lane(k)) continue;
      aads[k * aad_slot_.size() + k % kDekAadLen] ^= 0x10;
      wipe(ByteSpan(lanes.keys).subspan(k * key_.size(), key_.size()));
    }
    lanes.aad = column(aads);
    return tester_.expect_opened(lanes, true);
  }

  // The transforms keep the address of the source; the IVs of the answers come second.
  void restart_ivs() { ivs_.emplace(kFixedField, kFirstNumber, kMaxGcmWraps); }

  const DekAnswer& answer_;
  Bytes key_;
  Bytes wrap_;
  Bytes prefix_ = from_hex(kDekAadPrefix);
  Bytes aad_slot_ = from_hex(kDekAadSlot);
  std::optional<IvSource> ivs_{std::in_place, kFixedField, kFirstNumber, kMaxGcmWraps};
  WrapSide side_;
  WrapSide other_side_;
  Tester tester_;
};

Status run_dek_answer(const Implementation& implementation, const DekAnswer& answer) {
  REWRAP_ASSIGN(const Kek kek, kek_from_hex(kKek256));
  REWRAP_ASSIGN(const Kek other, kek_from_hex(kOtherKek256));
  DekRun run(implementation, answer, kek, other);
  for (const std::size_t num : kBatches) REWRAP_TRY(run.run(num));
  return {};
}

}  // namespace

Status self_test(const Implementation& implementation) {
  for (const KnownAnswer& answer : kAnswers) REWRAP_TRY(run_answer(implementation, answer));
  for (const GcmAnswer& answer : kGcmAnswers) REWRAP_TRY(run_gcm_answer(implementation, answer));
  for (const DekAnswer& answer : kDekAnswers) REWRAP_TRY(run_dek_answer(implementation, answer));
  return {};
}

}  // namespace rewrap
