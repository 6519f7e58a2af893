// Responses as bytes, and what handlers cannot put into them.
#include <gtest/gtest.h>

#include "api/http/response_text.h"

namespace rewrap {
namespace {

TEST(HttpResponseText, HasWhatRfc9112Wants) {
  HttpResponse response;
  response.status = 201;
  response.headers = {{"Location", "/v1/x"}};
  response.body = "{}";
  ResponseFrame frame;
  frame.id = "id-1";
  frame.now = 784'111'777;
  EXPECT_EQ(write_response(response, frame),
            "HTTP/1.1 201 Created\r\n"
            "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
            "X-Request-Id: id-1\r\n"
            "Content-Type: application/json\r\n"
            "Content-Length: 2\r\n"
            "Location: /v1/x\r\n"
            "Cache-Control: no-store\r\n"
            "X-Content-Type-Options: nosniff\r\n"
            "Connection: keep-alive\r\n\r\n{}");
}

TEST(HttpResponseText, KeepsTheLengthAndLeavesOutTheBodyForHead) {
  HttpResponse response;
  response.body = "12345";
  ResponseFrame frame;
  frame.is_head = true;
  const std::string text = write_response(response, frame);
  EXPECT_NE(text.find("Content-Length: 5\r\n"), std::string::npos);
  EXPECT_TRUE(text.ends_with("\r\n\r\n"));
}

TEST(HttpResponseText, Sends204And304WithoutBodyOrLength) {
  for (const int status : {204, 304}) {
    HttpResponse response;
    response.status = status;
    response.body = "no";
    const std::string text = write_response(response, {});
    EXPECT_EQ(text.find("Content-Length"), std::string::npos);
    EXPECT_TRUE(text.ends_with("\r\n\r\n"));
  }
}

TEST(HttpResponseText, LetsTheHandlerReplaceTheDefaults) {
  HttpResponse response;
  response.headers = {{"cache-control", "max-age=60"}, {"X-CONTENT-TYPE-OPTIONS", "x"}};
  const std::string text = write_response(response, {});
  EXPECT_EQ(text.find("no-store"), std::string::npos);
  EXPECT_EQ(text.find("nosniff"), std::string::npos);
}

// What a handler puts into a header may come from a client; a line break would begin a second answer.
TEST(HttpResponseText, RefusesHeadersThatSplitTheResponse) {
  const HttpHeader bad[] = {{"X", "a\r\nSet-Cookie: b"},
                            {"X", "a\nb"},
                            {"X", std::string(1, '\0')},
                            {"X\r\nY", "a"},
                            {"X: Y", "a"},
                            {"", "a"},
                            {"X", "\x7f"},
                            {"X", "\xc3\xa4"},
                            {"Content-Length", "5"},
                            {"transfer-encoding", "chunked"},
                            {"Connection", "close"},
                            {"Date", "x"},
                            {"X-Request-Id", "x"},
                            {"Content-Type", "text/html"}};
  for (const HttpHeader& header : bad) {
    HttpResponse response;
    response.headers = {header};
    EXPECT_FALSE(is_sendable_response(response)) << header.name << header.value;
  }
  HttpResponse response;
  response.content_type = "text/html\r\nX: y";
  EXPECT_FALSE(is_sendable_response(response));
  for (const int status : {0, 100, 199, 600, -1}) {
    response = {};
    response.status = status;
    EXPECT_FALSE(is_sendable_response(response)) << status;
  }
  response = {};
  response.headers = {{"Location", "/a?b=c d"}, {"Retry-After", "1"}};
  EXPECT_TRUE(is_sendable_response(response));
}

TEST(HttpResponseText, KnowsWhichRequestIdsAreFitForALog) {
  for (const char* id : {"a", "0123456789abcdef-A._", "x-1"}) EXPECT_TRUE(is_fit_request_id(id));
  for (const std::string& id :
       {std::string(), std::string("a b"), std::string("a\"b"), std::string("a\nb"),
        std::string("\xc3\xa4"), std::string(65, 'a'), std::string("a\0b", 3)}) {
    EXPECT_FALSE(is_fit_request_id(id));
  }
  EXPECT_TRUE(is_fit_request_id(std::string(64, 'a')));
}

TEST(HttpMessage, FindsHeadersInAnyCaseAndQueryAsItIs) {
  HttpRequest request;
  request.headers = {{"AuthoriZation", "first"}, {"x", "y"}, {"X", "z"}};
  request.query = {{"Key", "1"}, {"key", "2"}};
  EXPECT_EQ(request.header("authorization"), "first");
  EXPECT_EQ(request.header("X"), "y");
  EXPECT_FALSE(request.header("Auth").has_value());
  EXPECT_EQ(request.query_value("key"), "2");
  EXPECT_FALSE(request.query_value("KEY").has_value());
}

}  // namespace
}  // namespace rewrap
