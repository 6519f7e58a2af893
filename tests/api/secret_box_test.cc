// Sealed secrets: come back from their own place only.
#include "api/service/secret_box.h"

#include <gtest/gtest.h>

#include "tests/rekey/fixture.h"

namespace rewrap {
namespace {

class SecretBoxTest : public ::testing::Test {
 protected:
  void SetUp() override {
    options_.allow_file_root = true;
    uri_ = "file:" + directory_.path() + "/root.key";
    ASSERT_TRUE(create_root_key(uri_, options_).ok());
    const auto root = ok_value(open_root(uri_, options_));
    box_ = ok_value(SecretBox::make(root.get(), &protector_));
  }
  static SecretPlace place(std::string_view table, std::string_view row, std::string_view column) {
    return {table, as_bytes(row), column};
  }

  TempDirectory directory_;
  RootOptions options_;
  std::string uri_;
  Protector protector_;
  std::unique_ptr<SecretBox> box_;
};

TEST_F(SecretBoxTest, RoundTripAlsoOfNothingAndWithTheKeyOpenedAgain) {
  const auto root = ok_value(open_root(uri_, options_));
  const auto again = ok_value(SecretBox::open(root.get(), protector_));
  for (const std::string_view text : {"", "x", "a secret of some length"}) {
    const Bytes sealed = ok_value(box_->seal(place("t", "1", "c"), as_bytes(text)));
    const SecretBuffer back = ok_value(again->unseal(place("t", "1", "c"), sealed));
    EXPECT_TRUE(secrets_equal(back.expose_secret(), as_bytes(text)));
  }
  const Bytes long_secret(kMaxSecretLen);
  EXPECT_TRUE(box_->seal(place("t", "1", "c"), long_secret).ok());
  const Bytes too_long(kMaxSecretLen + 1);
  EXPECT_EQ(box_->seal(place("t", "1", "c"), too_long).status().code(), Errc::kInvalidArgument);
}

TEST_F(SecretBoxTest, AnotherPlaceOrAnyChangedByteIsDetected) {
  Bytes sealed = ok_value(box_->seal(place("table", "row", "column"), as_bytes("secret")));
  const auto code = [&](const SecretPlace& at) { return box_->unseal(at, sealed).status().code(); };
  EXPECT_EQ(code(place("table", "row", "column")), Errc::kOk);
  EXPECT_EQ(code(place("table", "other", "column")), Errc::kIntegrity);
  EXPECT_EQ(code(place("other", "row", "column")), Errc::kIntegrity);
  EXPECT_EQ(code(place("table", "row", "other")), Errc::kIntegrity);
  EXPECT_EQ(code(place("tabler", "ow", "column")), Errc::kIntegrity);
  for (std::uint8_t& byte : sealed) {
    byte ^= 1;
    EXPECT_EQ(code(place("table", "row", "column")), Errc::kIntegrity);
    byte ^= 1;
  }
  sealed.pop_back();
  EXPECT_EQ(code(place("table", "row", "column")), Errc::kIntegrity);
  sealed.clear();
  EXPECT_EQ(code(place("table", "row", "column")), Errc::kIntegrity);
}

TEST_F(SecretBoxTest, AnotherServiceKeyDoesNotOpen) {
  const auto root = ok_value(open_root(uri_, options_));
  Protector other;
  const auto box = ok_value(SecretBox::make(root.get(), &other));
  const Bytes sealed = ok_value(box_->seal(place("t", "1", "c"), as_bytes("secret")));
  EXPECT_EQ(box->unseal(place("t", "1", "c"), sealed).status().code(), Errc::kIntegrity);
}

TEST_F(SecretBoxTest, DerivedKeysDifferByPurpose) {
  const SecretBuffer a = ok_value(box_->derive("a"));
  const SecretBuffer b = ok_value(box_->derive("b"));
  EXPECT_FALSE(secrets_equal(a.expose_secret(), b.expose_secret()));
  EXPECT_TRUE(secrets_equal(a.expose_secret(), ok_value(box_->derive("a")).expose_secret()));
}

}  // namespace
}  // namespace rewrap
