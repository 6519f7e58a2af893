// Finding module, token and key: what is missing is named, what is ambiguous is refused, what is
// unsafe is not used.
#include <gtest/gtest.h>

#include "hsm/root.h"
#include "tests/hsm/expect_code.h"
#include "tests/hsm/raw_token.h"
#include "tests/hsm/softhsm_fixture.h"

namespace rewrap {
namespace {

std::string message_of(const Status& status) { return status.message(); }

TEST(OpenRoot, UnknownSchemesAreNamed) {
  const auto root = open_root("ftp://x", {});
  EXPECT_CODE(root, Errc::kInvalidArgument);
  EXPECT_NE(std::string(root.status().hint()).find("pkcs11:"), std::string::npos);
  EXPECT_CODE(open_root("", {}), Errc::kInvalidArgument);
  EXPECT_CODE(open_root_for_probe("x", {}), Errc::kInvalidArgument);
  EXPECT_CODE(create_root_key("x", {}), Errc::kInvalidArgument);
  EXPECT_CODE(open_root("pkcs11:token=" + std::string(kMaxRootUriLen, 't'), {}),
              Errc::kInvalidArgument);
}

class Find : public testing::Test {
 protected:
  test::SoftHsmToken token_;
};

TEST_F(Find, MissingModuleIsNotFound) {
  const auto root = open_root(token_.uri_with("root", "/no/such/module.so", token_.pin_file()), {});
  EXPECT_CODE(root, Errc::kNotFound);
  EXPECT_NE(message_of(root.status()).find("module"), std::string::npos);
}

TEST_F(Find, FileThatIsNoModuleIsUnavailable) {
  const std::string junk = token_.write_file("junk.so", "not a library");
  EXPECT_CODE(open_root(token_.uri_with("root", junk, token_.pin_file()), {}), Errc::kUnavailable);
  // A library, but not of PKCS#11.
  EXPECT_CODE(
      open_root(token_.uri_with("root", "/lib/x86_64-linux-gnu/libc.so.6", token_.pin_file()), {}),
      Errc::kUnavailable);
}

TEST_F(Find, MissingTokenIsNotFound) {
  const auto root =
      open_root("pkcs11:token=other;object=root?module-path=" + test::SoftHsmToken::module_path() +
                    "&pin-source=file:" + token_.pin_file(),
                {});
  EXPECT_CODE(root, Errc::kNotFound);
  EXPECT_NE(message_of(root.status()).find("token"), std::string::npos);
}

TEST_F(Find, MissingKeyIsNotFoundAndTheHintSaysHowToMakeOne) {
  const auto root = open_root(token_.uri("root"), {});
  EXPECT_CODE(root, Errc::kNotFound);
  EXPECT_NE(std::string(root.status().hint()).find("rewrap root create URI"), std::string::npos);
}

TEST_F(Find, UriWithoutKeyOpensForProbingOnly) {
  EXPECT_CODE(open_root(token_.uri(), {}), Errc::kInvalidArgument);
  const auto root = open_root_for_probe(token_.uri(), {});
  ASSERT_OK(root);
  EXPECT_FALSE(root.value()->create(32, {}).ok());
  EXPECT_FALSE(root.value()->open({}, {}).ok());
}

TEST_F(Find, TwoTokensOfOneLabelAreAConflict) {
  ASSERT_OK(create_root_key(token_.uri("root"), {}));
  ASSERT_OK(open_root(token_.uri("root"), {}));  // control: one of them is fine
  token_.add_token(token_.label());
  EXPECT_CODE(open_root(token_.uri("root"), {}), Errc::kConflict);
}

TEST_F(Find, TwoKeysOfOneLabelAreAConflictUntilTheIdIsNamed) {
  ASSERT_OK(test::import_key(token_.uri(), {.label = "root", .id = {1}}));
  ASSERT_OK(open_root(token_.uri("root"), {}));  // control
  ASSERT_OK(test::import_key(token_.uri(), {.label = "root", .id = {2}}));
  EXPECT_CODE(open_root(token_.uri("root"), {}), Errc::kConflict);
  EXPECT_OK(open_root(token_.uri("root;id=%02"), {}));
  EXPECT_CODE(open_root(token_.uri("root;id=%03"), {}), Errc::kNotFound);
}

TEST_F(Find, UnsafeRootKeysAreRefused) {
  const std::vector<test::RawKey> unsafe = {
      {.label = "extractable", .extractable = true},
      {.label = "readable", .sensitive = false, .extractable = true},
      {.label = "plain", .sensitive = false},
      {.label = "wrap-decrypt", .decrypt = true},
      {.label = "unwrap-encrypt", .encrypt = true},
      {.label = "no-wrap", .wrap = false},
      {.label = "no-unwrap", .unwrap = false},
  };
  for (const auto& key : unsafe) {
    ASSERT_OK(test::import_key(token_.uri(), key));
    const auto root = open_root(token_.uri(key.label), {});
    EXPECT_CODE(root, Errc::kRefused) << key.label;
    EXPECT_NE(std::string(root.status().hint()).find("rewrap root create"), std::string::npos);
  }
  ASSERT_OK(test::import_key(token_.uri(), {.label = "safe"}));
  EXPECT_OK(open_root(token_.uri("safe"), {}));  // control: the defaults are what is asked for
}

TEST_F(Find, KeyThatIsNotAesIsRefused) {
  ASSERT_OK(test::import_key(
      token_.uri(), {.label = "generic", .is_aes = false, .wrap = false, .unwrap = false}));
  EXPECT_CODE(open_root(token_.uri("generic"), {}), Errc::kUnsupported);
}

}  // namespace
}  // namespace rewrap
