// Token buckets by a clock that the test moves.
#include <gtest/gtest.h>

#include <string>

#include "api/http/rate_limit.h"

namespace rewrap {
namespace {

using std::chrono::milliseconds;

class HttpRateLimit : public ::testing::Test {
 protected:
  milliseconds take(const std::string& key, double cost = 1) {
    return limiter_.take(key, now_, cost);
  }

  RateLimiter limiter_{{.per_second = 10, .burst = 3, .num_keys = 4}};
  RateLimiter::Clock::time_point now_{std::chrono::hours(1)};
};

TEST_F(HttpRateLimit, GivesABurstAndThenTheRate) {
  for (int i = 0; i < 3; ++i) EXPECT_EQ(take("a").count(), 0);
  EXPECT_EQ(take("a").count(), 100);
  EXPECT_EQ(take("b").count(), 0) << "each key has a bucket of its own";
  now_ += milliseconds(99);
  EXPECT_EQ(take("a").count(), 1);
  now_ += milliseconds(1);
  EXPECT_EQ(take("a").count(), 0);
  EXPECT_EQ(take("a").count(), 100);
  now_ += std::chrono::hours(1);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(take("a").count(), 0);
  EXPECT_EQ(take("a").count(), 100) << "a bucket never holds more than its burst";
}

// The number of requests let through in a time is the burst and the rate, however often one asks.
TEST_F(HttpRateLimit, LetsThroughNeitherMoreNorLess) {
  int passed = 0;
  for (int i = 0; i < 10'000; ++i) {
    if (take("a").count() == 0) ++passed;
    now_ += milliseconds(1);
  }
  EXPECT_NEAR(passed, 103, 1);
}

TEST_F(HttpRateLimit, WaitingAsToldIsEnough) {
  for (int i = 0; i < 50; ++i) {
    const milliseconds wait = take("a", 2.5);
    now_ += wait;
    if (wait.count() > 0) {
      EXPECT_EQ(take("a", 2.5).count(), 0) << i;
    }
  }
}

TEST_F(HttpRateLimit, TakesNothingWhenItRefuses) {
  for (int i = 0; i < 3; ++i) take("a");
  for (int i = 0; i < 100; ++i) take("a");
  now_ += milliseconds(100);
  EXPECT_EQ(take("a").count(), 0);
}

TEST_F(HttpRateLimit, AskingTakesNothing) {
  for (int i = 0; i < 100; ++i) EXPECT_EQ(limiter_.ask("a", now_).count(), 0);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(take("a").count(), 0) << "the burst is still whole";
  EXPECT_EQ(limiter_.ask("a", now_), take("a")) << "and the wait is what take says";
}

TEST_F(HttpRateLimit, KeepsABoundedNumberOfBuckets) {
  for (int i = 0; i < 3; ++i) take("victim");
  for (int i = 0; i < 100; ++i) {
    take("flood " + std::to_string(i));
    EXPECT_LE(limiter_.num_keys(), 4U);
    EXPECT_GT(take("victim").count(), 0) << "a key that keeps asking keeps its bucket";
  }
}

TEST_F(HttpRateLimit, GainsNothingFromAClockThatRunsBackwards) {
  for (int i = 0; i < 3; ++i) take("a");
  now_ -= std::chrono::hours(1);
  EXPECT_GT(take("a").count(), 0);
  now_ += std::chrono::hours(1);
  EXPECT_GT(take("a").count(), 0);
}

TEST_F(HttpRateLimit, TreatsACostAboveTheBurstAsTheBurst) {
  EXPECT_EQ(take("a", 1000).count(), 0);
  EXPECT_EQ(take("a", 1000).count(), 300);
}

TEST(HttpRateLimitKey, CountsAnIpv6NetworkAsOne) {
  EXPECT_EQ(limit_key("192.0.2.1"), "192.0.2.1");
  EXPECT_EQ(limit_key("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64");
  EXPECT_EQ(limit_key("2001:db8:1:2::9"), limit_key("2001:db8:1:2:ffff::"));
  EXPECT_NE(limit_key("2001:db8:1:3::9"), limit_key("2001:db8:1:2::9"));
  EXPECT_EQ(limit_key("admin"), "admin");
}

TEST(HttpRateLimitKey, MakesA429) {
  HttpResponse response;
  add_retry_after(milliseconds(1), &response);
  EXPECT_EQ(response.status, 429);
  EXPECT_EQ(response.headers.at(0).name, "Retry-After");
  EXPECT_EQ(response.headers.at(0).value, "1");
  add_retry_after(milliseconds(2001), &response);
  EXPECT_EQ(response.headers.at(1).value, "3");
}

}  // namespace
}  // namespace rewrap
