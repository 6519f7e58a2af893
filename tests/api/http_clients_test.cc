// Clients that are not ours: curl, python3-requests, openssl s_client. And what their secrets leave
// behind in the server.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdio>
#include <string>
#include <vector>

#include "tests/api/http_fixture.h"
#include "tests/hsm/memory_search.h"

namespace rewrap {
namespace {

using test::TestServer;

struct Ran {
  int status;
  std::string output;
};

Ran run(const std::string& command) {
  // NOLINTNEXTLINE(cert-env33-c): the test's own words
  std::FILE* pipe = popen((command + " 2>&1").c_str(), "r");
  std::string output;
  char bytes[4096];
  while (const std::size_t got = fread(bytes, 1, sizeof bytes, pipe)) output.append(bytes, got);
  return {pclose(pipe), output};
}

Ran run_python(const std::string& arguments) {
  return run("PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 " REWRAP_SOURCE_DIR
             "/tests/api/http_clients.py " +
             arguments);
}

TEST(HttpClientsTest, RequestsIsContent) {
  TestServer server;
  const Ran ran =
      run_python("behave " + std::to_string(server.plain_port()) + " " +
                 std::to_string(server.tls_port()) + " " + test::shared_certificate().certificate);
  EXPECT_EQ(ran.status, 0) << ran.output;
}

TEST(HttpClientsTest, CurlIsContent) {
  TestServer server;
  const std::string curl = std::string(REWRAP_CURL) + " -q -sS --noproxy '*' --cacert " +
                           test::shared_certificate().certificate + " ";
  const std::string base = "https://localhost:" + std::to_string(server.tls_port());
  const std::string ca = "--cacert " + test::shared_certificate().certificate;
  const Ran ran = run(
      "head -c 1040000 /dev/zero | tr '\\0' x | " + curl +
      "--data-binary @- -H 'Expect: 100-continue' -o /dev/null -w '%{http_code} ' " + base +
      "/big --next -sS " + ca + " -w ' %{http_code} %{num_connects}' '" + base + "/a%20b?x=%41'");
  EXPECT_EQ(ran.status, 0);
  EXPECT_EQ(ran.output, "200 GET /a b|x=A;| 200 0");
  EXPECT_NE(run(std::string(REWRAP_CURL) + " -q -sS " + base).status, 0) << "control: unknown CA";
  EXPECT_NE(run(curl + "--tls-max 1.1 --ciphers ALL:@SECLEVEL=0 " + base).status, 0);
  EXPECT_EQ(run(curl + "--tls-max 1.2 -o /dev/null " + base).status, 0);
}

// Nothing of a header, query or body is left once the request is let go of.
TEST(HttpClientsTest, SecretsAreGoneWithTheirRequest) {
  std::atomic<std::size_t> num_seen{0};
  TestServer server(
      [&](const std::shared_ptr<const HttpRequest>& request, const HttpRespond& respond) {
        // Control: the search finds what the request holds.
        const std::string_view held =
            request->query.empty() ? std::string_view(request->body) : request->query[0].value;
        const std::string_view secret = held.substr(held.size() - 32);
        num_seen += test::count_in_process(test::masked(as_bytes(secret))) > 0 ? 1U : 0U;
        respond({});
      });
  const Ran ran = run_python("secret " + std::to_string(server.tls_port()));
  ASSERT_EQ(ran.status, 0) << ran.output;
  EXPECT_EQ(num_seen, 2U);
  while (server->counters().open_connections > 0) {
  }
  int num_secrets = 0;
  for (std::size_t at = 0; at + 64 < ran.output.size(); at += 65, ++num_secrets) {
    Bytes secret;
    for (std::size_t i = 0; i < 64; i += 2) {
      secret.push_back(
          static_cast<std::uint8_t>(std::stoi(ran.output.substr(at + i, 2), nullptr, 16)));
    }
    EXPECT_EQ(test::count_in_process(secret), 0U) << "secret " << num_secrets;
  }
  EXPECT_EQ(num_secrets, 4);
}

}  // namespace
}  // namespace rewrap
