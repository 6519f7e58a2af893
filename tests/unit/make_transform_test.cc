// Transforms over KEKs that stay in a token, compared with the implementation `openssl` over the
// same KEKs on the host: in each custody, for each algorithm and DEK size, damaged wraps among
// them, and with a token that fails.
#include "engine/make_transform.h"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <ostream>
#include <string>

#include "tests/hsm/expect_code.h"
#include "tests/unit/openssl_reference.h"
#include "tests/unit/software_token.h"
#include "tests/unit/test_keys.h"

namespace rewrap {
namespace {

using test::SoftwareToken;
using test::SoftwareTokenKek;

// Where the KEK of a side is, and how the keys are wrapped there.
struct Place {
  const char* name;
  std::optional<TokenCustody> custody;  // nothing: on the host
  WrapAlgorithm algorithm;
};
constexpr Place kHostKw{"HostKw", std::nullopt, WrapAlgorithm::kKw};
constexpr Place kHostGcm{"HostGcm", std::nullopt, WrapAlgorithm::kGcm};
constexpr Place kTokenKw{"TokenKw", TokenCustody::kKekInToken, WrapAlgorithm::kKw};
constexpr Place kTokenKwp{"TokenKwp", TokenCustody::kKekInToken, WrapAlgorithm::kKwp};
constexpr Place kTokenGcm{"TokenGcm", TokenCustody::kKekInToken, WrapAlgorithm::kGcm};
constexpr Place kInsideKw{"InsideKw", TokenCustody::kInToken, WrapAlgorithm::kKw};

// The two ends of a re-wrap.
struct Route {
  Place from;
  Place to;
};

void PrintTo(const Route& route, std::ostream* out) {
  *out << route.from.name << " to " << route.to.name;
}

class MakeTransformTest : public testing::TestWithParam<Route> {
 protected:
  // One end: the same KEK in its place, and on the host for the second opinion.
  struct End {
    Place place;
    Kek kek;
    Kek host;
    IvSource ivs{7, 100, kMaxGcmWraps};
    IvSource host_ivs{7, 100, kMaxGcmWraps};
  };

  End make_end(const Place& place, std::size_t kek_len) {
    const Bytes key = random_.bytes(kek_len);
    Kek kek = place.custody
                  ? Kek::in_token(std::make_shared<SoftwareTokenKek>(token_, *place.custody, key))
                  : test::make_kek(key);
    return {place, std::move(kek), test::make_kek(key)};
  }
  WrapSide side(End& end) { return {end.place.algorithm, &end.kek, {prefix_, &end.ivs}}; }
  WrapSide host_side(End& end) {
    return {end.place.algorithm, &end.host, {prefix_, &end.host_ivs}};
  }
  [[nodiscard]] AadColumn ids(std::size_t num_keys) const {
    return {ByteView(ids_).first(num_keys * 24), 16, 24};
  }

  static std::unique_ptr<Transform> made(Result<std::unique_ptr<Transform>> result) {
    EXPECT_TRUE(result.ok()) << result.status().describe();
    return std::move(result).value();
  }
  std::unique_ptr<Transform> ours(const TransformSpec& spec) {
    return made(make_transform(openssl_, spec));
  }
  std::unique_ptr<Transform> reference(const TransformSpec& spec) {
    return made(openssl_.make(spec));
  }

  static Bytes bytes_of(const End& end) {
    const ByteView key = end.host.expose_secret();
    return {key.begin(), key.end()};
  }

  // wraps of random keys under the host's copy of an end's KEK.
  Bytes wraps_of(End& end, std::size_t key_len, std::size_t num_keys) {
    auto wrap = reference({key_len, std::nullopt, host_side(end), false});
    Bytes wraps(num_keys * wrap->out_len());
    Bytes verdicts(num_keys);
    const Bytes keys = random_.bytes(num_keys * key_len);
    EXPECT_OK(wrap->run({keys, wraps, verdicts, {}, ids(num_keys)}));
    return wraps;
  }

  // damage flips one bit in every fifth wrap or so, and gives the verdicts that must come of it.
  Bytes damage(ByteSpan wraps, std::size_t num_keys) {
    Bytes verdicts(num_keys, kIntact);
    const std::size_t len = wraps.size() / num_keys;
    for (std::size_t k = 0; k < num_keys; ++k) {
      if (random_.below(5) != 0) continue;
      test::flip_bit(wraps.subspan(k * len, len), random_.below(8 * len));
      verdicts[k] = kDamaged;
    }
    return verdicts;
  }

  void expect_as_on_host(std::size_t key_len, std::size_t num_keys) {
    SCOPED_TRACE(testing::Message() << num_keys << " keys of " << key_len);
    End from = make_end(GetParam().from, 32);
    End to = make_end(GetParam().to, 32);
    Bytes in = wraps_of(from, key_len, num_keys);
    const Bytes want_verdicts = damage(in, num_keys);
    auto transform = ours({key_len, side(from), side(to), false});
    auto want_transform = reference({key_len, host_side(from), host_side(to), false});
    ASSERT_EQ(transform->in_len(), want_transform->in_len());
    ASSERT_EQ(transform->out_len(), want_transform->out_len());
    Bytes out(num_keys * transform->out_len(), 0xee);
    Bytes want(out.size(), 0xee);
    Bytes verdicts(num_keys, 0xee);
    ASSERT_OK(want_transform->run({in, want, verdicts, ids(num_keys), ids(num_keys)}));
    ASSERT_EQ(verdicts, want_verdicts) << "the reference itself";
    verdicts.assign(num_keys, 0xee);
    ASSERT_OK(transform->run({in, out, verdicts, ids(num_keys), ids(num_keys)}));
    EXPECT_EQ(verdicts, want_verdicts);
    EXPECT_TRUE(out == want) << "bit for bit, zeros for the damaged";

    auto check = ours({key_len, side(from), std::nullopt, true});
    verdicts.assign(num_keys, 0xee);
    ASSERT_OK(check->run({in, {}, verdicts, ids(num_keys), {}}));
    EXPECT_EQ(verdicts, want_verdicts) << "check";
    if (transform->in_len() != transform->out_len()) return;
    ASSERT_OK(transform->run({in, in, verdicts, ids(num_keys), ids(num_keys)}));
    EXPECT_EQ(verdicts, want_verdicts) << "in place";
    if (GetParam().to.algorithm != WrapAlgorithm::kGcm) {
      EXPECT_TRUE(in == want) << "in place";
    }
  }

  test::Random random_{83};
  std::shared_ptr<SoftwareToken> token_ = std::make_shared<SoftwareToken>();
  Bytes prefix_ = random_.bytes(16);
  Bytes ids_ = random_.bytes(std::size_t{2048} * 24);
  const Implementation& openssl_ = implementations().back();
};

TEST_P(MakeTransformTest, EveryDekSizeAsOnTheHost) {
  for (const std::size_t key_len : kDekLens) expect_as_on_host(key_len, 64);
}

TEST_P(MakeTransformTest, EveryBatchSizeAsOnTheHost) {
  for (const std::size_t num_keys : {1U, 2U, 3U, 15U, 16U, 17U, 127U, 255U, 256U, 299U, 300U})
    expect_as_on_host(32, num_keys);
  expect_as_on_host(32, 2048);
  expect_as_on_host(64, 2048);
}

TEST_P(MakeTransformTest, NoKeysAreNoWork) {
  End from = make_end(GetParam().from, 32);
  End to = make_end(GetParam().to, 32);
  auto transform = ours({32, side(from), side(to), false});
  token_->fail_at(1, true);
  ASSERT_OK(transform->run({}));
}

// A failing token is no damaged key: at whichever call it fails, the run ends with the token's own
// status, and the next run is whole again.
TEST_P(MakeTransformTest, ATokenThatFailsEndsTheRun) {
  End from = make_end(GetParam().from, 32);
  End to = make_end(GetParam().to, 32);
  constexpr std::size_t kNum = 20;
  Bytes in = wraps_of(from, 32, kNum);
  const Bytes want_verdicts = damage(in, kNum);
  auto transform = ours({32, side(from), side(to), false});
  Bytes out(kNum * transform->out_len());
  Bytes verdicts(kNum);
  const Batch batch{in, out, verdicts, ids(kNum), ids(kNum)};
  ASSERT_OK(transform->run(batch));  // the first run may have to make sure of its KEKs
  token_->fail_at(0);
  ASSERT_OK(transform->run(batch));
  const std::size_t num_calls = token_->calls();
  ASSERT_GE(num_calls, 1U);
  for (std::size_t call = 1; call <= num_calls; ++call) {
    token_->fail_at(call);
    EXPECT_CODE(transform->run(batch), Errc::kUnavailable);
    ASSERT_OK(transform->run(batch));
    EXPECT_EQ(verdicts, want_verdicts) << "after a failure of call " << call;
  }
}

const auto kRoutes = testing::Values(
    Route{kTokenKw, kTokenKw}, Route{kTokenKwp, kTokenKwp}, Route{kTokenGcm, kTokenGcm},
    Route{kTokenKw, kTokenGcm}, Route{kTokenGcm, kTokenKwp}, Route{kHostKw, kTokenKw},
    Route{kTokenKw, kHostKw}, Route{kHostGcm, kTokenGcm}, Route{kTokenGcm, kHostGcm},
    Route{kHostKw, kTokenGcm}, Route{kHostGcm, kInsideKw}, Route{kTokenKw, kInsideKw},
    Route{kHostKw, kInsideKw}, Route{kInsideKw, kInsideKw});
INSTANTIATE_TEST_SUITE_P(Routes, MakeTransformTest, kRoutes, [](const auto& test) {
  return std::string(test.param.from.name) + "To" + test.param.to.name;
});

using TokenKekTest = MakeTransformTest;

// What the custodies cost: the calls per batch, however many keys it has.
TEST_P(TokenKekTest, CallsPerBatch) {
  constexpr std::size_t kNum = 2048;
  const bool inside = GetParam().from.custody == TokenCustody::kInToken;
  End from = make_end(GetParam().from, 32);
  End to = make_end(GetParam().to, 32);
  const Bytes in = wraps_of(from, 32, kNum);
  auto transform = ours({32, side(from), side(to), false});
  Bytes out(kNum * transform->out_len());
  Bytes verdicts(kNum);
  token_->fail_at(0);
  ASSERT_OK(transform->run({in, out, verdicts, ids(kNum), ids(kNum)}));
  // Key wrap: 24 steps to unwrap and 24 to wrap. GCM: a call for 512 keys each way.
  const std::size_t by_ecb = has_gcm({32, side(from), side(to), false}) ? 8 : 48;
  // In the token: a call for each key, and a proof before them and after each 128.
  EXPECT_EQ(token_->calls(), inside ? kNum + 1 + kNum / 128 : by_ecb);
}

// KEKs that are exchanged under a run inside the token, with no word from it: the run gives out what
// the right ones wrap.
TEST_P(TokenKekTest, WhatExchangedKeksWrapIsNotGivenOut) {
  if (GetParam().from.custody != TokenCustody::kInToken) return;
  constexpr std::size_t kNum = 300;
  End from = make_end(kInsideKw, 32);
  End to = make_end(kInsideKw, 32);
  Bytes in = wraps_of(from, 32, kNum);
  const Bytes want_verdicts = damage(in, kNum);
  auto want_transform = reference({32, host_side(from), host_side(to), false});
  auto transform = ours({32, side(from), side(to), false});
  auto wrap = ours({32, std::nullopt, side(to), false});
  Bytes want(in.size());
  Bytes verdicts(kNum);
  ASSERT_OK(want_transform->run(in, want, verdicts));
  for (const std::size_t call : {1U, 2U, 128U, 129U, 130U, 131U, 260U, 302U}) {
    Bytes out = in;  // in place
    token_->exchange_at(call, random_.bytes(32));
    ASSERT_OK(transform->run(out, out, verdicts));
    EXPECT_TRUE(out == want) << call;
    EXPECT_EQ(verdicts, want_verdicts) << call;

    const Bytes key = random_.bytes(32);
    Bytes wrapped(40);
    token_->exchange_at(2, random_.bytes(32));
    ASSERT_OK(wrap->run(key, wrapped, ByteSpan(verdicts).first(1)));
    EXPECT_TRUE(wrapped == test::openssl_wrap(WrapAlgorithm::kKw, bytes_of(to), key)) << call;

    Bytes wraps(kNum * 40);
    token_->exchange_at(call, random_.bytes(32));
    ASSERT_OK(make_wrapped_keys(openssl_, side(to), 32, {}, wraps));
    auto check = reference({32, host_side(to), std::nullopt, true});
    Bytes intact(kNum, 0xee);
    ASSERT_OK(check->run(wraps, {}, intact));
    EXPECT_EQ(intact, Bytes(kNum, kIntact)) << call;
  }
}

// What comes out as key bytes is the key, or zeros where the wrap is damaged.
TEST_P(TokenKekTest, UnwrapGivesNothingOfADamagedKey) {
  constexpr std::size_t kNum = 40;
  End end = make_end(GetParam().from, 32);
  for (const std::size_t key_len : kDekLens) {
    Bytes in = wraps_of(end, key_len, kNum);
    const Bytes want_verdicts = damage(in, kNum);
    auto unwrap = ours({key_len, side(end), std::nullopt, false});
    auto want_unwrap = reference({key_len, host_side(end), std::nullopt, false});
    Bytes keys(kNum * key_len, 0xee);
    Bytes want(keys.size());
    Bytes verdicts(kNum);
    ASSERT_OK(want_unwrap->run({in, want, verdicts, ids(kNum), {}}));
    verdicts.assign(kNum, 0xee);
    ASSERT_OK(unwrap->run({in, keys, verdicts, ids(kNum), {}}));
    EXPECT_EQ(verdicts, want_verdicts);
    EXPECT_TRUE(keys == want) << key_len;
  }
}

TEST_P(TokenKekTest, EveryKekLen) {
  for (const std::size_t kek_len : {16U, 24U, 32U}) {
    End from = make_end(GetParam().from, kek_len);
    End to = make_end(GetParam().to, 48 - kek_len);
    const Bytes in = wraps_of(from, 24, 10);
    auto transform = ours({24, side(from), side(to), false});
    auto want_transform = reference({24, host_side(from), host_side(to), false});
    Bytes out(10 * transform->out_len());
    Bytes want(out.size());
    Bytes verdicts(10);
    ASSERT_OK(transform->run({in, out, verdicts, ids(10), ids(10)}));
    ASSERT_OK(want_transform->run({in, want, verdicts, ids(10), ids(10)}));
    EXPECT_TRUE(out == want) << kek_len;
  }
}

TEST_P(TokenKekTest, NewKeysOpenAndDiffer) {
  constexpr std::size_t kNum = 30;
  End end = make_end(GetParam().from, 32);
  for (const std::size_t key_len : kDekLens) {
    Bytes wraps(kNum * wrapped_len(end.place.algorithm, key_len));
    ASSERT_OK(make_wrapped_keys(openssl_, side(end), key_len, ids(kNum), wraps));
    auto unwrap = reference({key_len, host_side(end), std::nullopt, false});
    Bytes keys(kNum * key_len);
    Bytes verdicts(kNum, 0xee);
    ASSERT_OK(unwrap->run({wraps, keys, verdicts, ids(kNum), {}}));
    EXPECT_EQ(verdicts, Bytes(kNum, kIntact));
    for (std::size_t k = 1; k < kNum; ++k)
      EXPECT_FALSE(std::equal(keys.begin(), keys.begin() + static_cast<std::ptrdiff_t>(key_len),
                              keys.begin() + static_cast<std::ptrdiff_t>(k * key_len)));
  }
  token_->fail_at(1, true);
  Bytes wraps(kNum * wrapped_len(end.place.algorithm, 32));
  EXPECT_CODE(make_wrapped_keys(openssl_, side(end), 32, ids(kNum), wraps), Errc::kUnavailable);
}

// No IVs left: nothing is asked of the token, and nothing is written.
TEST_P(TokenKekTest, NoIvsAreNoWraps) {
  if (GetParam().to.algorithm != WrapAlgorithm::kGcm) return;
  End from = make_end(GetParam().from, 32);
  End to = make_end(GetParam().to, 32);
  const Bytes in = wraps_of(from, 32, 10);
  IvSource few(1, 0, 9);
  WrapSide to_side = side(to);
  to_side.gcm.ivs = &few;
  auto transform = ours({32, side(from), to_side, false});
  Bytes out(10 * transform->out_len(), 0xcd);
  Bytes verdicts(10, 0xcd);
  token_->fail_at(1, true);
  EXPECT_CODE(transform->run({in, out, verdicts, ids(10), ids(10)}), Errc::kExhausted);
  EXPECT_EQ(out, Bytes(out.size(), 0xcd));
}

INSTANTIATE_TEST_SUITE_P(Custodies, TokenKekTest,
                         testing::Values(Route{kTokenKw, kTokenKw}, Route{kTokenKwp, kTokenKwp},
                                         Route{kTokenGcm, kTokenGcm}, Route{kInsideKw, kInsideKw}),
                         [](const auto& test) { return test.param.from.name; });

class CustodyTest : public MakeTransformTest {};
INSTANTIATE_TEST_SUITE_P(Inside, CustodyTest, testing::Values(Route{kInsideKw, kHostKw}),
                         [](const auto& test) { return test.param.from.name; });

TEST_P(CustodyTest, DeksDoNotLeaveTheTokenThatKeepsThem) {
  End inside = make_end(kInsideKw, 32);
  for (const Place& place : {kHostKw, kHostGcm, kTokenKw, kTokenGcm}) {
    End out = make_end(place, 32);
    EXPECT_CODE(make_transform(openssl_, {32, side(inside), side(out), false}), Errc::kRefused);
  }
  EXPECT_EQ(token_->calls(), 0U);
}

TEST_P(CustodyTest, InsideATokenThereIsKeyWrapOnly) {
  for (const auto algorithm : {WrapAlgorithm::kKwp, WrapAlgorithm::kGcm}) {
    End end = make_end({"", TokenCustody::kInToken, algorithm}, 32);
    EXPECT_CODE(make_transform(openssl_, {32, std::nullopt, side(end), false}),
                Errc::kInvalidArgument);
  }
}

TEST_P(CustodyTest, KeksOfTwoTokensDoNotMeet) {
  End from = make_end(kInsideKw, 32);
  token_ = std::make_shared<SoftwareToken>();
  End to = make_end(kInsideKw, 32);
  const Bytes in = wraps_of(from, 32, 1);
  auto transform = ours({32, side(from), side(to), false});
  Bytes out(in.size());
  Bytes verdict(1);
  EXPECT_CODE(transform->run(in, out, verdict), Errc::kUnsupported);
}

TEST_P(CustodyTest, TheBytesOfATokensKekCannotBeAskedFor) {
  const End end = make_end(kTokenKw, 32);
  EXPECT_EQ(end.kek.len(), 32U);
  EXPECT_DEATH(static_cast<void>(end.kek.expose_secret()), "");
}

}  // namespace
}  // namespace rewrap
