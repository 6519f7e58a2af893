// What tests of front ends share: requests without a server, and answers taken apart.
#ifndef REWRAP_TESTS_API_FRONT_FAKE_H_
#define REWRAP_TESTS_API_FRONT_FAKE_H_

#include <boost/json.hpp>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "api/http/message.h"
#include "api/service/job.h"
#include "engine/base/bytes.h"

namespace rewrap::test {

Uuid test_uuid(std::uint8_t last);
std::string test_uuid_text(std::uint8_t last);

// The one password there is: "correct-horse".
bool is_test_password(ByteView password);

// A request as it would come from the server. Query text is taken apart as the server does it.
struct TestRequest {
  std::string method = "GET";
  std::string target;  // with its query
  std::string body = {};
  std::string user = "admin";  // empty: no Authorization
  std::string password = "correct-horse";
  std::vector<HttpHeader> headers = {};
};
std::shared_ptr<HttpRequest> make_request(const TestRequest& request);

// An answer, taken apart.
struct TestAnswer {
  int status = 0;
  HttpResponse response;
  boost::json::object json;

  [[nodiscard]] std::string header(std::string_view name) const;
  // at gives the value at a dotted path as JSON text, or "" where there is none; numbers are indexes
  // into arrays.
  [[nodiscard]] std::string at(std::string_view path) const;
  [[nodiscard]] std::string error_code() const;  // without quotes
};
TestAnswer test_answer(const HttpResponse& response);

}  // namespace rewrap::test

#endif  // REWRAP_TESTS_API_FRONT_FAKE_H_
