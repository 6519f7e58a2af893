// That a PIN is tried once at most, and not at all where it could cost the token.
#include <gtest/gtest.h>

#include "hsm/pkcs11/login_policy.h"
#include "hsm/root.h"
#include "tests/hsm/expect_code.h"
#include "tests/hsm/softhsm_fixture.h"
#include "tests/hsm/spy_module.h"

namespace rewrap {
namespace {

// The flags of CK_TOKEN_INFO, by PKCS#11 2.40 table 11.
constexpr unsigned long kUserPinInitialized = 0x00000008;
constexpr unsigned long kTokenInitialized = 0x00000400;
constexpr unsigned long kUserPinCountLow = 0x00010000;
constexpr unsigned long kUserPinFinalTry = 0x00020000;
constexpr unsigned long kUserPinLocked = 0x00040000;
constexpr unsigned long kHealthy = kTokenInitialized | kUserPinInitialized;

TEST(LoginPolicy, DecidesByTheFlagsAlone) {
  EXPECT_OK(login_allowed(pin_state_of(kHealthy), false));
  EXPECT_OK(login_allowed(pin_state_of(kHealthy | kUserPinCountLow), false));
  EXPECT_CODE(login_allowed(pin_state_of(kHealthy | kUserPinFinalTry), false), Errc::kDenied);
  EXPECT_OK(login_allowed(pin_state_of(kHealthy | kUserPinFinalTry), true));
  EXPECT_CODE(login_allowed(pin_state_of(kHealthy | kUserPinLocked), false), Errc::kDenied);
  EXPECT_CODE(login_allowed(pin_state_of(kHealthy | kUserPinLocked), true), Errc::kDenied);
  EXPECT_CODE(login_allowed(pin_state_of(kTokenInitialized), true), Errc::kNotFound);
  EXPECT_CODE(login_allowed(pin_state_of(0), true), Errc::kNotFound);
}

class Login : public testing::Test {
 protected:
  void SetUp() override {
    spy_ = test::load_spy(REWRAP_SPY_MODULE);
    ASSERT_NE(spy_, nullptr);
    *spy_ = {};
    ASSERT_OK(create_root_key(uri(token_.pin_file()), {}));
    spy_->num_logins = 0;
  }

  [[nodiscard]] std::string uri(const std::string& pin_file) const {
    return token_.uri_with("root", REWRAP_SPY_MODULE, pin_file);
  }

  test::SoftHsmToken token_;
  test::SpyControl* spy_ = nullptr;
};

TEST_F(Login, RightPinLogsInOnceAndNeverLogsOut) {
  {
    const auto root = open_root(uri(token_.pin_file()), {});
    ASSERT_OK(root);
    EXPECT_OK(root.value()->create(32, as_bytes("ctx")));
  }
  EXPECT_EQ(spy_->num_logins, 1);
  EXPECT_EQ(spy_->num_logouts, 0);
}

TEST_F(Login, WrongPinIsTriedExactlyOnce) {
  const std::string wrong = token_.write_file("wrong", "9999\n");
  const auto root = open_root(uri(wrong), {});
  EXPECT_CODE(root, Errc::kDenied);
  EXPECT_EQ(spy_->num_logins, 1);
  const std::string words = test::words_of(root.status());
  EXPECT_NE(words.find("one try was made and none will follow"), std::string::npos) << words;
  EXPECT_NE(words.find("CKR_PIN_INCORRECT"), std::string::npos) << words;
  EXPECT_NE(words.find("pin-source"), std::string::npos) << words;
  EXPECT_EQ(words.find("9999"), std::string::npos) << words;
  // The token is none the worse: the right PIN still works.
  EXPECT_OK(open_root(uri(token_.pin_file()), {}));
  EXPECT_EQ(spy_->num_logins, 2);
}

TEST_F(Login, FinalTryIsNotUsedUpUnlessAllowed) {
  spy_->extra_token_flags = kUserPinFinalTry;
  EXPECT_CODE(open_root(uri(token_.pin_file()), {}), Errc::kDenied);
  EXPECT_EQ(spy_->num_logins, 0);
  RootOptions options;
  options.allow_final_pin_try = true;
  EXPECT_OK(open_root(uri(token_.pin_file()), options));
  EXPECT_EQ(spy_->num_logins, 1);
}

TEST_F(Login, LockedPinIsNotTried) {
  spy_->extra_token_flags = kUserPinLocked;
  RootOptions options;
  options.allow_final_pin_try = true;
  EXPECT_CODE(open_root(uri(token_.pin_file()), options), Errc::kDenied);
  EXPECT_EQ(spy_->num_logins, 0);
}

TEST_F(Login, PromptIsAskedOnceWithTheTokensLabel) {
  int num_asked = 0;
  RootOptions options;
  options.ask_pin = [&](const std::string& token) {
    ++num_asked;
    EXPECT_EQ(token, token_.label());
    return SecretBuffer::copy_of(as_bytes("1234"));
  };
  EXPECT_OK(open_root(uri(""), options));
  EXPECT_EQ(num_asked, 1);
}

TEST_F(Login, PinFileGoesBeforeThePrompt) {
  RootOptions options;
  options.ask_pin = [](const std::string&) -> Result<SecretBuffer> {
    ADD_FAILURE() << "the prompt was asked";
    return Status(Errc::kUnavailable, "no terminal");
  };
  EXPECT_OK(open_root(uri(token_.pin_file()), options));
}

TEST_F(Login, PromptsFailureIsPassedOn) {
  RootOptions options;
  options.ask_pin = [](const std::string&) -> Result<SecretBuffer> {
    return Status(Errc::kUnavailable, "no terminal");
  };
  EXPECT_CODE(open_root(uri(""), options), Errc::kUnavailable);
  EXPECT_EQ(spy_->num_logins, 0);
}

TEST_F(Login, NowhereToTakeAPinFromIsDenied) {
  const auto root = open_root(uri(""), {});
  EXPECT_CODE(root, Errc::kDenied);
  EXPECT_NE(std::string(root.status().hint()).find("pin-source"), std::string::npos);
  EXPECT_EQ(spy_->num_logins, 0);
}

TEST_F(Login, BadPinFilesAreNotTried) {
  EXPECT_CODE(open_root(uri(token_.folder() + "/missing"), {}), Errc::kNotFound);
  EXPECT_CODE(open_root(uri(token_.folder()), {}), Errc::kDenied);  // a folder
  EXPECT_CODE(open_root(uri(token_.write_file("empty", "")), {}), Errc::kInvalidArgument);
  EXPECT_CODE(open_root(uri(token_.write_file("newline", "\n")), {}), Errc::kInvalidArgument);
  EXPECT_CODE(open_root(uri(token_.write_file("long", std::string(257, '1'))), {}),
              Errc::kInvalidArgument);
  EXPECT_CODE(open_root(uri(token_.write_file("huge", std::string(100000, '1'))), {}),
              Errc::kInvalidArgument);
  EXPECT_EQ(spy_->num_logins, 0);
}

TEST_F(Login, OneNewlineAtTheEndIsNotPartOfThePin) {
  EXPECT_OK(open_root(uri(token_.write_file("bare", "1234")), {}));
  EXPECT_CODE(open_root(uri(token_.write_file("two", "1234\n\n")), {}), Errc::kDenied);
}

TEST_F(Login, SecondRootInTheProcessNeedsNoSecondLogin) {
  const auto first = open_root(uri(token_.pin_file()), {});
  ASSERT_OK(first);
  {
    const auto second = open_root(uri(token_.pin_file()), {});
    ASSERT_OK(second);
    EXPECT_OK(second.value()->create(16, as_bytes("ctx")));
  }
  EXPECT_EQ(spy_->num_logins, 1);
  EXPECT_EQ(spy_->num_finalizes,
            1);  // by create_root_key in SetUp; the second root leaves the module to the first
  EXPECT_OK(first.value()->create(32, as_bytes("ctx")));
}

TEST_F(Login, TokenThatIsMissedForAMomentIsLookedForAgain) {
  spy_->num_missed_tokens = 3;
  EXPECT_OK(open_root(uri(token_.pin_file()), {}));
  EXPECT_EQ(spy_->num_logins, 1);
  spy_->num_missed_tokens = 1000;
  EXPECT_CODE(open_root(uri(token_.pin_file()), {}), Errc::kNotFound);
}

}  // namespace
}  // namespace rewrap
