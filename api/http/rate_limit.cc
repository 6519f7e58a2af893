// Token buckets, the longest unasked first to go.
#include "api/http/rate_limit.h"

#include <arpa/inet.h>
#include <algorithm>
#include <cmath>
#include <iterator>

namespace rewrap {
namespace {

// Of a token: what adding fractions may lose, so that waiting as told is enough.
constexpr double kRounding = 1e-6;

}  // namespace

RateLimiter::RateLimiter(const Options& options)
    : options_{std::max(options.per_second, 1e-6), std::max(options.burst, 1.0),
               std::max<std::size_t>(options.num_keys, 1)} {}

RateLimiter::Bucket* RateLimiter::find(std::string_view key, Clock::time_point now) {
  if (const auto found = by_key_.find(key); found != by_key_.end()) {
    buckets_.splice(buckets_.begin(), buckets_, found->second);
    return &buckets_.front();
  }
  if (buckets_.size() >= options_.num_keys) {
    by_key_.erase(buckets_.back().key);
    buckets_.pop_back();
  }
  buckets_.push_front({std::string(key), options_.burst, now});
  by_key_.emplace(buckets_.front().key, buckets_.begin());
  return &buckets_.front();
}

RateLimiter::Bucket* RateLimiter::fill(std::string_view key, Clock::time_point now) {
  Bucket* bucket = find(key, now);
  if (now > bucket->filled) {
    const double seconds = std::chrono::duration<double>(now - bucket->filled).count();
    bucket->tokens = std::min(options_.burst, bucket->tokens + seconds * options_.per_second);
    bucket->filled = now;
  }
  return bucket;
}

std::chrono::milliseconds RateLimiter::wait_for(const Bucket& bucket, double wanted) const {
  if (bucket.tokens + kRounding >= wanted) return std::chrono::milliseconds::zero();
  const double wait_s = (wanted - kRounding - bucket.tokens) / options_.per_second;
  constexpr double kLongestMs = 86'400'000;
  return std::chrono::milliseconds(
      std::max<std::int64_t>(1, std::llround(std::min(std::ceil(wait_s * 1000), kLongestMs))));
}

std::chrono::milliseconds RateLimiter::take(std::string_view key, Clock::time_point now,
                                            double cost) {
  const std::lock_guard lock(mutex_);
  Bucket* bucket = fill(key, now);
  const double wanted = std::clamp(cost, 0.0, options_.burst);
  const std::chrono::milliseconds wait = wait_for(*bucket, wanted);
  if (wait == std::chrono::milliseconds::zero())
    bucket->tokens = std::max(0.0, bucket->tokens - wanted);
  return wait;
}

std::chrono::milliseconds RateLimiter::ask(std::string_view key, Clock::time_point now,
                                           double cost) {
  const std::lock_guard lock(mutex_);
  return wait_for(*fill(key, now), std::clamp(cost, 0.0, options_.burst));
}

std::size_t RateLimiter::num_keys() const {
  const std::lock_guard lock(mutex_);
  return buckets_.size();
}

std::string limit_key(std::string_view address) {
  in6_addr bytes{};
  std::string text(address);
  if (inet_pton(AF_INET6, text.c_str(), &bytes) != 1) return text;
  std::fill(std::begin(bytes.s6_addr) + 8, std::end(bytes.s6_addr), std::uint8_t{0});
  char network[INET6_ADDRSTRLEN];
  if (inet_ntop(AF_INET6, &bytes, network, sizeof network) == nullptr) return text;
  return std::string(network) + "/64";
}

void add_retry_after(std::chrono::milliseconds wait, HttpResponse* response) {
  const auto seconds = std::chrono::ceil<std::chrono::seconds>(wait).count();
  response->status = 429;
  response->headers.push_back({"Retry-After", std::to_string(std::max<std::int64_t>(1, seconds))});
}

}  // namespace rewrap
