// Accounts: who gets in, and that a failure says nothing about why.
#include "api/service/accounts.h"

#include <dlfcn.h>
#include <gtest/gtest.h>
#include <openssl/evp.h>

#include <atomic>

#include "tests/api/service_fixture.h"

namespace rewrap {
namespace {

std::atomic<int> num_scrypts{0};
std::atomic<std::uint64_t> scrypt_cost{0};  // N * r * p of the last one

}  // namespace

// note_scrypt is called by the function below, which stands in front of OpenSSL's.
void note_scrypt(std::uint64_t cost) {
  ++num_scrypts;
  scrypt_cost = cost;
}

namespace {

class AccountsThreads : public ServiceFixture {
 protected:
  void SetUp() override {
    ServiceFixture::SetUp();
    start();
  }
  Accounts& accounts() { return service_->accounts(); }
  Account add(const std::string& name, Role role, std::string_view password,
              const std::string& subject = "") {
    return ok_value(accounts().add(name, role, as_bytes(password), subject, caller()));
  }
};

TEST_F(AccountsThreads, LogInByPassword) {
  add("alice", Role::kAdmin, "correct horse");
  restart();
  const Account alice = ok_value(accounts().log_in("alice", as_bytes("correct horse")));
  EXPECT_EQ(alice.role, Role::kAdmin);
  EXPECT_TRUE(alice.has_password);
  ok_value(accounts().set_password("alice", as_bytes("battery staple"), caller()));
  EXPECT_FALSE(accounts().log_in("alice", as_bytes("correct horse")).ok());
  EXPECT_TRUE(accounts().log_in("alice", as_bytes("battery staple")).ok());
  ok_value(accounts().set_role("alice", Role::kAudit, caller()));
  EXPECT_EQ(ok_value(accounts().get("alice")).role, Role::kAudit);
  ok_value(accounts().remove("alice", caller()));
  EXPECT_FALSE(accounts().log_in("alice", as_bytes("battery staple")).ok());
}

TEST_F(AccountsThreads, EveryFailureIsTheSame) {
  add("alice", Role::kAdmin, "correct horse");
  add("robot", Role::kReadOnly, "", "robot.example");
  std::vector<Status> failures;
  for (const auto& [name, password] : std::vector<std::pair<std::string, std::string>>{
           {"alice", "correct horsf"},
           {"alice", ""},
           {"alice", "correct horse "},
           {"bob", "correct horse"},
           {"robot", ""},
           {"robot", "correct horse"},
           {"robot", std::string(32, '\0')},
           {"", ""},
           {"alice", std::string(kMaxPasswordLen + 1, 'x')}}) {
    const auto answer = accounts().log_in(name, as_bytes(password));
    ASSERT_FALSE(answer.ok()) << name;
    failures.push_back(answer.status());
  }
  for (const Status& failure : failures) {
    EXPECT_EQ(failure.code(), Errc::kDenied);
    EXPECT_EQ(failure.describe(), failures.front().describe());
  }
}

// The time of a log in is that of its scrypt: one each, of the same cost, whoever it is.
TEST_F(AccountsThreads, EveryFailureCostsTheSame) {
  add("alice", Role::kAdmin, "correct horse");
  add("robot", Role::kReadOnly, "", "robot.example");
  EXPECT_TRUE(accounts().log_in("alice", as_bytes("correct horse")).ok());
  const std::uint64_t cost = scrypt_cost;
  ASSERT_NE(cost, 0U);
  for (const char* name : {"alice", "bob", "robot", ""}) {
    const int before = num_scrypts;
    scrypt_cost = 0;
    EXPECT_FALSE(accounts().log_in(name, as_bytes("wrong horse")).ok());
    EXPECT_EQ(num_scrypts, before + 1) << name;
    EXPECT_EQ(scrypt_cost, cost) << name;
  }
}

TEST_F(AccountsThreads, LogInByCertificate) {
  add("robot", Role::kRekeyOperator, "", "robot.example");
  add("alice", Role::kAdmin, "correct horse");
  EXPECT_EQ(ok_value(accounts().log_in_certificate("robot.example")).name, "robot");
  for (const char* name : {"", "robot", "alice", "robot.exampl", "%"})
    EXPECT_EQ(accounts().log_in_certificate(name).status().code(), Errc::kDenied) << name;
}

TEST_F(AccountsThreads, WhatCannotBeAnAccount) {
  const auto reason = [&](const std::string& name, std::string_view password,
                          const std::string& subject = "") {
    return accounts().add(name, Role::kAdmin, as_bytes(password), subject, caller()).reason();
  };
  EXPECT_EQ(reason("a b", "correct horse"), Reason::kInvalidInput);
  EXPECT_EQ(reason("", "correct horse"), Reason::kInvalidInput);
  EXPECT_EQ(reason("alice", "short"), Reason::kInvalidInput);
  EXPECT_EQ(reason("alice", ""), Reason::kInvalidInput);
  EXPECT_EQ(reason("alice", "correct horse", "cn"), Reason::kNone);
  EXPECT_EQ(reason("alice", "correct horse"), Reason::kNameTaken);
  EXPECT_EQ(reason("bob", "correct horse", "cn"), Reason::kNameTaken);
  EXPECT_EQ(accounts().remove("nobody", caller()).reason(), Reason::kNoSuchAccount);
  EXPECT_EQ(accounts().get("nobody").reason(), Reason::kNoSuchAccount);
  EXPECT_EQ(ok_value(accounts().list()).size(), 1U);
}

TEST(Roles, WhatEachMayDo) {
  const auto allowed = [](Role role) {
    std::string text;
    for (const Permission permission :
         {Permission::kRead, Permission::kRekey, Permission::kConfigure, Permission::kAccounts,
          Permission::kReadAudit}) {
      text += may(role, permission) ? 'x' : '-';
    }
    return text;
  };
  EXPECT_EQ(allowed(Role::kAdmin), "xxxxx");
  EXPECT_EQ(allowed(Role::kRekeyOperator), "xx---");
  EXPECT_EQ(allowed(Role::kReadOnly), "x----");
  EXPECT_EQ(allowed(Role::kAudit), "x---x");
  EXPECT_EQ(allowed(Role{}), "-----");
  for (const Role role : {Role::kAdmin, Role::kRekeyOperator, Role::kReadOnly, Role::kAudit})
    EXPECT_EQ(find_role(role_name(role)), role);
  EXPECT_FALSE(find_role("root").has_value());
}

}  // namespace
}  // namespace rewrap

extern "C" int EVP_PBE_scrypt(const char* password, size_t password_len, const unsigned char* salt,
                              size_t salt_len, uint64_t n, uint64_t r, uint64_t p,
                              uint64_t max_memory, unsigned char* key, size_t key_len) {
  using Function = decltype(&EVP_PBE_scrypt);
  static const auto real = reinterpret_cast<Function>(dlsym(RTLD_NEXT, "EVP_PBE_scrypt"));
  rewrap::note_scrypt(n * r * p);
  return real(password, password_len, salt, salt_len, n, r, p, max_memory, key, key_len);
}
