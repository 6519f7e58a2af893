// Clients that are slow on purpose, or too many: each is cut at its deadline, and the others do not
// notice. The limits are short; what is checked is what happened, never how long it took.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <thread>
#include <vector>

#include "tests/api/http_fixture.h"

namespace rewrap {
namespace {

using std::chrono::milliseconds;
using test::HttpClient;
using test::TestServer;

constexpr milliseconds kShort{40};
constexpr milliseconds kLong{60'000};

// with gives limits where all times are long but those that `change` shortens.
std::function<void(HttpServerConfig*)> with(const std::function<void(HttpLimits*)>& change) {
  return [change](HttpServerConfig* config) {
    HttpLimits& limits = config->limits;
    limits.handshake = limits.header = limits.body = limits.handler = limits.write = limits.idle =
        kLong;
    limits.linger = kShort;
    change(&limits);
  };
}

// drip sends `bytes` and then as many more as it takes, one at a time and each well within the time
// limit, until the server answers or closes. False if it never does.
bool drip(HttpClient* client, std::string_view bytes) {
  for (std::size_t i = 0; i < 3'000; ++i) {
    if (client->has_input()) return true;
    if (!client->send(i < bytes.size() ? bytes.substr(i, 1) : "x")) return true;
    std::this_thread::sleep_for(milliseconds(1));
  }
  return false;
}

TEST(HttpSlowTest, CutsAHeaderThatDripsIn) {
  TestServer server(test::echo(), with([](HttpLimits* limits) { limits->header = kShort; }));
  for (const bool tls : {false, true}) {
    HttpClient client = tls ? server.tls() : server.plain();
    EXPECT_TRUE(drip(&client, "GET /slow HTTP/1.1\r\nHost: h\r\n"));
    const auto reply = client.read_reply();
    ASSERT_TRUE(reply) << client.problem();
    EXPECT_EQ(reply->status, 408);
    EXPECT_EQ(reply->header("Connection"), "close");
    EXPECT_TRUE(client.is_closed());
  }
  EXPECT_EQ(server->counters().timeouts, 2U);
  EXPECT_EQ(server->counters().requests, 0U);
}

TEST(HttpSlowTest, CutsASecondHeaderToo) {
  TestServer server(test::echo(), with([](HttpLimits* limits) { limits->header = kShort; }));
  HttpClient client = server.plain();
  // The time runs from the second request's first byte, not from the first request's.
  client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\nGET /second HTTP/1.1\r\n");
  EXPECT_EQ(client.read_reply()->status, 200);
  EXPECT_EQ(client.read_reply()->status, 408);
  EXPECT_TRUE(client.is_closed());
}

TEST(HttpSlowTest, CutsABodyThatDripsIn) {
  TestServer server(test::echo(), with([](HttpLimits* limits) { limits->body = kShort; }));
  for (const char* framing : {"Content-Length: 4000", "Transfer-Encoding: chunked"}) {
    HttpClient client = server.tls();
    client.send("POST / HTTP/1.1\r\nHost: h\r\n" + std::string(framing) + "\r\n\r\n");
    EXPECT_TRUE(drip(&client, "fff\r\n"));
    const auto reply = client.read_reply();
    ASSERT_TRUE(reply) << client.problem();
    EXPECT_EQ(reply->status, 408);
    EXPECT_TRUE(client.is_closed());
  }
  // One that was told to continue and does not.
  HttpClient client = server.plain();
  client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_EQ(client.read_reply()->status, 100);
  EXPECT_EQ(client.read_reply()->status, 408);
}

TEST(HttpSlowTest, CutsHandshakesAndSilence) {
  TestServer server(test::echo(),
                    with([](HttpLimits* limits) { limits->handshake = limits->header = kShort; }));
  HttpClient silent(server.tls_port());  // TCP only, where TLS is spoken
  EXPECT_TRUE(silent.is_closed());
  HttpClient dripping(server.tls_port());
  EXPECT_TRUE(drip(&dripping, std::string("\x16\x03\x01\x2f\x00\x01\x00\x2e\xfc\x03\x03", 11)));
  EXPECT_TRUE(dripping.is_closed());
  EXPECT_EQ(server->counters().failed_handshakes, 2U);
  HttpClient after = server.tls();  // a handshake, and then nothing
  ASSERT_TRUE(after.connected());
  EXPECT_TRUE(after.is_closed());
  HttpClient plain = server.plain();
  EXPECT_TRUE(plain.is_closed());
}

TEST(HttpSlowTest, ClosesIdleConnectionsWithoutAWord) {
  TestServer server(test::echo(), with([](HttpLimits* limits) { limits->idle = kShort; }));
  for (const bool tls : {false, true}) {
    HttpClient client = tls ? server.tls() : server.plain();
    ASSERT_TRUE(client.get("/"));
    EXPECT_FALSE(client.read_reply());
    EXPECT_EQ(client.problem(), "closed");
  }
  EXPECT_EQ(server->counters().timeouts, 0U) << "idling is no fault";
}

TEST(HttpSlowTest, CutsClientsThatDoNotReadTheirAnswer) {
  TestServer server(
      [](const std::shared_ptr<const HttpRequest>& /*request*/, const HttpRespond& respond) {
        HttpResponse response;
        response.body.assign(std::size_t{32} << 20, 'x');  // more than the kernel's buffers hold
        respond(std::move(response));
      },
      with([](HttpLimits* limits) { limits->write = kShort; }));
  for (const bool tls : {false, true}) {
    HttpClient client = tls ? server.tls() : server.plain();
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    while (server->counters().timeouts < (tls ? 2U : 1U))
      std::this_thread::sleep_for(milliseconds(1));
    EXPECT_FALSE(client.read_reply());
    EXPECT_NE(client.problem(), "timed out");
  }
  EXPECT_EQ(server->counters().open_connections, 0U);
}

// Those that neither read nor close after a refusal hold their place for the linger time only.
TEST(HttpSlowTest, LingersOnlySoLong) {
  TestServer server(test::echo(), with([](HttpLimits* /*limits*/) {}));
  for (const bool tls : {false, true}) {
    HttpClient client = tls ? server.tls() : server.plain();
    client.send("NONSENSE\r\n\r\n");
    while (server->counters().bad_requests < (tls ? 2U : 1U) ||
           server->counters().open_connections > 0) {
      std::this_thread::sleep_for(milliseconds(1));
    }
  }
}

TEST(HttpSlowTest, ServesOthersWhileAThousandClientsDrip) {
  constexpr int kNumSlow = 1'000;
  TestServer server(test::echo(), with([](HttpLimits* limits) {
                      limits->header = milliseconds(500);
                      limits->linger = kLong;  // the test may be slower than they are
                      limits->num_connections = 2'000;
                      limits->num_connections_per_address = kNumSlow + 1;
                    }));
  std::vector<HttpClient> slow;
  slow.reserve(kNumSlow);
  for (int i = 0; i < kNumSlow; ++i) {
    slow.push_back(server.plain());
    ASSERT_TRUE(slow.back().send("GET /slow HTTP/1.1\r\n"));
  }
  HttpClient normal = server.tls();
  // A client is connected before the server has taken it in.
  while (server->counters().accepted < kNumSlow + 1) std::this_thread::sleep_for(milliseconds(1));
  for (int i = 0; i < 50; ++i) {
    for (int j = 0; j < 20; ++j) slow[static_cast<std::size_t>(i * 20 + j)].send("X");
    const auto reply = normal.get("/normal");
    ASSERT_TRUE(reply) << normal.problem();
    EXPECT_EQ(reply->status, 200);
  }
  EXPECT_EQ(server->counters().open_connections, kNumSlow + 1) << "control: they are all there";
  for (HttpClient& client : slow) {
    const auto reply = client.read_reply();
    ASSERT_TRUE(reply) << client.problem();
    EXPECT_EQ(reply->status, 408);
  }
  EXPECT_EQ(normal.get("/normal")->status, 200);
  EXPECT_EQ(server->counters().timeouts, kNumSlow);
}

// ---- too many ----

TEST(HttpSlowTest, BoundsConnectionsPerAddressAndInAll) {
  for (const bool per_address : {false, true}) {
    TestServer server(test::echo(), [per_address](HttpServerConfig* config) {
      (per_address ? config->limits.num_connections_per_address : config->limits.num_connections) =
          5;
    });
    std::vector<HttpClient> clients;
    for (int i = 0; i < 5; ++i) {
      clients.push_back(server.plain());
      EXPECT_TRUE(clients.back().get("/"));
    }
    HttpClient refused = server.plain();
    EXPECT_FALSE(refused.get("/"));
    EXPECT_EQ(server->counters().refused, 1U);
    clients.pop_back();
    while (server->counters().open_connections == 5) std::this_thread::sleep_for(milliseconds(1));
    EXPECT_TRUE(server.plain().get("/")) << "a place that is free can be had again";
  }
}

TEST(HttpSlowTest, WaitsWhereDescriptorsRunOut) {
  TestServer server;
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  HttpClient first = server.plain();
  ASSERT_TRUE(first.get("/"));
  // The client's socket takes the last descriptor; the server can make none for it.
  const int last = dup(0);
  close(last);
  rlimit low = before;
  low.rlim_cur = static_cast<rlim_t>(last) + 1;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
  HttpClient waiting = server.plain();
  ASSERT_TRUE(waiting.send("GET /waiting HTTP/1.1\r\nHost: h\r\n\r\n"));
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(first.get("/")) << "who is in is served";
  EXPECT_EQ(server->counters().accepted, 1U) << "control: it cannot be let in";
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  const auto reply = waiting.read_reply();
  ASSERT_TRUE(reply) << waiting.problem();
  EXPECT_EQ(reply->status, 200);
}

TEST(HttpSlowTest, LowersItsLimitToWhatTheProcessMayOpen) {
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit low = before;
  low.rlim_cur = 400;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
  TestServer server;
  EXPECT_EQ(server->counters().max_connections, 300U);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  TestServer other(test::echo(), [](HttpServerConfig* c) { c->limits.num_connections = 7; });
  EXPECT_EQ(other->counters().max_connections, 7U);
}

}  // namespace
}  // namespace rewrap
