// The fixture of the native tests.
#include "tests/api/native_fixture.h"

namespace rewrap {

void NativeFixture::SetUp() {
  ServiceFixture::SetUp();
  options_.audit_file = directory_.path() + "/audit.log";
  open();
}

void NativeFixture::TearDown() {
  close();
  ServiceFixture::TearDown();
}

void NativeFixture::open() {
  start();
  const std::string password = "correct-horse";
  for (const Role role : {Role::kAdmin, Role::kRekeyOperator, Role::kReadOnly, Role::kAudit}) {
    if (service_->accounts().get(role_name(role)).ok()) continue;
    ok_value(service_->accounts().add(role_name(role), role, as_bytes(password), "", caller()));
  }
  workers_ = std::make_unique<Workers>(1, 8);
  front_end_ = std::make_unique<native::FrontEnd>(service_.get(), workers_.get());
}

void NativeFixture::close() {
  if (workers_ != nullptr) workers_->stop();
  front_end_.reset();
  workers_.reset();
  stop();
}

test::TestAnswer NativeFixture::ask(const std::string& method, const std::string& path,
                                    const std::string& body, const std::string& account) {
  test::TestRequest request{method, path, body, account};
  if (!body.empty()) request.headers.push_back({"Content-Type", "application/json"});
  return test::test_answer(front_end_->handle(*test::make_request(request)));
}

void NativeFixture::expect_refused(const test::TestAnswer& answer, int status,
                                   const std::string& reason) {
  EXPECT_EQ(answer.status, status) << answer.response.body;
  EXPECT_EQ(answer.at("error.reason"), '"' + reason + '"') << answer.response.body;
  EXPECT_GT(answer.at("error.message").size(), 2U);
  EXPECT_EQ(answer.json.size(), 1U);
  EXPECT_EQ(answer.response.body.find(".cc"), std::string::npos) << answer.response.body;
}

Uuid NativeFixture::uuid_of(const test::TestAnswer& answer, const std::string& path) {
  const std::string text = answer.at(path);
  Uuid uuid{};
  EXPECT_TRUE(text.size() > 2 && parse_uuid(text.substr(1, text.size() - 2), &uuid)) << text;
  return uuid;
}

}  // namespace rewrap
