// What a log-in costs, and how often: whoever it was for, and whatever was wrong with it. scrypt is
// counted, not timed: this program has an EVP_PBE_scrypt of its own, which asks OpenSSL's.
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <openssl/evp.h>

#include <functional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "api/front/authenticator.h"
#include "api/front/service_accounts.h"
#include "tests/api/service_fixture.h"

namespace rewrap {
namespace {

using Cost = std::tuple<std::uint64_t, std::uint64_t, std::uint64_t>;
std::vector<Cost>& costs() {
  static std::vector<Cost> all;
  return all;
}

std::shared_ptr<HttpRequest> request_of(const std::string& credentials) {
  auto request = std::make_shared<HttpRequest>();
  request->method = "GET";
  request->headers.push_back({"Authorization", "Basic " + encode_base64(as_bytes(credentials))});
  return request;
}

class HttpLogIn : public ServiceFixture {
 protected:
  void SetUp() override {
    ServiceFixture::SetUp();
    start();
    Accounts& accounts = service_->accounts();
    ok_value(accounts.add("someone", Role::kAdmin, as_bytes("right-password"), "", caller()));
    ok_value(accounts.add("robot", Role::kAdmin, {}, "robot.example", caller()));
  }
};

TEST_F(HttpLogIn, ARefusalCostsTheSameForWhomeverItIs) {
  const auto backend = service_accounts(service_.get());
  Authenticator authenticator(backend.get(), "test");
  costs().clear();
  EXPECT_TRUE(authenticator.authenticate(*request_of("someone:right-password")));
  ASSERT_EQ(costs().size(), 1U);
  const Cost right = costs().front();
  EXPECT_GE(std::get<0>(right) * std::get<1>(right), 16'384U * 8U);
  for (const char* credentials :
       {"someone:wrong-password", "nobody:right-password", "robot:right-password",
        "someone:", ":right-password", "robot.example:x", "someone :right-password"}) {
    costs().clear();
    EXPECT_FALSE(authenticator.authenticate(*request_of(credentials))) << credentials;
    EXPECT_EQ(costs(), std::vector<Cost>{right}) << credentials;
  }
  // What nobody's password can be costs nothing, for whomever it is.
  costs().clear();
  for (const char* name : {"someone:", "nobody:"})
    EXPECT_FALSE(authenticator.authenticate(*request_of(name + std::string(513, 'x'))));
  EXPECT_TRUE(costs().empty());
}

// A service with one password, which can be changed, and which counts how often it is asked.
class OnePassword : public AccountsBackend {
 public:
  Answer<Account> log_in(std::string_view /*name*/, ByteView /*password*/) override {
    ++asked;
    if (meanwhile) meanwhile();
    if (!is_right) return Failure{Reason::kOther, Status(Errc::kDenied, "log in failed")};
    return Account{};
  }
  Answer<Account> log_in_certificate(std::string_view /*name*/) override {
    return Failure{Reason::kOther, Status(Errc::kDenied, "log in failed")};
  }
  bool is_allowed(Role /*role*/, Permission /*permission*/) override { return true; }
  Status audit(const AuditEvent& /*event*/) override { return {}; }

  int asked = 0;
  bool is_right = true;
  std::function<void()> meanwhile;
};

TEST(HttpAuthenticator, RenewsByOneRequestWhileTheOthersGoOn) {
  OnePassword backend;
  Authenticator authenticator(&backend, "test");
  const auto request = request_of("a:b");
  const auto begin = Authenticator::Clock::now();
  const auto log_in = [&](auto after) {
    return authenticator.authenticate(*request, begin + after).has_value();
  };
  constexpr auto kRenewal = Authenticator::kRemember - Authenticator::kRenew;
  EXPECT_TRUE(log_in(std::chrono::seconds(0)));
  EXPECT_TRUE(log_in(kRenewal - std::chrono::milliseconds(1)));
  EXPECT_EQ(backend.asked, 1);
  // While one asks anew, another one does not.
  bool other = false;
  backend.meanwhile = [&] { other = log_in(kRenewal); };
  EXPECT_TRUE(log_in(kRenewal));
  backend.meanwhile = nullptr;
  EXPECT_TRUE(other);
  EXPECT_EQ(backend.asked, 2);
  EXPECT_TRUE(log_in(Authenticator::kRemember)) << "renewed";
  EXPECT_EQ(backend.asked, 2);
}

TEST(HttpAuthenticator, APasswordThatIsNotRightAnyMoreIsForgottenWhenItIsRenewed) {
  OnePassword backend;
  Authenticator authenticator(&backend, "test");
  const auto request = request_of("a:b");
  const auto begin = Authenticator::Clock::now();
  constexpr auto kRenewal = Authenticator::kRemember - Authenticator::kRenew;
  EXPECT_TRUE(authenticator.authenticate(*request, begin));
  backend.is_right = false;
  EXPECT_FALSE(authenticator.authenticate(*request, begin + kRenewal));
  EXPECT_FALSE(authenticator.authenticate(*request, begin + kRenewal));
  EXPECT_EQ(backend.asked, 3);
}

TEST(HttpAuthenticator, ARenewalThatNeverEndsDoesNotProlongAnything) {
  OnePassword backend;
  Authenticator authenticator(&backend, "test");
  const auto request = request_of("a:b");
  const auto begin = Authenticator::Clock::now();
  EXPECT_TRUE(authenticator.authenticate(*request, begin));
  bool late = true;
  backend.meanwhile = [&] {
    if (!std::exchange(backend.is_right, false)) return;
    late = authenticator.authenticate(*request, begin + Authenticator::kRemember).has_value();
  };
  static_cast<void>(authenticator.authenticate(
      *request, begin + Authenticator::kRemember - Authenticator::kRenew));
  EXPECT_FALSE(late) << "it was remembered beyond its time";
}

}  // namespace
}  // namespace rewrap

// NOLINTNEXTLINE(readability-identifier-naming): OpenSSL's name
extern "C" int EVP_PBE_scrypt(const char* pass, std::size_t passlen, const unsigned char* salt,
                              std::size_t saltlen, std::uint64_t n, std::uint64_t r,
                              std::uint64_t p, std::uint64_t maxmem, unsigned char* key,
                              std::size_t keylen) {
  using Function = decltype(&EVP_PBE_scrypt);
  static const auto real = reinterpret_cast<Function>(dlsym(RTLD_NEXT, "EVP_PBE_scrypt"));
  rewrap::costs().emplace_back(n, r, p);
  return real(pass, passlen, salt, saltlen, n, r, p, maxmem, key, keylen);
}
