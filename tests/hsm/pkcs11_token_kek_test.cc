// KEKs that live in a token: what they can do, what they must not be able to do, and what is told
// apart when one does not open.
#include <gtest/gtest.h>

#include "hsm/file/aes_key_wrap.h"
#include "hsm/root.h"
#include "tests/hsm/expect_code.h"
#include "tests/hsm/known_kek.h"
#include "tests/hsm/raw_token.h"
#include "tests/hsm/softhsm_fixture.h"

namespace rewrap {
namespace {

using test::pattern;

constexpr TokenCustody kBoth[] = {TokenCustody::kKekInToken, TokenCustody::kInToken};

std::string label_of(const Protector& protector) {
  return protector.key_ref.substr(protector.key_ref.rfind("label=") + 6);
}

std::string serial_of(const Protector& protector) {
  return protector.key_ref.substr(7, protector.key_ref.find(";id=") - 7);
}

class TokenKekTest : public testing::Test {
 protected:
  void SetUp() override {
    // No root key is needed for KEKs in the token.
    auto root = open_root_for_probe(token_.uri(), {});
    ASSERT_OK(root);
    root_ = std::move(root).value();
  }

  ProtectedTokenKek make(TokenCustody custody, std::size_t len = 32) {
    auto made = root_->create_in_token(custody, len, context_);
    EXPECT_OK(made);
    return made.ok() ? std::move(made).value() : ProtectedTokenKek{};
  }

  std::string serial() { return test::token_serial(token_.uri()).value(); }

  // known puts a KEK of known value into the token and opens it.
  std::shared_ptr<TokenKek> known(TokenCustody custody, std::uint8_t fill) {
    const test::RawKey key = test::known_raw_key(custody, fill);
    EXPECT_OK(test::import_key(token_.uri(), key));
    auto kek = root_->open_in_token(test::protect_known(key, serial(), context_), context_);
    EXPECT_OK(kek);
    return kek.ok() ? std::move(kek).value() : nullptr;
  }

  test::SoftHsmToken token_;
  Bytes context_ = {1, 2, 3};
  std::unique_ptr<Root> root_;
};

TEST_F(TokenKekTest, HasExactlyTheAttributesOfItsCustody) {
  for (const TokenCustody custody : kBoth) {
    const auto made = make(custody);
    ASSERT_NE(made.kek, nullptr);
    EXPECT_EQ(made.kek->custody(), custody);
    EXPECT_EQ(made.protector.mechanism, Mechanism::kTokenKey);
    const std::string label = label_of(made.protector);
    EXPECT_TRUE(label.starts_with("rewrap-kek-")) << label;
    const auto flags = test::read_flags(token_.uri(), label);
    ASSERT_OK(flags);
    const bool by_ecb = custody == TokenCustody::kKekInToken;
    const std::map<std::string, bool> expected = {
        {"CKA_TOKEN", true},        {"CKA_PRIVATE", true},
        {"CKA_MODIFIABLE", false},  {"CKA_SENSITIVE", true},
        {"CKA_EXTRACTABLE", false}, {"CKA_ALWAYS_SENSITIVE", true},
        {"CKA_ENCRYPT", by_ecb},    {"CKA_NEVER_EXTRACTABLE", true},
        {"CKA_DECRYPT", by_ecb},    {"CKA_WRAP", !by_ecb},
        {"CKA_UNWRAP", !by_ecb},    {"CKA_SIGN", false},
        {"CKA_VERIFY", false},      {"CKA_DERIVE", false}};
    for (const auto& [name, value] : expected) EXPECT_EQ(flags->at(name), value) << name;
    EXPECT_FALSE(test::read_key_value(token_.uri(), label).ok());
  }
}

TEST_F(TokenKekTest, OpensFromTheStoredFormInAnotherRoot) {
  for (const TokenCustody custody : kBoth) {
    for (const std::size_t len : {16U, 24U, 32U}) {
      const auto made = make(custody, len);
      ASSERT_NE(made.kek, nullptr);
      const auto stored = decode_protector(encode_protector(made.protector));
      ASSERT_OK(stored);
      const auto other_root = open_root_for_probe(token_.uri(), {});
      ASSERT_OK(other_root);
      const auto kek = other_root.value()->open_in_token(stored.value(), context_);
      ASSERT_OK(kek);
      EXPECT_EQ(kek.value()->custody(), custody);
      EXPECT_EQ(kek.value()->key_len(), len);
      EXPECT_CODE(other_root.value()->open_in_token(stored.value(), Bytes{9}), Errc::kCorruption);
    }
  }
  EXPECT_CODE(root_->create_in_token(TokenCustody::kInToken, 33, context_), Errc::kInvalidArgument);
}

TEST_F(TokenKekTest, OutlivesItsRoot) {
  auto made = make(TokenCustody::kInToken);
  root_.reset();
  Bytes wrapped(40);
  EXPECT_OK(made.kek->generate_key(wrapped));
  EXPECT_OK(made.kek->check_key(wrapped));
}

TEST_F(TokenKekTest, EcbAgreesWithTheHost) {
  const auto kek = known(TokenCustody::kKekInToken, 0x42);
  ASSERT_NE(kek, nullptr);
  // Below, at and above the most that goes to the token at once.
  for (const std::size_t len : {16U, 4096U, 262128U, 262144U, 600000U}) {
    const Bytes plain = pattern(len);
    Bytes blocks = plain;
    ASSERT_OK(kek->ecb_encrypt(blocks));
    EXPECT_EQ(blocks, test::ecb_on_host(Bytes(32, 0x42), plain)) << len;
    ASSERT_OK(kek->ecb_decrypt(blocks));
    EXPECT_EQ(blocks, plain) << len;
  }
  EXPECT_OK(kek->ecb_decrypt({}));
  Bytes odd(17);
  EXPECT_CODE(kek->ecb_decrypt(odd), Errc::kInvalidArgument);
}

TEST_F(TokenKekTest, RewrapsAgreeWithTheHost) {
  const auto from = known(TokenCustody::kInToken, 0x42);
  const auto to = known(TokenCustody::kInToken, 0x43);
  ASSERT_TRUE(from && to);
  for (const std::size_t len : {16U, 24U, 32U, 48U, 64U}) {
    const Bytes dek = pattern(len);
    const Bytes wrapped = openssl_wrap(Bytes(32, 0x42), dek).value();
    Bytes out(len + 8);
    ASSERT_OK(from->check_key(wrapped)) << len;
    ASSERT_OK(from->rewrap_key(wrapped, *to, out)) << len;
    EXPECT_EQ(out, openssl_wrap(Bytes(32, 0x43), dek).value()) << len;
    Bytes made(len + 8);
    ASSERT_OK(to->generate_key(made)) << len;
    const auto opened = openssl_unwrap(Bytes(32, 0x43), made);
    ASSERT_OK(opened);
    EXPECT_EQ(opened->size(), len);
    Bytes key(len);
    ASSERT_OK(from->unwrap_key(wrapped, key)) << len;
    EXPECT_EQ(key, dek);
    Bytes back(len + 8);
    ASSERT_OK(from->wrap_key(key, back)) << len;
    EXPECT_EQ(back, wrapped);
  }
  EXPECT_EQ(test::num_session_objects(token_.uri()).value(), 2U);  // the two KEKs' copies
}

TEST_F(TokenKekTest, RewrapsToAKekOfAnotherRootOnTheSameToken) {
  const auto from = known(TokenCustody::kInToken, 0x42);
  auto other_root = open_root_for_probe(token_.uri(), {});
  ASSERT_OK(other_root);
  auto made = other_root.value()->create_in_token(TokenCustody::kInToken, 32, context_);
  ASSERT_OK(made);
  const Bytes wrapped = openssl_wrap(Bytes(32, 0x42), pattern(32)).value();
  Bytes out(40);
  ASSERT_OK(from->rewrap_key(wrapped, *made->kek, out));
  Bytes key(32);
  ASSERT_OK(made->kek->unwrap_key(out, key));
  EXPECT_EQ(key, pattern(32));
}

TEST_F(TokenKekTest, DamagedDekIsIntegrityAndGivesZeros) {
  const auto from = known(TokenCustody::kInToken, 0x42);
  const auto to = make(TokenCustody::kInToken).kek;
  ASSERT_TRUE(from && to);
  const Bytes wrapped = openssl_wrap(Bytes(32, 0x42), pattern(32)).value();
  for (std::size_t i = 0; i < wrapped.size(); ++i) {
    Bytes damaged = wrapped;
    damaged[i] ^= 0x80;
    Bytes out(40, 0x99);
    EXPECT_CODE(from->rewrap_key(damaged, *to, out), Errc::kIntegrity) << i;
    EXPECT_EQ(out, Bytes(40));
    EXPECT_CODE(from->check_key(damaged), Errc::kIntegrity) << i;
    Bytes key(32, 0x99);
    EXPECT_CODE(from->unwrap_key(damaged, key), Errc::kIntegrity) << i;
    EXPECT_EQ(key, Bytes(32));
  }
  Bytes out(40);
  EXPECT_OK(from->rewrap_key(wrapped, *to, out));  // control, and the KEK still works
  EXPECT_CODE(from->rewrap_key(out, *to, out), Errc::kIntegrity);  // under the other KEK already
}

TEST_F(TokenKekTest, UsesOfTheOtherCustodyAreRefused) {
  const auto ecb = make(TokenCustody::kKekInToken).kek;
  const auto wrapping = make(TokenCustody::kInToken).kek;
  Bytes block(16);
  EXPECT_CODE(wrapping->ecb_encrypt(block), Errc::kInternal);
  EXPECT_CODE(wrapping->ecb_decrypt(block), Errc::kInternal);
  Bytes wrapped(40);
  Bytes out(40);
  Bytes key(32);
  EXPECT_CODE(ecb->rewrap_key(wrapped, *wrapping, out), Errc::kInternal);
  EXPECT_CODE(wrapping->rewrap_key(wrapped, *ecb, out), Errc::kInternal);
  EXPECT_CODE(ecb->check_key(wrapped), Errc::kInternal);
  EXPECT_CODE(ecb->generate_key(out), Errc::kInternal);
  EXPECT_CODE(ecb->unwrap_key(wrapped, key), Errc::kInternal);
  EXPECT_CODE(ecb->wrap_key(key, wrapped), Errc::kInternal);
  // And lengths that do not fit together.
  Bytes small(8);
  EXPECT_CODE(wrapping->check_key(small), Errc::kInvalidArgument);
  EXPECT_CODE(wrapping->check_key({}), Errc::kInvalidArgument);
  EXPECT_CODE(wrapping->unwrap_key(wrapped, small), Errc::kInvalidArgument);
  EXPECT_CODE(wrapping->rewrap_key(wrapped, *wrapping, key), Errc::kInvalidArgument);
}

TEST_F(TokenKekTest, KekThatMixesUsesOrCanLeaveIsRefused) {
  const std::string serial = this->serial();
  const auto refuses = [&](const test::RawKey& key) {
    EXPECT_OK(test::import_key(token_.uri(), key));
    EXPECT_CODE(root_->open_in_token(test::protect_known(key, serial, context_), context_),
                Errc::kRefused)
        << key.label;
    EXPECT_OK(test::destroy_key(token_.uri(), key.label));
  };
  for (const TokenCustody custody : kBoth) {
    const test::RawKey good = test::known_raw_key(custody, 0x42);
    test::RawKey key = good;
    key.extractable = true;
    refuses(key);
    key = good;
    key.sensitive = false;
    refuses(key);
    for (bool test::RawKey::*use : {&test::RawKey::encrypt, &test::RawKey::decrypt,
                                    &test::RawKey::wrap, &test::RawKey::unwrap}) {
      key = good;
      key.*use = !(good.*use);
      refuses(key);
    }
  }
  EXPECT_NE(known(TokenCustody::kInToken, 0x42), nullptr);  // control
}

TEST_F(TokenKekTest, EveryChangedByteOfTheBlobIsCorruption) {
  for (const TokenCustody custody : kBoth) {
    const auto made = make(custody);
    for (std::size_t i = 0; i < made.protector.blob.size(); ++i) {
      Protector damaged = made.protector;
      damaged.blob[i] ^= 1;
      EXPECT_CODE(root_->open_in_token(damaged, context_), Errc::kCorruption) << i;
    }
    Protector shorter = made.protector;
    shorter.blob.pop_back();
    EXPECT_CODE(root_->open_in_token(shorter, context_), Errc::kCorruption);
    Protector other_check = made.protector;
    other_check.check[0] ^= 1;
    EXPECT_CODE(root_->open_in_token(other_check, context_), Errc::kCorruption);
    EXPECT_OK(root_->open_in_token(made.protector, context_));  // control
  }
}

TEST_F(TokenKekTest, AnotherKeyUnderTheSameNamesIsDenied) {
  const std::string serial = this->serial();
  for (const TokenCustody custody : kBoth) {
    const test::RawKey key = test::known_raw_key(custody, 0x42);
    test::RawKey other = key;
    other.value = Bytes(32, 0x77);
    ASSERT_OK(test::import_key(token_.uri(), other));
    const auto opened = root_->open_in_token(test::protect_known(key, serial, context_), context_);
    EXPECT_CODE(opened, Errc::kDenied);
    EXPECT_NE(test::words_of(opened.status()).find("another key"), std::string::npos);
    ASSERT_OK(test::destroy_key(token_.uri(), key.label));
  }
}

TEST_F(TokenKekTest, AnotherTokenIsDeniedAndAMissingKekNotFound) {
  const auto made = make(TokenCustody::kInToken);
  Protector elsewhere = made.protector;
  elsewhere.key_ref.replace(7, serial_of(made.protector).size(), "0000000000000000");
  EXPECT_CODE(root_->open_in_token(elsewhere, context_), Errc::kDenied);
  EXPECT_CODE(root_->destroy(elsewhere), Errc::kDenied);
  ASSERT_OK(test::destroy_key(token_.uri(), label_of(made.protector)));
  EXPECT_CODE(root_->open_in_token(made.protector, context_), Errc::kNotFound);
}

TEST_F(TokenKekTest, ProtectorsOfOtherMechanismsAreNotOpened) {
  Protector protector = make(TokenCustody::kInToken).protector;
  protector.mechanism = Mechanism::kAesKeyWrap;
  EXPECT_CODE(root_->open_in_token(protector, context_), Errc::kUnsupported);
}

TEST_F(TokenKekTest, DestroyRemovesThisKekAndNoOther) {
  const auto made = make(TokenCustody::kInToken);
  const auto kept = make(TokenCustody::kInToken);
  EXPECT_OK(root_->destroy(made.protector));
  EXPECT_CODE(root_->open_in_token(made.protector, context_), Errc::kNotFound);
  EXPECT_OK(root_->destroy(made.protector));  // again: it is not there, which is what was wanted
  EXPECT_OK(root_->open_in_token(kept.protector, context_));
}

// A store that somebody changed must not make us destroy a root key, or any key that is not a KEK
// of ours.
TEST_F(TokenKekTest, DestroyLeavesKeysAloneThatAreNotKeks) {
  ASSERT_OK(create_root_key(token_.uri("root"), {}));
  const auto root = open_root(token_.uri("root"), {});
  ASSERT_OK(root);
  const auto host = root.value()->create(32, context_);
  ASSERT_OK(host);
  Protector forged = make(TokenCustody::kInToken).protector;
  forged.key_ref = host->protector.key_ref;
  EXPECT_CODE(root_->destroy(forged), Errc::kCorruption);
  EXPECT_CODE(root_->open_in_token(forged, context_), Errc::kCorruption);
  EXPECT_OK(root.value()->open(host->protector, context_));
}

TEST_F(TokenKekTest, DamagedKeyReferencesAreCorruption) {
  const Protector good = make(TokenCustody::kInToken).protector;
  for (const char* key_ref :
       {"", "serial=", "serial=1;id=;label=rewrap-kek-1", "serial=1;id=0;label=rewrap-kek-1",
        "serial=1;id=zz;label=rewrap-kek-1", "serial=1;id=01", "id=01;label=rewrap-kek-1",
        "serial=1;label=rewrap-kek-1;id=01"}) {
    Protector damaged = good;
    damaged.key_ref = key_ref;
    EXPECT_CODE(root_->open_in_token(damaged, context_), Errc::kCorruption) << key_ref;
  }
}

}  // namespace
}  // namespace rewrap
