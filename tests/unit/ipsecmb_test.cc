// The GCM calls of the ipsec-mb implementation against OpenSSL one key at a time, and the rule by
// which the library is trusted. KW and KWP are covered by the tests of all implementations.
#include "engine/ipsecmb.h"

#include <gtest/gtest.h>
#include <intel-ipsec-mb.h>
#include <openssl/evp.h>

#include <memory>
#include <stdexcept>
#include <string>

#include "engine/implementation.h"
#include "tests/hsm/expect_code.h"
#include "tests/unit/test_keys.h"

namespace rewrap {
namespace {

constexpr std::uint32_t kVersion = 7;
constexpr std::uint64_t kFirst = 0x01020304;
constexpr std::size_t kNum = 5;
constexpr std::uint8_t kStale = 0xee;

// evp_record is the record that wrap `number` of version kVersion must be.
Bytes evp_record(ByteView kek, std::uint64_t number, ByteView key, ByteView aad) {
  Bytes record(wrapped_len(WrapAlgorithm::kGcm, key.size()));
  store_be32(record.data(), kVersion);
  store_be64(&record[4], number);
  const EVP_CIPHER* cipher = kek.size() == 16   ? EVP_aes_128_gcm()
                             : kek.size() == 24 ? EVP_aes_192_gcm()
                                                : EVP_aes_256_gcm();
  const std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)> ctx(EVP_CIPHER_CTX_new(),
                                                                            EVP_CIPHER_CTX_free);
  int len = 0;
  const int aad_len = static_cast<int>(aad.size());
  const int key_len = static_cast<int>(key.size());
  std::uint8_t* ciphertext = &record[kGcmIvFieldLen];
  if (EVP_EncryptInit_ex(ctx.get(), cipher, nullptr, kek.data(), record.data()) != 1 ||
      (aad_len != 0 && EVP_EncryptUpdate(ctx.get(), nullptr, &len, aad.data(), aad_len) != 1) ||
      EVP_EncryptUpdate(ctx.get(), ciphertext, &len, key.data(), key_len) != 1 ||
      EVP_EncryptFinal_ex(ctx.get(), ciphertext, &len) != 1 ||
      EVP_CIPHER_CTX_ctrl(ctx.get(), EVP_CTRL_AEAD_GET_TAG, kGcmTagLen, ciphertext + key_len) != 1)
    throw std::runtime_error("OpenSSL failed to encrypt");
  return record;
}

class IpsecmbGcm : public testing::Test {
 protected:
  void SetUp() override {
    if (!ipsecmb_runs()) GTEST_SKIP() << "ipsec-mb does not run on this CPU";
  }

  // Case is kNum keys and their records by OpenSSL.
  struct Case {
    Kek kek;
    std::size_t key_len;
    Bytes prefix;
    Bytes column;  // kNum values, kStride apart
    std::size_t column_len;
    Bytes keys;
    Bytes records;

    [[nodiscard]] AadColumn aad() const { return {column, column_len, kStride}; }
  };
  static constexpr std::size_t kStride = 19;

  Case make_case(std::size_t kek_len, std::size_t key_len, std::size_t prefix_len,
                 std::size_t column_len) {
    const Bytes kek = random_.bytes(kek_len);
    Case c{make_kek(kek),
           key_len,
           random_.bytes(prefix_len),
           random_.bytes(kNum * kStride),
           column_len,
           random_.bytes(kNum * key_len),
           {}};
    for (std::size_t k = 0; k < kNum; ++k) {
      Bytes aad = c.prefix;
      const ByteView own = c.aad().of(k);
      aad.insert(aad.end(), own.begin(), own.end());
      const Bytes record =
          evp_record(kek, kFirst + k, ByteView(c.keys).subspan(k * key_len, key_len), aad);
      c.records.insert(c.records.end(), record.begin(), record.end());
    }
    return c;
  }

  static Result<std::unique_ptr<Transform>> wrapper(const Case& c, IvSource* ivs) {
    return make_ipsecmb(
        {c.key_len, std::nullopt, WrapSide{WrapAlgorithm::kGcm, &c.kek, {c.prefix, ivs}}, false});
  }
  static std::unique_ptr<Transform> opener(const Case& c, bool check_only) {
    const WrapSide side{WrapAlgorithm::kGcm, &c.kek, {c.prefix, nullptr}};
    return make_ipsecmb({c.key_len, side, std::nullopt, check_only}).value();
  }

  static void expect_opens_as_openssl_wrapped(const Case& c) {
    IvSource ivs(kVersion, kFirst, kFirst + kNum);
    Bytes records(c.records.size());
    Bytes verdicts(kNum, kStale);
    ASSERT_OK(wrapper(c, &ivs).value()->run({c.keys, records, verdicts, {}, c.aad()}));
    EXPECT_EQ(records, c.records);
    EXPECT_EQ(verdicts, Bytes(kNum, kIntact));

    Bytes keys(c.keys.size());
    verdicts.assign(kNum, kStale);
    ASSERT_OK(opener(c, false)->run({c.records, keys, verdicts, c.aad(), {}}));
    EXPECT_EQ(keys, c.keys);
    EXPECT_EQ(verdicts, Bytes(kNum, kIntact));
    verdicts.assign(kNum, kStale);
    ASSERT_OK(opener(c, true)->run({c.records, {}, verdicts, c.aad(), {}}));
    EXPECT_EQ(verdicts, Bytes(kNum, kIntact));
  }

  // expect_only_damaged sees key `damaged` refused and zeroed, the others opened.
  static void expect_only_damaged(const Case& c, std::size_t damaged) {
    Bytes keys(c.keys.size(), kStale);
    Bytes verdicts(kNum, kStale);
    Bytes checked(kNum, kStale);
    ASSERT_OK(opener(c, false)->run({c.records, keys, verdicts, c.aad(), {}}));
    ASSERT_OK(opener(c, true)->run({c.records, {}, checked, c.aad(), {}}));
    Bytes want = c.keys;
    std::fill_n(want.begin() + static_cast<std::ptrdiff_t>(damaged * c.key_len), c.key_len,
                std::uint8_t{0});
    EXPECT_EQ(keys, want);
    for (std::size_t k = 0; k < kNum; ++k) {
      EXPECT_EQ(verdicts[k], k == damaged ? kDamaged : kIntact);
      EXPECT_EQ(checked[k], verdicts[k]);
    }
  }

  static Kek make_kek(ByteView key) { return test::make_kek(key); }
  test::Random random_{23};
};

TEST_F(IpsecmbGcm, RecordsAreOpensslsBothWays) {
  for (const std::size_t kek_len : {16U, 24U, 32U}) {
    for (const std::size_t key_len : {1U, 15U, 16U, 17U, 24U, 32U, 48U, 64U, 255U, 4096U}) {
      SCOPED_TRACE(testing::Message() << "KEK of " << kek_len << ", keys of " << key_len);
      ASSERT_NO_FATAL_FAILURE(expect_opens_as_openssl_wrapped(make_case(kek_len, key_len, 16, 16)));
    }
  }
}

TEST_F(IpsecmbGcm, AdditionalDataOfAnyLen) {
  for (const std::size_t prefix_len : {0U, 1U, 16U, 47U}) {
    for (const std::size_t column_len : {0U, 1U, 16U, 19U}) {
      SCOPED_TRACE(testing::Message() << prefix_len << " and " << column_len << " bytes");
      ASSERT_NO_FATAL_FAILURE(
          expect_opens_as_openssl_wrapped(make_case(32, 32, prefix_len, column_len)));
    }
  }
}

// Every bit of a record, the four zero bytes too, which GCM itself does not cover.
TEST_F(IpsecmbGcm, EveryDamagedBitIsNoticed) {
  Case c = make_case(32, 32, 16, 16);
  const std::size_t record_len = c.records.size() / kNum;
  constexpr std::size_t kDamagedKey = 2;
  for (std::size_t bit = 0; bit < 8 * record_len; ++bit) {
    SCOPED_TRACE(bit);
    test::flip_bit(c.records, 8 * kDamagedKey * record_len + bit);
    ASSERT_NO_FATAL_FAILURE(expect_only_damaged(c, kDamagedKey));
    test::flip_bit(c.records, 8 * kDamagedKey * record_len + bit);
  }
  ASSERT_NO_FATAL_FAILURE(expect_opens_as_openssl_wrapped(c));
}

TEST_F(IpsecmbGcm, OtherAdditionalDataIsDamage) {
  Case c = make_case(32, 32, 16, 16);
  test::flip_bit(c.column, 8 * (3 * kStride) + 5);
  ASSERT_NO_FATAL_FAILURE(expect_only_damaged(c, 3));
  test::flip_bit(c.column, 8 * (3 * kStride) + 5);
  test::flip_bit(c.prefix, 0);
  Bytes verdicts(kNum);
  ASSERT_OK(opener(c, true)->run({c.records, {}, verdicts, c.aad(), {}}));
  EXPECT_EQ(verdicts, Bytes(kNum, kDamaged));
}

TEST_F(IpsecmbGcm, WithoutEnoughIvsNothingIsDone) {
  const Case c = make_case(32, 32, 16, 16);
  IvSource ivs(kVersion, 0, kNum - 1);
  Bytes records(c.records.size(), kStale);
  Bytes verdicts(kNum, kStale);
  EXPECT_CODE(wrapper(c, &ivs).value()->run({c.keys, records, verdicts, {}, c.aad()}),
              Errc::kExhausted);
  EXPECT_EQ(records, Bytes(c.records.size(), kStale));
  EXPECT_EQ(verdicts, Bytes(kNum, kStale));
}

TEST_F(IpsecmbGcm, NoIvComesTwice) {
  const Case c = make_case(32, 32, 16, 16);
  IvSource ivs(kVersion, kFirst, kFirst + 2 * kNum);
  const auto transform = wrapper(c, &ivs).value();
  Bytes first(c.records.size());
  Bytes second(c.records.size());
  Bytes verdicts(kNum);
  ASSERT_OK(transform->run({c.keys, first, verdicts, {}, c.aad()}));
  ASSERT_OK(transform->run({c.keys, second, verdicts, {}, c.aad()}));
  const std::size_t record_len = first.size() / kNum;
  for (std::size_t k = 0; k < kNum; ++k) {
    EXPECT_EQ(load_be64(&second[k * record_len + 4]), kFirst + kNum + k);
  }
}

TEST_F(IpsecmbGcm, WrapsWithoutIvsAreRefused) {
  EXPECT_CODE(wrapper(make_case(32, 32, 16, 16), nullptr), Errc::kInvalidArgument);
}

TEST(IpsecmbTrust, ALibraryWithoutAPassedSelfTestIsNotUsed) {
  constexpr std::uint64_t kGood =
      IMB_CPUFLAGS_SSE | IMB_FEATURE_SELF_TEST | IMB_FEATURE_SELF_TEST_PASS;
  EXPECT_TRUE(ipsecmb_suffices(kGood));
  EXPECT_TRUE(ipsecmb_suffices(kGood | IMB_CPUFLAGS_AVX512_T2));
  for (const std::uint64_t missing :
       {IMB_FEATURE_SELF_TEST, IMB_FEATURE_SELF_TEST_PASS, IMB_FEATURE_AESNI, IMB_FEATURE_PCLMULQDQ,
        IMB_FEATURE_SSE4_2}) {
    EXPECT_FALSE(ipsecmb_suffices(kGood & ~missing)) << missing;
  }
  EXPECT_FALSE(ipsecmb_suffices(kGood | IMB_FEATURE_AESNI_EMU)) << "tables leak key bits";
}

TEST(IpsecmbTrust, ACpuWithoutAesDoesNotRunIt) {
  for (const Implementation& implementation : implementations()) {
    if (std::string(implementation.name) == "ipsecmb") {
      EXPECT_FALSE(implementation.runs_on(CpuFeatures{}));
      return;
    }
  }
  FAIL() << "ipsecmb was not built";
}

}  // namespace
}  // namespace rewrap
