// The PKCS#11 root: keys that cannot leave, KEKs that come back, and damage told from a wrong key.
#include <gtest/gtest.h>
#include <openssl/evp.h>

#include "hsm/file/aes_key_wrap.h"
#include "hsm/root.h"
#include "tests/hsm/expect_code.h"
#include "tests/hsm/raw_token.h"
#include "tests/hsm/softhsm_fixture.h"
#include "tests/hsm/spy_module.h"

namespace rewrap {
namespace {

Bytes copy_of(const SecretBuffer& secret) {
  const ByteView bytes = secret.expose_secret();
  return {bytes.begin(), bytes.end()};
}

class RootTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_OK(create_root_key(token_.uri("root"), {})); }

  std::unique_ptr<Root> open_it(const std::string& object = "root") const {
    auto root = open_root(token_.uri(object), {});
    EXPECT_OK(root);
    return root.ok() ? std::move(root).value() : nullptr;
  }

  test::SoftHsmToken token_;
  Bytes context_ = {1, 2, 3};
};

TEST_F(RootTest, GivesBackWhatItMade) {
  const auto root = open_it();
  ASSERT_NE(root, nullptr);
  for (const std::size_t len : {16U, 24U, 32U}) {
    const auto made = root->create(len, context_);
    ASSERT_OK(made);
    EXPECT_EQ(made->kek.size(), len);
    EXPECT_EQ(made->protector.blob.size(), len + 8);
    EXPECT_EQ(made->protector.root_uri, token_.uri("root"));
    const auto opened = root->open(made->protector, context_);
    ASSERT_OK(opened);
    EXPECT_TRUE(secrets_equal(opened->expose_secret(), made->kek.expose_secret()));
  }
}

TEST_F(RootTest, OpensAfterTheModuleWasFinalisedAndFromTheStoredForm) {
  Bytes stored;
  Bytes kek;
  {
    const auto root = open_it();
    const auto made = root->create(32, context_);
    ASSERT_OK(made);
    stored = encode_protector(made->protector);
    kek = copy_of(made->kek);
  }
  const auto protector = decode_protector(stored);
  ASSERT_OK(protector);
  const auto opened = open_it()->open(protector.value(), context_);
  ASSERT_OK(opened);
  EXPECT_EQ(copy_of(opened.value()), kek);
}

TEST_F(RootTest, KeksDiffer) {
  const auto root = open_it();
  EXPECT_NE(copy_of(root->create(32, context_).value().kek),
            copy_of(root->create(32, context_).value().kek));
}

TEST_F(RootTest, OtherKekLengthsAreRefused) {
  const auto root = open_it();
  for (const std::size_t len : {0U, 8U, 17U, 33U, 64U})
    EXPECT_CODE(root->create(len, context_), Errc::kInvalidArgument);
}

TEST_F(RootTest, EveryChangedBitOfTheBlobIsCorruption) {
  const auto root = open_it();
  const auto made = root->create(32, context_);
  ASSERT_OK(made);
  for (std::size_t i = 0; i < made->protector.blob.size(); ++i) {
    Protector damaged;
    damaged = made->protector;
    damaged.blob[i] = static_cast<std::uint8_t>(damaged.blob[i] ^ (1U << (i % 8)));
    EXPECT_CODE(root->open(damaged, context_), Errc::kCorruption) << i;
  }
  EXPECT_OK(root->open(made->protector, context_));  // control, and the root still works
}

TEST_F(RootTest, BlobsOfOddLengthsAreCorruption) {
  const auto root = open_it();
  const auto made = root->create(32, context_);
  ASSERT_OK(made);
  for (const std::size_t len : {0U, 1U, 8U, 16U, 24U, 32U, 39U, 41U, 48U, 6144U}) {
    Protector damaged = made->protector;
    damaged.blob.resize(len);
    EXPECT_CODE(root->open(damaged, context_), Errc::kCorruption) << len;
  }
}

TEST_F(RootTest, DamagedCheckOrReferenceIsCorruption) {
  const auto root = open_it();
  const auto made = root->create(32, context_);
  ASSERT_OK(made);
  Protector damaged = made->protector;
  damaged.check[15] ^= 1;
  EXPECT_CODE(root->open(damaged, context_), Errc::kCorruption);
  damaged = made->protector;
  damaged.key_ref += "x";
  EXPECT_CODE(root->open(damaged, context_), Errc::kCorruption);
}

TEST_F(RootTest, ProtectorOfAnotherContextIsCorruption) {
  const auto root = open_it();
  const auto one = root->create(32, as_bytes("keyset a, version 1"));
  const auto two = root->create(32, as_bytes("keyset a, version 2"));
  ASSERT_OK(one);
  ASSERT_OK(two);
  EXPECT_OK(root->open(one->protector, as_bytes("keyset a, version 1")));  // control
  EXPECT_CODE(root->open(two->protector, as_bytes("keyset a, version 1")), Errc::kCorruption);
  Protector mixed = one->protector;
  mixed.blob = two->protector.blob;
  EXPECT_CODE(root->open(mixed, as_bytes("keyset a, version 1")), Errc::kCorruption);
}

TEST_F(RootTest, AnotherKeyUnderTheSameNameIsDenied) {
  const auto made = open_it()->create(32, context_);
  ASSERT_OK(made);
  ASSERT_OK(test::destroy_key(token_.uri(), "root"));
  ASSERT_OK(create_root_key(token_.uri("root"), {}));
  const auto opened = open_it()->open(made->protector, context_);
  EXPECT_CODE(opened, Errc::kDenied);
  EXPECT_NE(std::string(opened.status().message()).find("another root key"), std::string::npos);
}

TEST_F(RootTest, AnotherKeyUnderTheSameLabelAndIdIsDenied) {
  ASSERT_OK(test::import_key(token_.uri(), {.label = "imported", .value = Bytes(32, 1)}));
  const auto made = open_it("imported")->create(32, context_);
  ASSERT_OK(made);
  ASSERT_OK(test::destroy_key(token_.uri(), "imported"));
  ASSERT_OK(test::import_key(token_.uri(), {.label = "imported", .value = Bytes(32, 2)}));
  const auto opened = open_it("imported")->open(made->protector, context_);
  EXPECT_CODE(opened, Errc::kDenied);
  EXPECT_NE(std::string(opened.status().message()).find("another key is under this name"),
            std::string::npos);
  // Control: the first key again, and the KEK comes back.
  ASSERT_OK(test::destroy_key(token_.uri(), "imported"));
  ASSERT_OK(test::import_key(token_.uri(), {.label = "imported", .value = Bytes(32, 1)}));
  EXPECT_OK(open_it("imported")->open(made->protector, context_));
}

TEST_F(RootTest, SameKeyUnderAnotherNameStillOpens) {
  ASSERT_OK(test::import_key(token_.uri(), {.label = "before", .id = {1}, .value = Bytes(32, 1)}));
  const auto made = open_it("before")->create(32, context_);
  ASSERT_OK(made);
  ASSERT_OK(test::import_key(token_.uri(), {.label = "after", .id = {2}, .value = Bytes(32, 1)}));
  EXPECT_OK(open_it("after")->open(made->protector, context_));
}

TEST_F(RootTest, BlobsAreRfc3394) {
  const Bytes root_key = {0,    1,    2,    3,    4,    5,    6,    7,    8,    9,    0xa,
                          0xb,  0xc,  0xd,  0xe,  0xf,  0x10, 0x11, 0x12, 0x13, 0x14, 0x15,
                          0x16, 0x17, 0x18, 0x19, 0x1a, 0x1b, 0x1c, 0x1d, 0x1e, 0x1f};
  ASSERT_OK(test::import_key(token_.uri(), {.label = "known", .value = root_key}));
  const auto root = open_it("known");
  const auto made = root->create(32, context_);
  ASSERT_OK(made);
  // OpenSSL opens what the token wrapped.
  const auto by_openssl = openssl_unwrap(root_key, made->protector.blob);
  ASSERT_OK(by_openssl);
  EXPECT_EQ(copy_of(by_openssl.value()), copy_of(made->kek));
  EXPECT_OK(openssl_unwrap(root_key, made->protector.canary));
  // The token opens the wrap in RFC 3394 section 4.6.
  Protector from_rfc = made->protector;
  from_rfc.blob = {0x28, 0xc9, 0xf4, 0x04, 0xc4, 0xb8, 0x10, 0xf4, 0xcb, 0xcc,
                   0xb3, 0x5c, 0xfb, 0x87, 0xf8, 0x26, 0x3f, 0x57, 0x86, 0xe2,
                   0xd8, 0x0e, 0xd3, 0x26, 0xcb, 0xc7, 0xf0, 0xe7, 0x1a, 0x99,
                   0xf4, 0x3b, 0xfb, 0x98, 0x8b, 0x9b, 0x7a, 0x02, 0xdd, 0x21};
  const Bytes kek = {0,    0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa,
                     0xbb, 0xcc, 0xdd, 0xee, 0xff, 0,    1,    2,    3,    4,    5,
                     6,    7,    8,    9,    0xa,  0xb,  0xc,  0xd,  0xe,  0xf};
  from_rfc.check = check_value(kek, from_rfc, context_).value();
  const auto opened = root->open(from_rfc, context_);
  ASSERT_OK(opened);
  EXPECT_EQ(copy_of(opened.value()), kek);
}

TEST_F(RootTest, RootKeyHasTheAttributesPromised) {
  const auto flags = test::read_flags(token_.uri(), "root");
  ASSERT_OK(flags);
  const std::map<std::string, bool> expected = {
      {"CKA_TOKEN", true},     {"CKA_PRIVATE", true},           {"CKA_MODIFIABLE", false},
      {"CKA_SENSITIVE", true}, {"CKA_EXTRACTABLE", false},      {"CKA_ALWAYS_SENSITIVE", true},
      {"CKA_WRAP", true},      {"CKA_NEVER_EXTRACTABLE", true}, {"CKA_UNWRAP", true},
      {"CKA_ENCRYPT", false},  {"CKA_DECRYPT", false},          {"CKA_SIGN", false},
      {"CKA_VERIFY", false},   {"CKA_DERIVE", false},
  };
  EXPECT_EQ(flags.value(), expected);
}

TEST_F(RootTest, RootKeyCannotBeRead) {
  const auto value = test::read_key_value(token_.uri(), "root");
  ASSERT_FALSE(value.ok());
  EXPECT_NE(value.status().describe().find("CKR_ATTRIBUTE_SENSITIVE"), std::string::npos);
  // Control: the same call reads a key that was made readable.
  ASSERT_OK(
      test::import_key(token_.uri(), {.label = "open", .sensitive = false, .extractable = true}));
  const auto open_value = test::read_key_value(token_.uri(), "open");
  ASSERT_OK(open_value);
  EXPECT_EQ(open_value.value(), Bytes(32, 0x42));
}

TEST_F(RootTest, RootKeyOfThatNameIsNotMadeTwice) {
  EXPECT_CODE(create_root_key(token_.uri("root"), {}), Errc::kAlreadyExists);
  EXPECT_OK(create_root_key(token_.uri("root2"), {}));
  EXPECT_OK(create_root_key(token_.uri("root3;id=%07"), {}));
  EXPECT_CODE(create_root_key(token_.uri("root3;id=%07"), {}), Errc::kAlreadyExists);
  EXPECT_CODE(create_root_key(token_.uri(), {}), Errc::kInvalidArgument);
}

TEST_F(RootTest, RootKeyNamedByIdAloneGetsALabel) {
  const std::string uri = "pkcs11:token=" + token_.label() +
                          ";id=%aa%bb?module-path=" + test::SoftHsmToken::module_path() +
                          "&pin-source=file:" + token_.pin_file();
  ASSERT_OK(create_root_key(uri, {}));
  const auto root = open_root(uri, {});
  ASSERT_OK(root);
  const auto made = root.value()->create(32, context_);
  ASSERT_OK(made);
  EXPECT_NE(made->protector.key_ref.find(";id=aabb;label=rewrap-root"), std::string::npos)
      << made->protector.key_ref;
}

TEST_F(RootTest, NothingStaysInTheToken) {
  const auto root = open_it();
  const auto made = root->create(32, context_);
  ASSERT_OK(made);
  EXPECT_OK(root->open(made->protector, context_));
  const auto num = test::num_session_objects(token_.uri());
  ASSERT_OK(num);
  EXPECT_EQ(num.value(), 0U);
}

TEST_F(RootTest, RandomFillsTheWholeBuffer) {
  const auto root = open_it();
  Bytes a(1000);
  Bytes b(1000);
  EXPECT_OK(root->random(a));
  EXPECT_OK(root->random(b));
  EXPECT_NE(a, b);
  EXPECT_NE(Bytes(a.end() - 32, a.end()), Bytes(32));
  EXPECT_OK(root->random({}));
}

TEST_F(RootTest, DestroyKeepsTheRootKey) {
  const auto root = open_it();
  const auto made = root->create(32, context_);
  ASSERT_OK(made);
  EXPECT_OK(root->destroy(made->protector));
  EXPECT_OK(root->open(made->protector, context_));
}

// The token's failures, by a module in between.
class SickRootTest : public RootTest {
 protected:
  void SetUp() override {
    RootTest::SetUp();
    spy_ = test::load_spy(REWRAP_SPY_MODULE);
    ASSERT_NE(spy_, nullptr);
    *spy_ = {};
    auto root = open_root(token_.uri_with("root", REWRAP_SPY_MODULE, token_.pin_file()), {});
    ASSERT_OK(root);
    root_ = std::move(root).value();
    auto made = root_->create(32, context_);
    ASSERT_OK(made);
    protector_ = made->protector;
  }

  test::SpyControl* spy_ = nullptr;
  std::unique_ptr<Root> root_;
  Protector protector_;
};

TEST_F(SickRootTest, TokenThatDiesIsUnavailableNotCorruption) {
  for (const unsigned long rv :
       {0x05UL, 0x06UL, 0x30UL}) {  // GENERAL_ERROR, FUNCTION_FAILED, DEVICE_ERROR
    spy_->unwrap_result = rv;
    spy_->is_dead = 1;
    EXPECT_CODE(root_->open(protector_, context_), Errc::kUnavailable) << rv;
  }
  *spy_ = {};
  EXPECT_OK(root_->open(protector_, context_));  // control: the blob was well all the time
}

TEST_F(SickRootTest, DeviceErrorIsUnavailableEvenIfTheTokenAnswersAgain) {
  spy_->unwrap_result = 0x30;
  EXPECT_CODE(root_->open(protector_, context_), Errc::kUnavailable);
}

TEST_F(SickRootTest, LiveTokenThatOpensNothingHoldsAnotherKey) {
  spy_->unwrap_result = 0x05;
  EXPECT_CODE(root_->open(protector_, context_), Errc::kDenied);
}

TEST_F(SickRootTest, MechanismThatIsSwitchedOffIsUnsupported) {
  spy_->unwrap_result = 0x70;  // CKR_MECHANISM_INVALID
  EXPECT_CODE(root_->open(protector_, context_), Errc::kUnsupported);
  EXPECT_CODE(root_->create(32, context_), Errc::kUnsupported);
}

}  // namespace
}  // namespace rewrap
