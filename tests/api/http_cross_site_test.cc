// Which requests browsers send for pages of other origins, and that no handler sees those.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "api/http/cross_site.h"
#include "api/http/router.h"

namespace rewrap {
namespace {

struct Case {
  const char* method;
  std::vector<HttpHeader> headers;
  bool is_refused;
};

std::shared_ptr<HttpRequest> request_of(const Case& one) {
  auto request = std::make_shared<HttpRequest>();
  request->method = one.method;
  request->path = "/v1/keysets";
  request->headers = one.headers;
  return request;
}

const std::vector<Case>& cases() {
  static const std::vector<Case> kCases = {
      // No browser: commands and libraries.
      {"POST", {{"Host", "a:1"}}, false},
      {"POST", {}, false},
      // The console, and an address that somebody typed in.
      {"POST",
       {{"Host", "a:1"}, {"Origin", "https://a:1"}, {"Sec-Fetch-Site", "same-origin"}},
       false},
      {"GET", {{"Host", "a:1"}, {"Sec-Fetch-Site", "none"}}, false},
      // Other pages, also those of another port and of a neighbouring name.
      {"POST", {{"Host", "a:1"}, {"Sec-Fetch-Site", "cross-site"}}, true},
      {"POST", {{"Host", "a:1"}, {"Sec-Fetch-Site", "same-site"}}, true},
      {"DELETE", {{"Host", "a:1"}, {"sec-fetch-site", "cross-site"}}, true},
      {"GET",
       {{"Host", "a:1"}, {"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Mode", "no-cors"}},
       true},
      {"POST", {{"Host", "a:1"}, {"Sec-Fetch-Site", "SAME-ORIGIN"}}, true},
      // A link is followed; in a frame it is not, and a form is no link.
      {"GET",
       {{"Host", "a:1"},
        {"Sec-Fetch-Site", "cross-site"},
        {"Sec-Fetch-Mode", "navigate"},
        {"Sec-Fetch-Dest", "document"}},
       false},
      {"GET",
       {{"Host", "a:1"},
        {"Sec-Fetch-Site", "cross-site"},
        {"Sec-Fetch-Mode", "navigate"},
        {"Sec-Fetch-Dest", "iframe"}},
       true},
      {"POST",
       {{"Host", "a:1"},
        {"Sec-Fetch-Site", "cross-site"},
        {"Sec-Fetch-Mode", "navigate"},
        {"Sec-Fetch-Dest", "document"}},
       true},
      // Browsers that say the origin only.
      {"POST", {{"Host", "a:1"}, {"Origin", "https://a:1"}}, false},
      {"POST", {{"Host", "A:1"}, {"Origin", "https://a:1"}}, false},
      {"POST", {{"Host", "a:1"}, {"Origin", "https://a:2"}}, true},
      {"POST", {{"Host", "a:1"}, {"Origin", "https://b:1"}}, true},
      {"POST", {{"Host", "a:1"}, {"Origin", "https://a:1.evil"}}, true},
      {"POST", {{"Host", "a:1"}, {"Origin", "null"}}, true},
      {"POST", {{"Host", "a:1"}, {"Origin", ""}}, true},
      {"POST", {{"Host", ""}, {"Origin", "null"}}, true},
      {"POST", {{"Origin", "https://a:1"}}, true},
  };
  return kCases;
}

TEST(HttpCrossSite, RequestsForOtherPagesReachNoHandler) {
  int num_handled = 0;
  const HttpHandler handler = refuse_cross_site(
      [&](const std::shared_ptr<const HttpRequest>& /*request*/, const HttpRespond& respond) {
        ++num_handled;
        respond({});
      },
      [](int status, std::string_view path) {
        HttpResponse response = plain_error(status);
        response.body = path;
        return response;
      });
  int expected = 0;
  for (const Case& one : cases()) {
    SCOPED_TRACE(testing::Message() << "case " << &one - cases().data());
    HttpResponse answer;
    handler(request_of(one), [&](HttpResponse response) { answer = std::move(response); });
    EXPECT_EQ(answer.status, one.is_refused ? 403 : 200);
    EXPECT_EQ(answer.body, one.is_refused ? "/v1/keysets" : "");
    expected += one.is_refused ? 0 : 1;
    EXPECT_EQ(num_handled, expected);
  }
}

}  // namespace
}  // namespace rewrap
