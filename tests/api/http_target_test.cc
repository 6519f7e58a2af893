// Request targets: what is taken apart how, and what is refused because two readers could differ.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "api/http/target.h"

namespace rewrap {
namespace {

struct Read {
  int status;
  std::string raw_path;
  std::string path;
  std::string query;
  std::string authority;
};

Read read(const std::string& target, const std::string& method = "GET") {
  HttpRequest request;
  request.method = method;
  request.target = target;
  Read result;
  HttpLimits limits;
  limits.num_query_items = 4;
  result.status = read_target(limits, &request, &result.authority);
  result.raw_path = request.raw_path;
  result.path = request.path;
  for (const HttpQueryItem& item : request.query)
    result.query += "[" + item.key + "=" + item.value + "]";
  return result;
}

TEST(HttpTarget, TakesPathAndQueryApart) {
  const Read got = read("/api/cluster/jobs?fields=%2A&state=!success&fields=a%2Cb+c&x");
  EXPECT_EQ(got.status, 0);
  EXPECT_EQ(got.raw_path, "/api/cluster/jobs");
  EXPECT_EQ(got.path, "/api/cluster/jobs");
  EXPECT_EQ(got.query, "[fields=*][state=!success][fields=a,b c][x=]");
}

TEST(HttpTarget, DecodesThePathOnce) {
  const Read got = read("/a%20b/%2541/c+d");
  EXPECT_EQ(got.status, 0);
  EXPECT_EQ(got.raw_path, "/a%20b/%2541/c+d");
  EXPECT_EQ(got.path, "/a b/%41/c+d");
}

TEST(HttpTarget, RemovesDotSegmentsHoweverTheyAreWritten) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"/a/./b", "/a/b"},
      {"/a/../b", "/b"},
      {"/a/b/..", "/a/"},
      {"/a/.", "/a/"},
      {"/../../a", "/a"},
      {"/a/%2e%2E/b", "/b"},
      {"/a/.%2e", "/"},
      {"/..", "/"},
      {"/a//b/", "/a//b/"},
      {"/a/...", "/a/..."},
      {"/.well", "/.well"},
      {"/", "/"},
      {"/a/b/c/./../../g", "/a/g"},
      {"//", "//"},
      {"/a/%2e%2e%2e", "/a/..."},
  };
  for (const auto& [target, path] : cases) EXPECT_EQ(read(target).path, path) << target;
}

TEST(HttpTarget, KnowsTheOtherForms) {
  Read got = read("http://host.example:80/a?b=c");
  EXPECT_EQ(got.status, 0);
  EXPECT_EQ(got.path, "/a");
  EXPECT_EQ(got.query, "[b=c]");
  EXPECT_EQ(got.authority, "host.example:80");
  got = read("HTTPS://host?b");
  EXPECT_EQ(got.status, 0);
  EXPECT_EQ(got.path, "/");
  EXPECT_EQ(read("*", "OPTIONS").path, "*");
}

TEST(HttpTarget, RefusesWhatTwoReadersReadDifferently) {
  for (const char* target : {"",          "a",         "*",
                             "host:443",  "/a%2Fb",    "/a%2fb",
                             "/a%5Cb",    "/a\\b",     "/a%00",
                             "/a%",       "/a%4",      "/a%4g",
                             "/a#b",      "/a\x7f",    "/a\xc3\xa4",
                             "/a?b=%00",  "/a?b=%",    "/a?%zz",
                             "ftp://h/a", "http:///a", "http://user@host/a",
                             "/a b",      "/a\tb"}) {
    EXPECT_EQ(read(target).status, 400) << target;
  }
}

TEST(HttpTarget, HasLimits) {
  EXPECT_EQ(read("/" + std::string(8'191, 'a')).status, 0);
  EXPECT_EQ(read("/" + std::string(8'192, 'a')).status, 414);
  EXPECT_EQ(read("/?a&b&c&d").status, 0);
  EXPECT_EQ(read("/?a&b&c&d&e").status, 414);
}

}  // namespace
}  // namespace rewrap
