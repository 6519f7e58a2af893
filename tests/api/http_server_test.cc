// The server as a client sees it: keep-alive, pipelining, HEAD, 100-continue, error answers, late and
// missing answers, orderly stop.
#include <dirent.h>
#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <vector>

#include "tests/api/http_fixture.h"

namespace rewrap {
namespace {

using std::chrono::milliseconds;
using test::ClientReply;
using test::HttpClient;
using test::TestServer;

std::size_t num_descriptors() {
  std::size_t count = 0;
  DIR* directory = opendir("/proc/self/fd");
  while (readdir(directory) != nullptr) ++count;
  closedir(directory);
  return count;
}

// Held keeps responders, for the test to call.
class Held {
 public:
  HttpHandler handler() {
    return [this](const std::shared_ptr<const HttpRequest>& /*request*/, HttpRespond respond) {
      const std::lock_guard lock(mutex_);
      responders_.push_back(std::move(respond));
    };
  }
  [[nodiscard]] std::size_t count() {
    const std::lock_guard lock(mutex_);
    return responders_.size();
  }
  HttpRespond take() {
    EXPECT_TRUE(test::eventually([this] { return count() > 0; }));
    const std::lock_guard lock(mutex_);
    HttpRespond respond = std::move(responders_.back());
    responders_.pop_back();
    return respond;
  }

 private:
  std::mutex mutex_;
  std::vector<HttpRespond> responders_;
};

HttpResponse text(const std::string& body) {
  HttpResponse response;
  response.body = body;
  return response;
}

TEST(HttpServerTest, AnswersOverTcpAndTls) {
  TestServer server;
  for (const bool tls : {false, true}) {
    HttpClient client = tls ? server.tls() : server.plain();
    for (int i = 0; i < 3; ++i) {
      const auto reply = client.get("/a%20b?x=1&y=%2B");
      ASSERT_TRUE(reply) << client.problem();
      EXPECT_EQ(reply->status, 200);
      EXPECT_EQ(reply->body, "GET /a b|x=1;y=+;|");
      EXPECT_EQ(reply->header("Connection"), "keep-alive");
      EXPECT_EQ(reply->header("Cache-Control"), "no-store");
      EXPECT_NE(reply->header("Date"), "(none)");
    }
  }
  EXPECT_EQ(server->counters().requests, 6U);
  EXPECT_EQ(server->counters().accepted, 2U);
}

TEST(HttpServerTest, TellsTheHandlerWhoAsks) {
  std::shared_ptr<const HttpRequest> seen;
  TestServer server([&](std::shared_ptr<const HttpRequest> request, const HttpRespond& respond) {
    seen = std::move(request);
    respond({});
  });
  HttpClient client = server.plain();
  client.send(
      "POST /x?k=v HTTP/1.1\r\nHost: h\r\nX-Request-Id: my-id\r\nContent-Length: 2\r\n\r\nhi");
  auto reply = client.read_reply();
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->header("X-Request-Id"), "my-id");
  EXPECT_EQ(seen->id, "my-id");
  EXPECT_EQ(seen->peer_address, "127.0.0.1");
  EXPECT_GT(seen->peer_port, 0);
  EXPECT_FALSE(seen->is_tls);
  EXPECT_FALSE(seen->client_certificate.presented);
  EXPECT_EQ(seen->target, "/x?k=v");
  EXPECT_EQ(std::string_view(seen->body), "hi");
  // One that is not fit for a log is replaced.
  client.send("GET / HTTP/1.1\r\nHost: h\r\nX-Request-Id: a\" b\r\n\r\n");
  reply = client.read_reply();
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->header("X-Request-Id"), seen->id);
  EXPECT_EQ(seen->id.size(), 21U) << seen->id;
  HttpClient other = server.tls();
  ASSERT_TRUE(other.get("/"));
  EXPECT_TRUE(seen->is_tls);
}

TEST(HttpServerTest, AnswersPipelinedRequestsInOrder) {
  // The first answer is given last, from another thread.
  std::vector<std::thread> threads;
  TestServer server([&](const std::shared_ptr<const HttpRequest>& request, HttpRespond respond) {
    const bool slow = request->path == "/0";
    threads.emplace_back([respond = std::move(respond), path = request->path, slow] {
      if (slow) std::this_thread::sleep_for(milliseconds(20));
      respond(text(path));
    });
  });
  HttpClient client = server.tls();
  std::string requests;
  for (int i = 0; i < 20; ++i)
    requests += "GET /" + std::to_string(i) + " HTTP/1.1\r\nHost: h\r\n\r\n";
  client.send(requests);
  for (int i = 0; i < 20; ++i) {
    const auto reply = client.read_reply();
    ASSERT_TRUE(reply) << client.problem();
    EXPECT_EQ(reply->body, "/" + std::to_string(i));
  }
  server->stop(milliseconds(0));
  for (std::thread& thread : threads) thread.join();
}

TEST(HttpServerTest, GivesHeadTheLengthOfGet) {
  TestServer server;
  HttpClient client = server.plain();
  client.send("HEAD /x HTTP/1.1\r\nHost: h\r\n\r\nGET /x HTTP/1.1\r\nHost: h\r\n\r\n");
  const auto head = client.read_reply(true);
  const auto get = client.read_reply();
  ASSERT_TRUE(head && get) << client.problem();
  EXPECT_EQ(head->header("Content-Length"), "9");  // of "HEAD /x||", which is not sent
  EXPECT_EQ(get->body, "GET /x||");
  // A HEAD that is refused has no body either.
  client.send("HEAD /x HTTP/1.1\r\n\r\n");
  const auto refused = client.read_reply(true);
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->status, 400);
  EXPECT_TRUE(client.is_closed());
}

TEST(HttpServerTest, TellsTheClientToContinue) {
  TestServer server;
  for (const bool tls : {false, true}) {
    HttpClient client = tls ? server.tls() : server.plain();
    client.send("PUT /x HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
    auto reply = client.read_reply();
    ASSERT_TRUE(reply) << client.problem();
    EXPECT_EQ(reply->status, 100);
    client.send("abc");
    reply = client.read_reply();
    ASSERT_TRUE(reply);
    EXPECT_EQ(reply->body, "PUT /x||abc");
    // Too large a body is refused before it is sent.
    client.send(
        "PUT /x HTTP/1.1\r\nHost: h\r\nContent-Length: 3000000\r\nExpect: 100-continue\r\n\r\n");
    reply = client.read_reply();
    ASSERT_TRUE(reply);
    EXPECT_EQ(reply->status, 413);
    EXPECT_TRUE(client.is_closed());
  }
}

TEST(HttpServerTest, ReadsLargeBodiesAndSendsLargeAnswers) {
  TestServer server;
  std::string body(1'000'000, 'x');
  for (std::size_t i = 0; i < body.size(); i += 7) body[i] = static_cast<char>('a' + i % 26);
  for (const bool tls : {false, true}) {
    HttpClient client = tls ? server.tls() : server.plain();
    client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n" + body);
    auto reply = client.read_reply();
    ASSERT_TRUE(reply) << client.problem();
    EXPECT_EQ(reply->body, "POST /||" + body);
    client.send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (std::size_t at = 0; at < body.size(); at += 100'000)
      client.send("186a0\r\n" + body.substr(at, 100'000) + "\r\n");
    client.send("0\r\n\r\n");
    reply = client.read_reply();
    ASSERT_TRUE(reply) << client.problem();
    EXPECT_EQ(reply->body, "POST /||" + body);
  }
}

TEST(HttpServerTest, ClosesWhenAsked) {
  TestServer server(
      [](const std::shared_ptr<const HttpRequest>& request, const HttpRespond& respond) {
        HttpResponse response;
        response.close = request->path == "/last";
        respond(std::move(response));
      });
  for (const char* request : {"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
                              "GET / HTTP/1.0\r\n\r\n", "GET /last HTTP/1.1\r\nHost: h\r\n\r\n"}) {
    for (const bool tls : {false, true}) {
      HttpClient client = tls ? server.tls() : server.plain();
      client.send(request);
      const auto reply = client.read_reply();
      ASSERT_TRUE(reply) << client.problem();
      EXPECT_EQ(reply->header("Connection"), "close");
      EXPECT_TRUE(client.is_closed());
    }
  }
}

TEST(HttpServerTest, AnswersAClientThatHasStoppedSending) {
  TestServer server;
  HttpClient client = server.plain();
  client.send("GET /x HTTP/1.1\r\nHost: h\r\n\r\n");
  client.shut_down_sending();
  const auto reply = client.read_reply();
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->status, 200);
  EXPECT_TRUE(client.is_closed());
}

// An answer given while the client still sends must not be lost in a reset.
TEST(HttpServerTest, LetsTheClientReadTheRefusalOfItsBody) {
  TestServer server;
  for (const bool tls : {false, true}) {
    HttpClient client = tls ? server.tls() : server.plain();
    client.send("POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 2000000\r\n\r\n");
    client.send(std::string(2'000'000, 'x'));
    const auto reply = client.read_reply();
    ASSERT_TRUE(reply) << (tls ? "tls " : "plain ") << client.problem();
    EXPECT_EQ(reply->status, 413);
  }
}

TEST(HttpServerTest, ShapesErrorsAsTheFrontEndWants) {
  TestServer server(test::echo(), [](HttpServerConfig* config) {
    config->error_shape = [](int status, std::string_view path) {
      HttpResponse response;
      if (path.starts_with("/throw")) throw std::runtime_error("in the shape");
      if (path.starts_with("/split")) response.headers = {{"X", "a\r\nb"}};
      response.status = 200;  // ignored
      response.body =
          "{\"shape\":\"" + std::string(path) + "\",\"code\":" + std::to_string(status) + "}";
      return response;
    };
  });
  const auto refused = [&](const std::string& request) {
    HttpClient client = server.plain();
    client.send(request);
    const auto reply = client.read_reply();
    EXPECT_TRUE(reply) << request << client.problem();
    EXPECT_TRUE(client.is_closed());
    return reply.value_or(ClientReply{});
  };
  ClientReply reply = refused("GET /api/x?y HTTP/1.1\r\n\r\n");
  EXPECT_EQ(reply.status, 400);
  EXPECT_EQ(reply.body, "{\"shape\":\"/api/x\",\"code\":400}");
  reply = refused("GET /api/x HTTP/1.1\r\nHost: h\r\nX: " + std::string(20'000, 'x') + "\r\n\r\n");
  EXPECT_EQ(reply.body, "{\"shape\":\"/api/x\",\"code\":431}");
  // The path cannot be read; whose it is can.
  for (const char* target : {"/api/x\\y", "/api/x%00", "/api/x\x01y", "/api/x%2fy"}) {
    reply = refused("GET " + std::string(target) + " HTTP/1.1\r\nHost: h\r\n\r\n");
    EXPECT_EQ(reply.body, "{\"shape\":\"/api/x\",\"code\":400}") << target;
  }
  EXPECT_EQ(refused("TRACE / HTTP/1.1\r\nHost: h\r\n\r\n").header("Allow"),
            "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
  EXPECT_EQ(refused("GET / HTTP/3.0\r\nHost: h\r\n\r\n").status, 505);
  EXPECT_EQ(refused("\x16\x03\x01\x02" + std::string(1, '\0') + "\r\n\r\n").status, 400);
  EXPECT_EQ(refused("GET /throw HTTP/1.1\r\n\r\n").body, "{\"error\":\"Bad Request\"}\n");
  EXPECT_EQ(refused("GET /split HTTP/1.1\r\n\r\n").body, "{\"error\":\"Bad Request\"}\n");
  EXPECT_EQ(server->counters().bad_requests, 11U);
  EXPECT_EQ(server->counters().requests, 0U);
}

TEST(HttpServerTest, TurnsHandlersThatFailIntoA500) {
  TestServer server(
      [](const std::shared_ptr<const HttpRequest>& request, const HttpRespond& respond) {
        if (request->path == "/throw") throw std::runtime_error("in the handler");
        if (request->path == "/drop") return;
        if (request->path == "/twice") {
          respond(text("first"));
          respond(text("second"));
        }
        HttpResponse response = text("unfit");
        response.headers = {{"X", "a\r\nSet-Cookie: b"}};
        respond(std::move(response));
      });
  HttpClient client = server.plain();
  for (const char* path : {"/throw", "/drop", "/unfit"}) {
    const auto reply = client.get(path);
    ASSERT_TRUE(reply) << path;
    EXPECT_EQ(reply->status, 500) << path;
    EXPECT_EQ(reply->body, "{\"error\":\"Internal Server Error\"}\n") << path;
    EXPECT_EQ(reply->header("Connection"), "keep-alive") << path;
  }
  const auto reply = client.get("/twice");
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->body, "first");
  EXPECT_EQ(client.get("/drop")->status, 500) << "the second answer went nowhere";
  EXPECT_EQ(server->counters().unanswered, 3U);
}

TEST(HttpServerTest, TakesAnswersLateFromAnyThreadAndAfterItsEnd) {
  Held held;
  HttpRespond last;
  {
    TestServer server(held.handler());
    HttpClient client = server.tls();
    HttpClient gone = server.plain();
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    std::thread([respond = held.take()] { respond(text("late")); }).join();
    const auto reply = client.read_reply();
    ASSERT_TRUE(reply);
    EXPECT_EQ(reply->body, "late");
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    last = held.take();
  }
  last(text("too late"));
}

TEST(HttpServerTest, ForgetsHandlersThatNeverAnswer) {
  Held held;
  TestServer server(held.handler(),
                    [](HttpServerConfig* config) { config->limits.handler = milliseconds(20); });
  HttpClient client = server.plain();
  client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  const auto reply = client.read_reply();
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->status, 503);
  EXPECT_EQ(reply->header("Retry-After"), "1");
  held.take()(text("too late"));
  EXPECT_TRUE(client.is_closed());
}

TEST(HttpServerTest, ReportsEachExchangeOnce) {
  std::mutex mutex;
  std::vector<HttpExchange> seen;
  {
    TestServer server(test::echo(), [&](HttpServerConfig* config) {
      config->on_exchange = [&](const HttpExchange& exchange) {
        const std::lock_guard lock(mutex);
        seen.push_back(exchange);
        throw std::runtime_error("in the log");
      };
    });
    HttpClient client = server.plain();
    ASSERT_TRUE(client.get("/one?secret=x"));
    client.send("BREW /two HTTP/1.1\r\nHost: h\r\n\r\n");
    ASSERT_TRUE(client.read_reply());
  }
  ASSERT_EQ(seen.size(), 2U);
  EXPECT_EQ(seen[0].method + seen[0].path, "GET/one");
  EXPECT_EQ(seen[0].status, 200);
  EXPECT_TRUE(seen[0].delivered);
  EXPECT_EQ(seen[0].peer_address, "127.0.0.1");
  EXPECT_EQ(seen[1].method + seen[1].path, "BREW/two");
  EXPECT_EQ(seen[1].status, 501);
  EXPECT_NE(seen[0].id, seen[1].id);
}

TEST(HttpServerTest, EndsConnectionsAfterSoManyRequests) {
  TestServer server(test::echo(), [](HttpServerConfig* config) {
    config->limits.num_requests_per_connection = 3;
  });
  HttpClient client = server.plain();
  EXPECT_EQ(client.get("/")->header("Connection"), "keep-alive");
  EXPECT_EQ(client.get("/")->header("Connection"), "keep-alive");
  EXPECT_EQ(client.get("/")->header("Connection"), "close");
  EXPECT_TRUE(client.is_closed());
}

TEST(HttpServerTest, BoundsAllBodiesTogether) {
  Held held;
  TestServer server(held.handler(), [](HttpServerConfig* config) {
    config->limits.body_len = 1000;
    config->limits.all_bodies_len = 2500;
  });
  const std::string post =
      "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n" + std::string(1000, 'x');
  HttpClient first = server.plain();
  HttpClient second = server.plain();
  first.send(post);
  second.send(post);
  ASSERT_TRUE(test::eventually([&] { return held.count() == 2; }));
  HttpClient third = server.plain();
  third.send(post);
  const auto reply = third.read_reply();
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->status, 503);
  held.take()({});
  ASSERT_TRUE(second.read_reply());
  HttpClient fourth = server.plain();
  fourth.send(post);
  ASSERT_TRUE(test::eventually([&] { return held.count() == 2; }))
      << "what was answered is free again";
}

// ---- stop ----

TEST(HttpServerTest, StopsWhenTheRequestsInFlightAreAnswered) {
  Held held;
  TestServer server(held.handler());
  HttpClient idle = server.plain();
  HttpClient busy = server.tls();
  HttpClient fresh = server.tls();  // has sent nothing
  busy.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  const HttpRespond respond = held.take();
  const std::uint16_t port = server.plain_port();
  std::thread stopper([&] { server->stop(milliseconds(5'000)); });
  EXPECT_TRUE(idle.is_closed());
  EXPECT_TRUE(fresh.is_closed());
  EXPECT_TRUE(test::eventually([&] { return !HttpClient(port).connected(); }));
  respond(text("done"));
  const auto reply = busy.read_reply();
  ASSERT_TRUE(reply) << busy.problem();
  EXPECT_EQ(reply->body, "done");
  EXPECT_EQ(reply->header("Connection"), "close");
  EXPECT_TRUE(busy.is_closed());
  { const HttpClient gone = std::move(busy); }
  stopper.join();
  EXPECT_EQ(server->counters().open_connections, 0U);
}

TEST(HttpServerTest, StopsAtTheDeadlineAllTheSame) {
  Held held;
  TestServer server(held.handler());
  HttpClient busy = server.plain();
  busy.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  const HttpRespond respond = held.take();
  server->stop(milliseconds(10));
  EXPECT_FALSE(busy.read_reply());
  EXPECT_EQ(busy.problem(), "closed");
  respond(text("too late"));
}

TEST(HttpServerTest, LeavesNoDescriptorBehind) {
  { TestServer warm; }
  const std::size_t before = num_descriptors();
  for (int round = 0; round < 3; ++round) {
    TestServer server;
    std::vector<HttpClient> clients;
    for (int i = 0; i < 20; ++i) {
      clients.push_back(i % 2 == 0 ? server.plain() : server.tls());
      if (i % 3 == 0) clients.back().send("GET / HT");
      if (i % 3 == 1) {
        EXPECT_TRUE(clients.back().get("/"));
      }
    }
    if (round == 0) clients.clear();
    if (round == 1) server.destroy();
  }
  EXPECT_EQ(num_descriptors(), before);
}

TEST(HttpServerTest, RefusesToStartWithWhatCannotWork) {
  const auto start = [](const std::function<void(HttpServerConfig*)>& change) {
    HttpServerConfig config;
    config.listen = {{"127.0.0.1", 0, true}};
    config.tls = test::shared_certificate();
    change(&config);
    const auto server = HttpServer::start(std::move(config), test::echo());
    return server.ok() ? Errc::kOk : server.status().code();
  };
  using Config = HttpServerConfig;
  EXPECT_EQ(start([](Config*) {}), Errc::kOk);
  EXPECT_EQ(start([](Config* c) { c->listen.clear(); }), Errc::kInvalidArgument);
  EXPECT_EQ(start([](Config* c) { c->listen[0].address = "localhost"; }), Errc::kInvalidArgument);
  EXPECT_EQ(start([](Config* c) { c->listen[0].address = "192.0.2.1"; }), Errc::kInvalidArgument);
  EXPECT_EQ(start([](Config* c) { c->listen[0] = {"0.0.0.0", 0, false}; }), Errc::kInvalidArgument);
  EXPECT_EQ(start([](Config* c) { c->listen[0] = {"::", 0, false}; }), Errc::kInvalidArgument);
  EXPECT_EQ(start([](Config* c) { c->num_threads = 0; }), Errc::kInvalidArgument);
  EXPECT_EQ(start([](Config* c) { c->limits.body_len = 0; }), Errc::kInvalidArgument);
  EXPECT_EQ(start([](Config* c) { c->limits.idle = milliseconds(0); }), Errc::kInvalidArgument);
  EXPECT_EQ(start([](Config* c) { c->tls.key = "/nowhere"; }), Errc::kNotFound);
  TestServer other;
  const std::uint16_t port = other.tls_port();
  EXPECT_EQ(start([port](Config* c) { c->listen[0].port = port; }), Errc::kConflict);
}

}  // namespace
}  // namespace rewrap
