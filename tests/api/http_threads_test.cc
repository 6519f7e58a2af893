// Many threads at once, for ThreadSanitizer: network threads, workers, late answers, reload, stop.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "api/http/rate_limit.h"
#include "api/http/workers.h"
#include "tests/api/http_fixture.h"

namespace rewrap {
namespace {

using std::chrono::milliseconds;
using test::HttpClient;
using test::TestServer;

HttpResponse busy(const HttpRequest& /*request*/) {
  HttpResponse response;
  response.status = 503;
  return response;
}

TEST(HttpThreadsTest, ServesFromSeveralNetworkThreadsAndWorkers) {
  constexpr int kNumClients = 8;
  constexpr int kNumRequests = 40;
  Workers workers(3, 1'000);
  TestServer server(on_workers(&workers, test::echo(), busy),
                    [](HttpServerConfig* config) { config->num_threads = 3; });
  std::atomic<int> num_good{0};
  std::vector<std::thread> clients;
  for (int c = 0; c < kNumClients; ++c) {
    clients.emplace_back([&, c] {
      HttpClient client = c % 2 == 0 ? server.tls() : server.plain();
      for (int i = 0; i < kNumRequests; ++i) {
        const std::string path = "/" + std::to_string(c) + "/" + std::to_string(i);
        const auto reply = client.get(path);
        if (reply && reply->body == "GET " + path + "||") ++num_good;
      }
    });
  }
  for (int i = 0; i < 10; ++i) {
    EXPECT_TRUE(server->reload_certificate().ok());
    EXPECT_LE(server->counters().open_connections, std::uint64_t{kNumClients});
  }
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(num_good, kNumClients * kNumRequests);
  EXPECT_EQ(server->counters().requests, std::uint64_t{kNumClients * kNumRequests});
}

// Each request is answered whole, or not at all: never half, never twice.
TEST(HttpThreadsTest, StopsInTheMiddleOfEverything) {
  for (int round = 0; round < 5; ++round) {
    Workers workers(2, 1'000);
    TestServer server(on_workers(&workers, test::echo(), busy),
                      [](HttpServerConfig* config) { config->num_threads = 2; });
    const std::uint16_t port = server.plain_port();
    std::atomic<int> num_malformed{0};
    std::atomic<int> num_answered{0};
    std::vector<std::thread> clients;
    for (int c = 0; c < 4; ++c) {
      clients.emplace_back([&] {
        for (;;) {
          HttpClient client(port);
          if (!client.connected()) return;
          while (const auto reply = client.get("/x")) ++num_answered;
          if (client.problem() != "closed" && !client.problem().empty()) ++num_malformed;
        }
      });
    }
    while (num_answered < 20) std::this_thread::yield();
    // Two at once, as a signal and a destructor might.
    std::thread other([&] { server->stop(milliseconds(round * 10)); });
    server->stop(milliseconds(round * 10));
    other.join();
    for (std::thread& client : clients) client.join();
    EXPECT_EQ(num_malformed, 0);
    EXPECT_EQ(server->counters().open_connections, 0U);
  }
}

// The responder is called by a worker while the network thread gives up on it.
TEST(HttpThreadsTest, AnswersRaceWithTheirDeadline) {
  std::vector<std::thread> threads;
  {
    TestServer server(
        [&](const std::shared_ptr<const HttpRequest>& /*request*/, HttpRespond respond) {
          threads.emplace_back([respond = std::move(respond)] {
            std::this_thread::sleep_for(milliseconds(5));
            respond({});
          });
        },
        [](HttpServerConfig* config) { config->limits.handler = milliseconds(5); });
    for (int i = 0; i < 50; ++i) {
      HttpClient client = server.plain();
      const auto reply = client.get("/");
      ASSERT_TRUE(reply) << client.problem();
      EXPECT_TRUE(reply->status == 200 || reply->status == 503);
    }
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(HttpThreadsTest, WorkersRefuseWhatTheyCannotDoSoon) {
  Workers workers(1, 2);
  std::atomic<bool> go{false};
  std::atomic<int> num_run{0};
  const auto job = [&] {
    while (!go) std::this_thread::yield();
    ++num_run;
  };
  ASSERT_TRUE(workers.run(job));
  int num_taken = 1;
  for (int i = 0; i < 10; ++i) num_taken += workers.run(job) ? 1 : 0;
  EXPECT_GE(num_taken, 2);
  EXPECT_LE(num_taken, 3);
  go = true;
  while (num_run < num_taken) std::this_thread::yield();
  workers.stop();
  EXPECT_FALSE(workers.run(job));
}

// A job that is dropped, or that throws, gives its client a 500 and not silence.
TEST(HttpThreadsTest, WorkersThatStopLeaveNoClientWaiting) {
  Workers workers(1, 10);
  std::atomic<bool> go{false};
  std::atomic<bool> begun{false};
  TestServer server(on_workers(
      &workers,
      [&](const std::shared_ptr<const HttpRequest>& request, const HttpRespond& respond) {
        if (request->path == "/throw") throw 1;
        begun = true;
        while (!go) std::this_thread::yield();
        respond({});
      },
      busy));
  HttpClient thrown = server.plain();
  EXPECT_EQ(thrown.get("/throw")->status, 500);
  HttpClient running = server.plain();
  running.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  while (!begun) std::this_thread::yield();
  HttpClient queued = server.plain();
  queued.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  while (server->counters().requests < 3) std::this_thread::yield();
  std::thread stopper([&] { workers.stop(); });
  // 500 if it was dropped from the queue, 503 if it came too late for it.
  const auto dropped = queued.read_reply();
  EXPECT_TRUE(dropped && dropped->status >= 500) << queued.problem();
  go = true;
  const auto finished = running.read_reply();
  EXPECT_TRUE(finished && finished->status == 200) << running.problem();
  stopper.join();
}

TEST(HttpThreadsTest, TheRateIsSharedByAllThreads) {
  RateLimiter limiter({.per_second = 1, .burst = 1'000, .num_keys = 8});
  const RateLimiter::Clock::time_point now{std::chrono::hours(1)};
  std::atomic<int> num_passed{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 500; ++i) {
        if (limiter.take("shared", now).count() == 0) ++num_passed;
        limiter.take("own " + std::to_string(t % 2), now);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(num_passed, 1'000);
}

}  // namespace
}  // namespace rewrap
