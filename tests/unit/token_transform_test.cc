// Import and export through a wrapping key, by each access that a token may allow.
#include "engine/token_transform.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

#include "engine/ecb_cipher.h"
#include "tests/hsm/expect_code.h"
#include "tests/unit/openssl_reference.h"
#include "tests/unit/test_keys.h"

namespace rewrap {
namespace {

using test::openssl_wrap_all;

// FakeToken holds a KEK and allows one access only; unwrap_key fails at one call on demand.
class FakeToken final : public WrappingKey {
 public:
  FakeToken(Bytes key, WrappingAccess access)
      : key_(std::move(key)),
        access_(access),
        aes_(make_openssl_ecb(test::make_kek(key_)).value()) {}

  [[nodiscard]] WrappingAccess access() const override { return access_; }
  [[nodiscard]] std::size_t key_len() const override { return key_.size(); }
  Result<SecretBuffer> take_value() override { return SecretBuffer::copy_of(key_); }
  Status ecb_encrypt(ByteSpan blocks) override {
    return bulk_ecb([&] { return aes_->encrypt(blocks); });
  }
  Status ecb_decrypt(ByteSpan blocks) override {
    return bulk_ecb([&] { return aes_->decrypt(blocks); });
  }
  Status unwrap_key(ByteView wrapped, ByteSpan dek) override {
    if (access_ != WrappingAccess::kUnwrapKey) return Status(Errc::kInternal, "not this way");
    if (++num_unwraps_ == fail_at_) return Status(Errc::kUnavailable, "the token went away");
    const auto key = test::openssl_unwrap(WrapAlgorithm::kKw, key_, wrapped);
    if (!key) return Status(Errc::kIntegrity, "it does not open");
    copy_bytes(dek, *key);
    return {};
  }

  void fail_at(std::size_t unwrap) { fail_at_ = unwrap; }

 private:
  template <typename Body>
  Status bulk_ecb(Body body) {
    return access_ == WrappingAccess::kBulkEcb ? body() : Status(Errc::kInternal, "not this way");
  }

  Bytes key_;
  WrappingAccess access_;
  std::unique_ptr<EcbCipher> aes_;
  std::size_t num_unwraps_ = 0;
  std::size_t fail_at_ = 0;
};

class TokenTransformTest : public testing::TestWithParam<WrappingAccess> {
 protected:
  static constexpr std::size_t kNum = 600;  // more than two batches of any path
  static constexpr std::size_t kDekLen = 32;
  static constexpr std::size_t kWrapLen = kDekLen + kSemiblockLen;

  test::Random random_{53};
  Bytes token_bytes_ = random_.bytes(24);
  Bytes host_bytes_ = random_.bytes(32);
  Bytes deks_ = random_.bytes(kNum * kDekLen);
  Kek token_kek_ = test::make_kek(token_bytes_);
  Kek host_kek_ = test::make_kek(host_bytes_);
  FakeToken token_{token_bytes_, GetParam()};
  const Implementation& implementation_ = implementations().back();
};

TEST_P(TokenTransformTest, ImportOpensOldWrapsAndReportsDamage) {
  auto transform = make_import_transform(implementation_, &token_, &token_kek_, WrapAlgorithm::kKw,
                                         {WrapAlgorithm::kKwp, &host_kek_}, kDekLen);
  ASSERT_OK(transform);
  ASSERT_EQ(transform.value()->in_len(), kWrapLen);
  ASSERT_EQ(transform.value()->out_len(), kWrapLen);
  Bytes in = openssl_wrap_all(WrapAlgorithm::kKw, token_bytes_, deks_, kDekLen);
  Bytes want = openssl_wrap_all(WrapAlgorithm::kKwp, host_bytes_, deks_, kDekLen);
  Bytes want_verdicts(kNum, kIntact);
  for (std::size_t k = 0; k < kNum; ++k) {
    if (random_.below(5) != 0) continue;
    test::flip_bit(ByteSpan(in).subspan(k * kWrapLen, kWrapLen), random_.below(8 * kWrapLen));
    wipe(ByteSpan(want).subspan(k * kWrapLen, kWrapLen));
    want_verdicts[k] = kDamaged;
  }
  Bytes out(in.size());
  Bytes verdicts(kNum, 0xee);
  ASSERT_OK(transform.value()->run(in, out, verdicts));
  EXPECT_EQ(verdicts, want_verdicts);
  EXPECT_TRUE(out == want);
  ASSERT_OK(transform.value()->run(in, in, verdicts));
  EXPECT_TRUE(in == want) << "in place";
}

TEST_P(TokenTransformTest, ImportRefusesWrongLensAndTouchesNothing) {
  auto transform = make_import_transform(implementation_, &token_, &token_kek_, WrapAlgorithm::kKw,
                                         {WrapAlgorithm::kKw, &host_kek_}, kDekLen);
  ASSERT_OK(transform);
  const Bytes in = openssl_wrap_all(WrapAlgorithm::kKw, token_bytes_, deks_, kDekLen);
  Bytes out(in.size(), 0xcd);
  Bytes verdicts(kNum, 0xcd);
  EXPECT_CODE(transform.value()->run(ByteView(in).first(in.size() - 1), out, verdicts),
              Errc::kInvalidArgument);
  EXPECT_CODE(transform.value()->run(in, ByteSpan(out).first(out.size() - 1), verdicts),
              Errc::kInvalidArgument);
  EXPECT_EQ(out, Bytes(in.size(), 0xcd));
  EXPECT_EQ(verdicts, Bytes(kNum, 0xcd));
}

TEST_P(TokenTransformTest, ExportWrapsForTheToken) {
  auto transform =
      make_export_transform(implementation_, &token_, &token_kek_, {WrapAlgorithm::kKw, &host_kek_},
                            WrapAlgorithm::kKwp, kDekLen);
  if (GetParam() == WrappingAccess::kUnwrapKey) {
    EXPECT_CODE(transform, Errc::kUnsupported);
    return;
  }
  ASSERT_OK(transform);
  const Bytes in = openssl_wrap_all(WrapAlgorithm::kKw, host_bytes_, deks_, kDekLen);
  Bytes out(in.size());
  Bytes verdicts(kNum);
  ASSERT_OK(transform.value()->run(in, out, verdicts));
  EXPECT_TRUE(out == openssl_wrap_all(WrapAlgorithm::kKwp, token_bytes_, deks_, kDekLen));
}

TEST_P(TokenTransformTest, OldWrapsOfKwpNeedMoreThanUnwrapKey) {
  auto transform = make_import_transform(implementation_, &token_, &token_kek_, WrapAlgorithm::kKwp,
                                         {WrapAlgorithm::kKw, &host_kek_}, kDekLen);
  if (GetParam() == WrappingAccess::kUnwrapKey) {
    EXPECT_CODE(transform, Errc::kUnsupported);
    return;
  }
  ASSERT_OK(transform);
  const Bytes in = openssl_wrap_all(WrapAlgorithm::kKwp, token_bytes_, deks_, kDekLen);
  Bytes out(in.size());
  Bytes verdicts(kNum);
  ASSERT_OK(transform.value()->run(in, out, verdicts));
  EXPECT_TRUE(out == openssl_wrap_all(WrapAlgorithm::kKw, host_bytes_, deks_, kDekLen));
}

class TokenGcmTest : public TokenTransformTest {
 protected:
  static constexpr std::size_t kGcmLen = kDekLen + 32;

  WrapSide host_gcm() { return {WrapAlgorithm::kGcm, &host_kek_, {prefix_, &ivs_}}; }
  [[nodiscard]] AadColumn ids() const { return {ids_, 16, 24}; }

  // gcm_wraps gives the DEKs' records under a KEK, numbered from 5.
  Bytes gcm_wraps(const Bytes& kek, ByteView prefix) {
    Bytes wraps;
    for (std::size_t k = 0; k < kNum; ++k) {
      Bytes aad(prefix.begin(), prefix.end());
      const ByteView own = ids().of(k);
      aad.insert(aad.end(), own.begin(), own.end());
      const Bytes wrap =
          test::openssl_gcm_wrap(kek, 1, 5 + k, aad, ByteView(deks_).subspan(k * kDekLen, kDekLen));
      wraps.insert(wraps.end(), wrap.begin(), wrap.end());
    }
    return wraps;
  }

  Bytes prefix_ = random_.bytes(16);
  Bytes ids_ = random_.bytes(kNum * 24);
  IvSource ivs_{1, 5, kMaxGcmWraps};
};

TEST_P(TokenGcmTest, ImportIntoAGcmKeyset) {
  auto transform = make_import_transform(implementation_, &token_, &token_kek_, WrapAlgorithm::kKw,
                                         host_gcm(), kDekLen);
  ASSERT_OK(transform);
  Bytes in = openssl_wrap_all(WrapAlgorithm::kKw, token_bytes_, deks_, kDekLen);
  Bytes want = gcm_wraps(host_bytes_, prefix_);
  Bytes want_verdicts(kNum, kIntact);
  for (std::size_t k = 0; k < kNum; k += 7) {
    in[k * kWrapLen + k % kWrapLen] ^= 1;
    wipe(ByteSpan(want).subspan(k * kGcmLen, kGcmLen));
    want_verdicts[k] = kDamaged;
  }
  Bytes out(kNum * kGcmLen);
  Bytes verdicts(kNum, 0xee);
  ASSERT_OK(transform.value()->run({in, out, verdicts, {}, ids()}));
  EXPECT_EQ(verdicts, want_verdicts);
  EXPECT_TRUE(out == want);
}

TEST_P(TokenGcmTest, ForeignGcmWrapsAreOpenedOnTheHostOnly) {
  auto transform = make_import_transform(implementation_, &token_, &token_kek_, WrapAlgorithm::kGcm,
                                         {WrapAlgorithm::kKw, &host_kek_}, kDekLen);
  if (GetParam() != WrappingAccess::kValue) {
    EXPECT_CODE(transform, Errc::kUnsupported);
    return;
  }
  ASSERT_OK(transform);
  Bytes out(kNum * kWrapLen);
  Bytes verdicts(kNum);
  ASSERT_OK(transform.value()->run({gcm_wraps(token_bytes_, {}), out, verdicts, ids(), {}}));
  EXPECT_TRUE(out == openssl_wrap_all(WrapAlgorithm::kKw, host_bytes_, deks_, kDekLen));
}

TEST_P(TokenGcmTest, ExportFromAGcmKeyset) {
  auto transform = make_export_transform(implementation_, &token_, &token_kek_, host_gcm(),
                                         WrapAlgorithm::kKw, kDekLen);
  if (GetParam() == WrappingAccess::kUnwrapKey) {
    EXPECT_CODE(transform, Errc::kUnsupported);
    return;
  }
  ASSERT_OK(transform);
  Bytes in = gcm_wraps(host_bytes_, prefix_);
  Bytes want = openssl_wrap_all(WrapAlgorithm::kKw, token_bytes_, deks_, kDekLen);
  Bytes want_verdicts(kNum, kIntact);
  for (std::size_t k = 0; k < kNum; k += 7) {
    in[k * kGcmLen + k % kGcmLen] ^= 1;
    wipe(ByteSpan(want).subspan(k * kWrapLen, kWrapLen));
    want_verdicts[k] = kDamaged;
  }
  Bytes out(want.size());
  Bytes verdicts(kNum, 0xee);
  ASSERT_OK(transform.value()->run({in, out, verdicts, ids(), {}}));
  EXPECT_EQ(verdicts, want_verdicts);
  EXPECT_TRUE(out == want);
  EXPECT_CODE(make_export_transform(implementation_, &token_, &token_kek_,
                                    {WrapAlgorithm::kKw, &host_kek_}, WrapAlgorithm::kGcm, kDekLen),
              Errc::kUnsupported);
}

std::string access_name(const testing::TestParamInfo<WrappingAccess>& info) {
  if (info.param == WrappingAccess::kValue) return "value";
  return info.param == WrappingAccess::kBulkEcb ? "bulk_ecb" : "unwrap_key";
}
INSTANTIATE_TEST_SUITE_P(Accesses, TokenTransformTest,
                         testing::Values(WrappingAccess::kValue, WrappingAccess::kBulkEcb,
                                         WrappingAccess::kUnwrapKey),
                         access_name);
INSTANTIATE_TEST_SUITE_P(Accesses, TokenGcmTest,
                         testing::Values(WrappingAccess::kValue, WrappingAccess::kBulkEcb,
                                         WrappingAccess::kUnwrapKey),
                         access_name);

// A token that goes away is not a damaged key.
TEST(TokenTransform, AFailingTokenEndsTheRunWithItsOwnStatus) {
  test::Random random(59);
  const Bytes token_bytes = random.bytes(32);
  const Kek host_kek = test::make_kek(random.bytes(32));
  const Bytes in =
      openssl_wrap_all(WrapAlgorithm::kKw, token_bytes, random.bytes(300 * std::size_t{16}), 16);
  for (const std::size_t fail_at : {1U, 2U, 256U, 257U, 300U}) {
    FakeToken token(token_bytes, WrappingAccess::kUnwrapKey);
    token.fail_at(fail_at);
    auto transform = make_import_transform(implementations().back(), &token, nullptr,
                                           WrapAlgorithm::kKw, {WrapAlgorithm::kKw, &host_kek}, 16);
    ASSERT_OK(transform);
    Bytes out(in.size());
    Bytes verdicts(300);
    EXPECT_CODE(transform.value()->run(in, out, verdicts), Errc::kUnavailable);
  }
}

}  // namespace
}  // namespace rewrap
