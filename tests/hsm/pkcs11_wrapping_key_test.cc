// Wrapping keys in a token: the three accesses, and what each refuses.
#include <gtest/gtest.h>
#include <openssl/evp.h>

#include "hsm/file/aes_key_wrap.h"
#include "hsm/wrapping_key.h"
#include "tests/hsm/expect_code.h"
#include "tests/hsm/raw_token.h"
#include "tests/hsm/softhsm_fixture.h"
#include "tests/hsm/spy_module.h"

namespace rewrap {
namespace {

const Bytes kValue(32, 0x42);  // RawKey's

// ecb_by_openssl encrypts whole blocks under kValue.
Bytes ecb_by_openssl(const Bytes& plain) {
  EVP_CIPHER_CTX* context = EVP_CIPHER_CTX_new();
  Bytes out(plain.size() + 16);
  int len = 0;
  EXPECT_EQ(EVP_EncryptInit_ex(context, EVP_aes_256_ecb(), nullptr, kValue.data(), nullptr), 1);
  EXPECT_EQ(EVP_CIPHER_CTX_set_padding(context, 0), 1);
  EXPECT_EQ(
      EVP_EncryptUpdate(context, out.data(), &len, plain.data(), static_cast<int>(plain.size())),
      1);
  EVP_CIPHER_CTX_free(context);
  out.resize(static_cast<std::size_t>(len));
  return out;
}

Bytes pattern(std::size_t len) {
  Bytes bytes(len);
  for (std::size_t i = 0; i < len; ++i) bytes[i] = static_cast<std::uint8_t>(i * 7 + i / 256);
  return bytes;
}

class WrappingKeyTest : public testing::Test {
 protected:
  // open_it imports `key` and opens it through `module`.
  std::unique_ptr<WrappingKey> open_it(
      const test::RawKey& key, WrappingUse use,
      const std::string& module = test::SoftHsmToken::module_path()) {
    EXPECT_OK(test::import_key(token_.uri(), key));
    auto opened = open_wrapping_key(
        token_.uri_with(key.label + ";type=secret-key", module, token_.pin_file()), use, {});
    EXPECT_OK(opened);
    return opened.ok() ? std::move(opened).value() : nullptr;
  }

  test::SoftHsmToken token_;
};

TEST_F(WrappingKeyTest, ReadableKeyIsTakenByValue) {
  const auto key = open_it({.label = "k", .sensitive = false, .extractable = true, .decrypt = true},
                           WrappingUse::kUnwrap);
  ASSERT_NE(key, nullptr);
  EXPECT_EQ(key->access(), WrappingAccess::kValue);
  EXPECT_EQ(key->key_len(), 32U);
  const auto value = key->take_value();
  ASSERT_OK(value);
  EXPECT_TRUE(secrets_equal(value->expose_secret(), kValue));
  Bytes block(16);
  EXPECT_FALSE(key->ecb_decrypt(block).ok());
}

TEST_F(WrappingKeyTest, KeyLengthsAreTold) {
  for (const std::size_t len : {16U, 24U, 32U}) {
    const auto key =
        open_it({.label = "k" + std::to_string(len), .value = Bytes(len, 9)}, WrappingUse::kUnwrap);
    ASSERT_NE(key, nullptr);
    EXPECT_EQ(key->key_len(), len);
  }
}

TEST_F(WrappingKeyTest, DecryptingKeyUnwrapsInBulk) {
  const auto key =
      open_it({.label = "k", .decrypt = true, .wrap = false, .unwrap = true}, WrappingUse::kUnwrap);
  ASSERT_NE(key, nullptr);
  EXPECT_EQ(key->access(), WrappingAccess::kBulkEcb);
  EXPECT_CODE(key->take_value(), Errc::kUnsupported);
  // Below, at and above the most that goes to the token at once.
  for (const std::size_t len : {16U, 4096U, 65536U, 65552U, 200000U}) {
    const Bytes plain = pattern(len / 16 * 16);
    Bytes blocks = ecb_by_openssl(plain);
    ASSERT_OK(key->ecb_decrypt(blocks));
    EXPECT_EQ(blocks, plain) << len;
  }
  EXPECT_OK(key->ecb_decrypt({}));
  Bytes odd(17);
  EXPECT_CODE(key->ecb_decrypt(odd), Errc::kInvalidArgument);
  Bytes block(16);
  EXPECT_FALSE(key->ecb_encrypt(block).ok());  // opened to unwrap
}

TEST_F(WrappingKeyTest, EncryptingKeyWrapsInBulk) {
  const auto key =
      open_it({.label = "k", .encrypt = true, .wrap = false, .unwrap = false}, WrappingUse::kWrap);
  ASSERT_NE(key, nullptr);
  EXPECT_EQ(key->access(), WrappingAccess::kBulkEcb);
  const Bytes plain = pattern(131072 + 16);
  Bytes blocks = plain;
  ASSERT_OK(key->ecb_encrypt(blocks));
  EXPECT_EQ(blocks, ecb_by_openssl(plain));
}

TEST_F(WrappingKeyTest, UnwrappingKeyOpensOneDekAtATime) {
  const auto key = open_it({.label = "k"}, WrappingUse::kUnwrap);
  ASSERT_NE(key, nullptr);
  EXPECT_EQ(key->access(), WrappingAccess::kUnwrapKey);
  for (const std::size_t len : {16U, 24U, 32U, 48U, 64U}) {
    const Bytes dek = pattern(len);
    const Bytes wrapped = openssl_wrap(kValue, dek).value();
    Bytes out(len);
    ASSERT_OK(key->unwrap_key(wrapped, out));
    EXPECT_EQ(out, dek) << len;
  }
}

TEST_F(WrappingKeyTest, DamagedWrapIsIntegrityAndWritesNothing) {
  const auto key = open_it({.label = "k"}, WrappingUse::kUnwrap);
  ASSERT_NE(key, nullptr);
  const Bytes dek = pattern(32);
  const Bytes wrapped = openssl_wrap(kValue, dek).value();
  const Bytes untouched(32, 0x99);
  for (std::size_t i = 0; i < wrapped.size(); ++i) {
    Bytes damaged = wrapped;
    damaged[i] ^= 0x80;
    Bytes out = untouched;
    EXPECT_CODE(key->unwrap_key(damaged, out), Errc::kIntegrity) << i;
    EXPECT_EQ(out, untouched) << i;
  }
  Bytes out = untouched;
  ASSERT_OK(key->unwrap_key(wrapped, out));  // control, and the key still works
  EXPECT_EQ(out, dek);
}

TEST_F(WrappingKeyTest, LengthsThatDoNotFitAreRefused) {
  const auto key = open_it({.label = "k"}, WrappingUse::kUnwrap);
  ASSERT_NE(key, nullptr);
  Bytes out(32);
  EXPECT_CODE(key->unwrap_key(Bytes(48), out), Errc::kInvalidArgument);
  Bytes small(8);
  EXPECT_CODE(key->unwrap_key(Bytes(16), small), Errc::kInvalidArgument);
  Bytes large(72);
  EXPECT_CODE(key->unwrap_key(Bytes(80), large), Errc::kInvalidArgument);
}

TEST_F(WrappingKeyTest, TokenThatDiesIsUnavailable) {
  auto* spy = test::load_spy(REWRAP_SPY_MODULE);
  ASSERT_NE(spy, nullptr);
  *spy = {};
  const auto key = open_it({.label = "k"}, WrappingUse::kUnwrap, REWRAP_SPY_MODULE);
  ASSERT_NE(key, nullptr);
  const Bytes wrapped = openssl_wrap(kValue, pattern(32)).value();
  Bytes out(32);
  spy->unwrap_result = 0x05;
  EXPECT_CODE(key->unwrap_key(wrapped, out), Errc::kIntegrity);  // alive: the blob is to blame
  spy->is_dead = 1;
  EXPECT_CODE(key->unwrap_key(wrapped, out), Errc::kUnavailable);
  *spy = {};
  EXPECT_OK(key->unwrap_key(wrapped, out));
}

TEST_F(WrappingKeyTest, OperationLeftOpenDoesNotMeetTheNextCall) {
  auto* spy = test::load_spy(REWRAP_SPY_MODULE);
  ASSERT_NE(spy, nullptr);
  *spy = {};
  const auto key =
      open_it({.label = "k", .decrypt = true}, WrappingUse::kUnwrap, REWRAP_SPY_MODULE);
  ASSERT_NE(key, nullptr);
  const Bytes plain = pattern(64);
  Bytes blocks = ecb_by_openssl(plain);
  spy->decrypt_result = 0x06;  // after a C_DecryptInit that went through
  EXPECT_CODE(key->ecb_decrypt(blocks), Errc::kUnavailable);
  *spy = {};
  blocks = ecb_by_openssl(plain);
  ASSERT_OK(key->ecb_decrypt(blocks));
  EXPECT_EQ(blocks, plain);
}

TEST_F(WrappingKeyTest, KeyThatMayDoNothingUsefulIsUnsupported) {
  ASSERT_OK(test::import_key(token_.uri(), {.label = "wrap-only", .unwrap = false}));
  EXPECT_CODE(open_wrapping_key(token_.uri("wrap-only"), WrappingUse::kUnwrap, {}),
              Errc::kUnsupported);
  EXPECT_CODE(open_wrapping_key(token_.uri("wrap-only"), WrappingUse::kWrap, {}),
              Errc::kUnsupported);
}

TEST_F(WrappingKeyTest, MissingAndAmbiguousKeysAreTold) {
  EXPECT_CODE(open_wrapping_key(token_.uri("k"), WrappingUse::kUnwrap, {}), Errc::kNotFound);
  EXPECT_CODE(open_wrapping_key(token_.uri(), WrappingUse::kUnwrap, {}), Errc::kInvalidArgument);
  EXPECT_CODE(open_wrapping_key("tpm2:x", WrappingUse::kUnwrap, {}), Errc::kInvalidArgument);
  ASSERT_OK(test::import_key(token_.uri(), {.label = "k", .id = {1}}));
  ASSERT_OK(test::import_key(token_.uri(), {.label = "k", .id = {2}}));
  EXPECT_CODE(open_wrapping_key(token_.uri("k"), WrappingUse::kUnwrap, {}), Errc::kConflict);
  EXPECT_OK(open_wrapping_key(token_.uri("k;id=%02"), WrappingUse::kUnwrap, {}));
}

}  // namespace
}  // namespace rewrap
