// Which handler gets which path, and who is told to wait.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

#include "api/http/limit_clients.h"
#include "api/http/router.h"

namespace rewrap {
namespace {

HttpHandler saying(const std::string& word, int status = 200) {
  return [word, status](const std::shared_ptr<const HttpRequest>& /*request*/,
                        const HttpRespond& respond) {
    HttpResponse response;
    response.status = status;
    response.body = word;
    respond(std::move(response));
  };
}

std::shared_ptr<HttpRequest> request_for(const std::string& path) {
  auto request = std::make_shared<HttpRequest>();
  request->method = "GET";
  request->path = path;
  request->peer_address = "192.0.2.1";
  return request;
}

HttpResponse answer_of(const HttpHandler& handler, const std::shared_ptr<HttpRequest>& request) {
  HttpResponse answer;
  answer.status = 0;
  handler(request, [&](HttpResponse response) { answer = std::move(response); });
  return answer;
}

TEST(HttpRouter, GivesAPathToTheLongestPrefixOfWholeSegments) {
  HttpRouter router;
  router.add({"/api", saying("api")});
  router.add({"/api/cluster", saying("cluster")});
  router.add({"/v1", saying("v1")});
  const HttpHandler handler = router.handler();
  EXPECT_EQ(answer_of(handler, request_for("/api")).body, "api");
  EXPECT_EQ(answer_of(handler, request_for("/api/")).body, "api");
  EXPECT_EQ(answer_of(handler, request_for("/api/svm")).body, "api");
  EXPECT_EQ(answer_of(handler, request_for("/api/cluster/jobs")).body, "cluster");
  EXPECT_EQ(answer_of(handler, request_for("/api/clusters")).body, "api");
  EXPECT_EQ(answer_of(handler, request_for("/v1/x")).body, "v1");
  for (const char* nobody : {"/apis", "/", "", "*", "/API"})
    EXPECT_EQ(answer_of(handler, request_for(nobody)).status, 404) << nobody;
}

TEST(HttpRouter, ShapesErrorsAsTheFrontDoes) {
  HttpRouter router;
  router.add({"/api", saying("api"), [](int status) {
                HttpResponse response;
                response.body = "shaped " + std::to_string(status);
                return response;
              }});
  const auto shape = router.error_shape();
  EXPECT_EQ(shape(413, "/api/x").body, "shaped 413");
  EXPECT_EQ(shape(413, "/v1").body, plain_error(413).body);
  EXPECT_EQ(shape(400, "").status, 400);
}

class HttpClientLimits : public ::testing::Test {
 protected:
  // Slow enough that no token comes back while the test runs.
  ClientLimits limits_{
      {.failures = {.per_second = 1e-6, .burst = 2}, .requests = {.per_second = 1e-6, .burst = 5}}};

  HttpHandler guard(const HttpHandler& handler) { return limits_.limit(handler, plain_error); }

  static std::shared_ptr<HttpRequest> from(const std::string& address,
                                           const std::string& credentials) {
    auto request = request_for("/v1");
    request->peer_address = address;
    if (!credentials.empty()) request->headers.push_back({"Authorization", credentials});
    return request;
  }
};

TEST_F(HttpClientLimits, CountsRefusedLogInsByAddressWhateverTheName) {
  const HttpHandler refusing = guard(saying("", 401));
  const HttpHandler serving = guard(saying("yes"));
  EXPECT_EQ(answer_of(refusing, from("192.0.2.1", "Basic YTph")).status, 401);
  EXPECT_EQ(answer_of(serving, from("192.0.2.1", "Basic right")).status, 200)
      << "one more is allowed";
  EXPECT_EQ(answer_of(refusing, from("192.0.2.1", "Basic Yjpi")).status, 401);
  const HttpResponse told = answer_of(serving, from("192.0.2.1", "Basic right"));
  EXPECT_EQ(told.status, 429);
  ASSERT_FALSE(told.headers.empty());
  EXPECT_EQ(told.headers.back().name, "Retry-After");
  EXPECT_EQ(answer_of(serving, from("192.0.2.2", "Basic right")).status, 200)
      << "other addresses have their own count";
}

TEST_F(HttpClientLimits, DoesNotCountRequestsWithoutCredentialsAsGuesses) {
  const HttpHandler refusing = guard(saying("", 401));
  for (int i = 0; i < 4; ++i) EXPECT_EQ(answer_of(refusing, from("192.0.2.1", "")).status, 401);
  EXPECT_EQ(answer_of(guard(saying("yes")), from("192.0.2.1", "Basic right")).status, 200);
}

TEST_F(HttpClientLimits, CountsRequestsByCredentialsSoThatNobodyUsesUpAnothersShare) {
  const HttpHandler serving = guard(saying("yes"));
  for (int i = 0; i < 5; ++i)
    EXPECT_EQ(answer_of(serving, from("192.0.2.1", "Basic one")).status, 200);
  EXPECT_EQ(answer_of(serving, from("192.0.2.1", "Basic one")).status, 429);
  EXPECT_EQ(answer_of(serving, from("192.0.2.1", "Basic two")).status, 200);
  limits_.set({});
  EXPECT_EQ(answer_of(serving, from("192.0.2.1", "Basic one")).status, 200) << "new limits count";
}

}  // namespace
}  // namespace rewrap
