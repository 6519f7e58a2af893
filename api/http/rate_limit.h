// Token buckets by key: so many requests at once, then so many a second. Pure logic; the time is an
// argument. Any thread.
#ifndef REWRAP_API_HTTP_RATE_LIMIT_H_
#define REWRAP_API_HTTP_RATE_LIMIT_H_

#include <chrono>
#include <cstddef>
#include <list>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

#include "api/http/message.h"

namespace rewrap {

class RateLimiter {
 public:
  using Clock = std::chrono::steady_clock;

  struct Options {
    double per_second = 50;         // above 0
    double burst = 100;             // at least 1
    std::size_t num_keys = 16'384;  // buckets kept, at least 1; see take
  };

  explicit RateLimiter(const Options& options);

  // take takes `cost` tokens from the bucket of `key` (an address, an account) and gives zero, or takes
  // none and gives the time until it may be tried again. A cost above the burst counts as the burst.
  // A key not seen before has a full bucket. When there is no room for one more, the bucket that was
  // asked longest ago goes: a full one then in all but floods of keys, where each key gets its burst.
  // Time may stand still or, between threads, run a little backwards: nothing is gained by that.
  std::chrono::milliseconds take(std::string_view key, Clock::time_point now, double cost = 1);

  // ask gives what take would, and takes nothing.
  std::chrono::milliseconds ask(std::string_view key, Clock::time_point now, double cost = 1);

  [[nodiscard]] std::size_t num_keys() const;

 private:
  struct Bucket {
    std::string key;
    double tokens;
    Clock::time_point filled;
  };
  using Buckets = std::list<Bucket>;  // the one asked last first

  Bucket* find(std::string_view key, Clock::time_point now);
  Bucket* fill(std::string_view key, Clock::time_point now);
  [[nodiscard]] std::chrono::milliseconds wait_for(const Bucket& bucket, double wanted) const;

  const Options options_;
  mutable std::mutex mutex_;
  Buckets buckets_;
  std::unordered_map<std::string_view, Buckets::iterator> by_key_;  // views into buckets_
};

// limit_key gives the key for an address: itself, or an IPv6 address's /64, for whoever has one IPv6
// address has 2^64. What is no address stands for itself.
std::string limit_key(std::string_view address);

// add_retry_after makes `response` a 429 with Retry-After in whole seconds, at least 1 (RFC 9110
// section 10.2.3). The body is the front end's.
void add_retry_after(std::chrono::milliseconds wait, HttpResponse* response);

}  // namespace rewrap

#endif  // REWRAP_API_HTTP_RATE_LIMIT_H_
