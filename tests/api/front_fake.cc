// Requests and answers of the tests.
#include "tests/api/front_fake.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstdlib>

#include "api/http/limits.h"
#include "api/http/target.h"

namespace rewrap::test {

Uuid test_uuid(std::uint8_t last) {
  Uuid uuid{};
  uuid[0] = 0xab;
  uuid[15] = last;
  return uuid;
}
std::string test_uuid_text(std::uint8_t last) { return format_uuid(test_uuid(last)); }

bool is_test_password(ByteView password) {
  const std::string_view right = "correct-horse";
  return std::equal(password.begin(), password.end(), right.begin(), right.end());
}

std::shared_ptr<HttpRequest> make_request(const TestRequest& request) {
  auto made = std::make_shared<HttpRequest>();
  made->method = request.method;
  made->target = request.target;
  std::string authority;
  if (read_target(HttpLimits{}, made.get(), &authority) != 0) {
    std::fprintf(stderr, "the test's target is malformed: %s\n", request.target.c_str());
    std::abort();
  }
  made->headers = request.headers;
  if (!request.user.empty()) {
    const std::string text = request.user + ":" + request.password;
    made->headers.push_back({"Authorization", "Basic " + encode_base64(as_bytes(text))});
  }
  made->body.assign(request.body.begin(), request.body.end());
  made->id = "request-1";
  made->peer_address = "192.0.2.1";
  return made;
}

std::string TestAnswer::header(std::string_view name) const {
  for (const HttpHeader& one : response.headers)
    if (same_header_name(one.name, name)) return one.value;
  return "";
}

std::string TestAnswer::at(std::string_view path) const {
  const boost::json::value whole(json);
  const boost::json::value* value = &whole;
  while (value != nullptr && !path.empty()) {
    const std::string_view part = path.substr(0, path.find('.'));
    path.remove_prefix(std::min(part.size() + 1, path.size()));
    if (const auto* object = value->if_object()) {
      value = object->if_contains(part);
    } else if (const auto* array = value->if_array()) {
      std::size_t index = 0;
      std::from_chars(part.data(), part.data() + part.size(), index);
      value = index < array->size() ? &(*array)[index] : nullptr;
    } else {
      value = nullptr;
    }
  }
  return value == nullptr ? "" : boost::json::serialize(*value);
}

std::string TestAnswer::error_code() const {
  const std::string code = at("error.code");
  return code.size() < 2 ? code : code.substr(1, code.size() - 2);
}

TestAnswer test_answer(const HttpResponse& response) {
  TestAnswer answer;
  answer.response = response;
  answer.status = answer.response.status;
  boost::system::error_code code;
  const auto value = boost::json::parse(answer.response.body, code);
  if (!code && value.is_object()) answer.json = value.as_object();
  return answer;
}

}  // namespace rewrap::test
