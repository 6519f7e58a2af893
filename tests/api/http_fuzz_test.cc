// Fuzzed requests over real connections: each is answered in well-formed HTTP or the connection is
// closed, and the server goes on. The bytes are the same in each run.
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "tests/api/http_fixture.h"

namespace rewrap {
namespace {

using test::HttpClient;
using test::TestServer;

const std::vector<std::string>& seeds() {
  static const std::vector<std::string> seeds = {
      "GET /api/cluster/jobs?fields=%2A HTTP/1.1\r\nHost: h\r\nAccept: */*\r\n\r\n",
      "POST /json-rpc/12.2 HTTP/1.1\r\nHost: h\r\nContent-Length: 13\r\n\r\n{\"method\": 1}",
      "POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
      "PUT /x HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi",
      "DELETE /x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
      "OPTIONS * HTTP/1.1\r\nHost: [::1]:1\r\nConnection: close\r\n\r\n",
  };
  return seeds;
}

std::string mutated(std::mt19937* random) {
  std::string bytes = seeds()[(*random)() % seeds().size()];
  for (auto left = (*random)() % 4; left > 0 && !bytes.empty(); --left) {
    const std::size_t at = (*random)() % bytes.size();
    switch ((*random)() % 4) {
      case 0:
        bytes[at] = static_cast<char>((*random)());
        break;
      case 1:
        bytes.erase(at, (*random)() % 6);
        break;
      case 2:
        bytes.insert(at, bytes.substr((*random)() % bytes.size(), (*random)() % 20));
        break;
      default:
        bytes += seeds()[(*random)() % seeds().size()];
    }
  }
  return bytes;
}

TEST(HttpFuzzTest, AnswersWellFormedOrCloses) {
  constexpr int kNumConnections = 3'000;
  TestServer server(test::echo(), [](HttpServerConfig* config) {
    config->limits.linger = std::chrono::milliseconds(50);
  });
  std::mt19937 random(20'250'101);  // NOLINT(cert-msc51-cpp): the same bytes in each run
  int num_good = 0;
  int num_refused = 0;
  for (int i = 0; i < kNumConnections; ++i) {
    const std::string bytes = mutated(&random);
    HttpClient client = server.plain();
    ASSERT_TRUE(client.connected());
    client.send(bytes);
    client.shut_down_sending();
    const bool to_head = bytes.starts_with("HEAD");
    while (const auto reply = client.read_reply(to_head))
      ++(reply->status == 200 ? num_good : num_refused);
    ASSERT_EQ(client.problem(), "closed") << i << ": " << bytes;
  }
  // Control: the fuzzed bytes reach the handler, and its guards.
  EXPECT_GT(num_good, kNumConnections / 4);
  EXPECT_GT(num_refused, kNumConnections / 4);
  HttpClient client = server.tls();
  EXPECT_EQ(client.get("/x")->status, 200);
}

TEST(HttpFuzzTest, SurvivesFuzzedHandshakes) {
  TestServer server;
  std::mt19937 random(3);  // NOLINT(cert-msc51-cpp): the same bytes in each run
  const std::string hello("\x16\x03\x01\x00\x80\x01\x00\x00\x7c\x03\x03", 11);
  for (int i = 0; i < 300; ++i) {
    HttpClient client(server.tls_port());
    std::string bytes = hello;
    for (auto left = random() % 200; left > 0; --left) bytes.push_back(static_cast<char>(random()));
    if (i % 3 == 0) bytes[random() % bytes.size()] = static_cast<char>(random());
    client.send(bytes);
    client.shut_down_sending();
    ASSERT_TRUE(client.is_closed()) << i;
  }
  HttpClient client = server.tls();
  EXPECT_EQ(client.get("/x")->status, 200);
}

}  // namespace
}  // namespace rewrap
