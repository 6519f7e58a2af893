// Who gets in by what, for how long a password is remembered, and what the audit log is told.
#include "api/front/authenticator.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/api/front_fake.h"

namespace rewrap {
namespace {

using std::chrono::seconds;

class FakeAccounts : public AccountsBackend {
 public:
  Answer<Account> log_in(std::string_view name, ByteView password) override {
    ++num_log_ins;
    if (name != "admin" || !test::is_test_password(password)) return denied();
    return account(name);
  }
  Answer<Account> log_in_certificate(std::string_view common_name) override {
    if (common_name != "robot") return denied();
    return account(common_name);
  }
  bool is_allowed(Role, Permission) override { return true; }
  Status audit(const AuditEvent& event) override {
    events.push_back(event);
    return audit_status;
  }

  int num_log_ins = 0;
  std::vector<AuditEvent> events;
  Status audit_status;

 private:
  static Account account(std::string_view name) {
    Account account;
    account.name = name;
    return account;
  }
  static Failure denied() { return {Reason::kOther, Status(Errc::kDenied, "log in failed")}; }
};

class AuthenticatorTest : public ::testing::Test {
 protected:
  using Clock = Authenticator::Clock;

  bool log_in(const std::string& user, const std::string& password, Clock::time_point now) {
    return authenticator_.authenticate(*test::make_request({"GET", "/", "", user, password}), now)
        .has_value();
  }
  std::optional<Account> by_certificate(const ClientCertificate& certificate) {
    const auto request = test::make_request({"GET", "/", "", ""});
    request->client_certificate = certificate;
    return authenticator_.authenticate(*request);
  }
  bool by_header(const std::string& value) {
    return authenticator_
        .authenticate(*test::make_request({"GET", "/", "", "", "", {{"Authorization", value}}}))
        .has_value();
  }

  FakeAccounts accounts_;
  Authenticator authenticator_{&accounts_, "test 401"};
  const Clock::time_point start_ = Clock::now();
};

TEST_F(AuthenticatorTest, APasswordIsRememberedForTenSecondsAndNoLonger) {
  EXPECT_TRUE(log_in("admin", "correct-horse", start_));
  EXPECT_TRUE(log_in("admin", "correct-horse", start_ + seconds(7)));
  EXPECT_EQ(accounts_.num_log_ins, 1);
  EXPECT_TRUE(log_in("admin", "correct-horse", start_ + seconds(10)));
  EXPECT_EQ(accounts_.num_log_ins, 2);
}

TEST_F(AuthenticatorTest, OnlyWhatWasRightIsRemembered) {
  EXPECT_TRUE(log_in("admin", "correct-horse", start_));
  for (const char* wrong : {"correct-hors", "correct-horse ", ""}) {
    EXPECT_FALSE(log_in("admin", wrong, start_)) << wrong;
    EXPECT_FALSE(log_in("admin", wrong, start_)) << wrong;
  }
  EXPECT_FALSE(log_in("admin:correct-horse", "", start_));
  EXPECT_EQ(accounts_.num_log_ins, 8);
}

TEST_F(AuthenticatorTest, EachRefusedLogInIsAuditedWithoutThePassword) {
  log_in("eve", "a wrong password", start_);
  EXPECT_FALSE(by_header("Basic !!!!"));
  EXPECT_FALSE(by_header("Basic ===="));
  EXPECT_FALSE(by_header("Basic"));
  EXPECT_FALSE(by_header("Bearer YWRtaW46Y29ycmVjdC1ob3JzZQ=="));
  EXPECT_FALSE(by_header("Basic " + std::string(5000, 'A')));
  ASSERT_EQ(accounts_.events.size(), 6U);
  EXPECT_EQ(accounts_.events.front().user, "eve");
  for (const AuditEvent& event : accounts_.events) {
    EXPECT_EQ(event.action, "login");
    EXPECT_EQ(event.outcome, "denied");
    EXPECT_EQ(event.detail, "test 401");
    EXPECT_EQ((event.user + event.object + event.detail).find("wrong password"), std::string::npos);
  }
  EXPECT_EQ(accounts_.num_log_ins, 1);
  // One that cannot be audited is refused all the same.
  accounts_.audit_status = Status(Errc::kIo, "the disk is gone");
  EXPECT_FALSE(log_in("eve", "a wrong password", start_));
}

// Or anybody could fill the disk that the audit log is on, a line for each request.
TEST_F(AuthenticatorTest, WithoutCredentialsNothingIsWritten) {
  EXPECT_FALSE(by_certificate({}).has_value());
  EXPECT_TRUE(accounts_.events.empty());
}

TEST_F(AuthenticatorTest, ACertificateCountsOnlyIfItWasVerified) {
  ClientCertificate certificate;
  certificate.presented = true;
  certificate.common_name = "robot";
  EXPECT_FALSE(by_certificate(certificate).has_value());
  certificate.verified = true;
  const auto account = by_certificate(certificate);
  ASSERT_TRUE(account.has_value());
  EXPECT_EQ(account->name, "robot");
  certificate.common_name = "other";
  EXPECT_FALSE(by_certificate(certificate).has_value());
  certificate.common_name = "";
  EXPECT_FALSE(by_certificate(certificate).has_value());
  EXPECT_EQ(accounts_.events.size(), 3U);
}

}  // namespace
}  // namespace rewrap
