// What browsers get of the web console, byte for byte, and what they are told not to do with it. What
// the page does is tested in a browser: tests/cli/console_test.py.
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>

#include "api/console/assets.h"
#include "api/console/console.h"

namespace rewrap::console {
namespace {

HttpResponse get(const std::string& path, const std::string& method = "GET") {
  HttpRequest request;
  request.method = method;
  request.path = path;
  return answer(request);
}

std::string header(const HttpResponse& response, std::string_view name) {
  std::string value;
  for (const HttpHeader& one : response.headers) {
    if (!same_header_name(one.name, name)) continue;
    EXPECT_TRUE(value.empty()) << name << " comes twice";
    value = one.value;
  }
  return value;
}

std::string source(std::string_view name) {
  std::ifstream file(std::string(REWRAP_SOURCE_DIR "/api/console/").append(name), std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(Console, FilesAreServedAsTheyStandInTheSources) {
  for (const Asset& asset : kAssets) {
    const std::string text = source(asset.name);
    ASSERT_FALSE(text.empty()) << asset.name;
    EXPECT_TRUE(asset.bytes == text) << asset.name;
    const bool is_page = asset.name == "console.html";
    const HttpResponse response = get(is_page ? "/console" : "/console/" + std::string(asset.name));
    EXPECT_EQ(response.status, 200) << asset.name;
    EXPECT_TRUE(response.body == text) << asset.name;
  }
  EXPECT_EQ(get("/console").content_type, "text/html; charset=utf-8");
  EXPECT_EQ(get("/console/console.css").content_type, "text/css; charset=utf-8");
  EXPECT_EQ(get("/console/console.js").content_type, "text/javascript; charset=utf-8");
  EXPECT_EQ(get("/console/icon.svg").content_type, "image/svg+xml");
}

TEST(Console, EveryAnswerIsFencedIn) {
  for (const char* path : {"/", "/console", "/console/console.js", "/console/none"}) {
    const HttpResponse response = get(path);
    const std::string policy = header(response, "Content-Security-Policy");
    for (const char* part :
         {"default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'",
          "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'",
          "require-trusted-types-for 'script'", "trusted-types 'none'"})
      EXPECT_NE(policy.find(part), std::string::npos) << path << " " << part;
    EXPECT_EQ(policy.find("unsafe"), std::string::npos);
    EXPECT_EQ(policy.find("http"), std::string::npos);
    EXPECT_EQ(header(response, "X-Frame-Options"), "DENY");
    EXPECT_EQ(header(response, "X-Content-Type-Options"), "nosniff");
    EXPECT_EQ(header(response, "Referrer-Policy"), "no-referrer");
    EXPECT_EQ(header(response, "Cache-Control"), "no-store");
    EXPECT_EQ(header(response, "Cross-Origin-Opener-Policy"), "same-origin");
    EXPECT_EQ(header(response, "Cross-Origin-Resource-Policy"), "same-origin");
  }
}

TEST(Console, NothingElseIsThere) {
  for (const char* path : {"/console/none", "/console/console.html/x", "/console//console.js",
                           "/console/../console.js", "/consoles", "/x"})
    EXPECT_EQ(get(path).status, 404) << path;
  for (const char* path : {"/", "/console/"}) {
    EXPECT_EQ(get(path).status, 303) << path;
    EXPECT_EQ(header(get(path), "Location"), "/console") << path;
  }
  for (const char* method : {"POST", "PUT", "DELETE", "OPTIONS"}) {
    EXPECT_EQ(get("/console", method).status, 405) << method;
    EXPECT_EQ(header(get("/console", method), "Allow"), "GET, HEAD");
  }
  EXPECT_EQ(get("/console", "HEAD").status, 200);
}

// The policy would stop all of these in a browser; here they do not get that far.
TEST(Console, TheSourcesNameNoForeignResourceAndMakeNoHtml) {
  for (const Asset& asset : kAssets) {
    std::string text(asset.bytes);
    const std::string name_space = "http://www.w3.org/2000/svg";  // a name, not an address
    if (const auto at = text.find(name_space); at != std::string::npos)
      text.erase(at, name_space.size());
    for (const char* word :
         {"http:", "https:", "url(", "@import", "innerHTML", "outerHTML", "insertAdjacentHTML",
          "document.write", "eval(", "Function(", "localStorage", "sessionStorage",
          "document.cookie", "style=", "onclick=", "onerror=", "javascript:"})
      EXPECT_EQ(text.find(word), std::string::npos) << asset.name << " has " << word;
  }
}

}  // namespace
}  // namespace rewrap::console
