// Clients that ask too often, or log in wrongly too often, are told to wait: 429 with Retry-After
// (RFC 6585 section 4).
#ifndef REWRAP_API_HTTP_LIMIT_CLIENTS_H_
#define REWRAP_API_HTTP_LIMIT_CLIENTS_H_

#include <functional>
#include <memory>
#include <mutex>

#include "api/http/message.h"
#include "api/http/rate_limit.h"

namespace rewrap {

// ClientLimits counts in two ways, before a front end sees a request:
//   answers of 401, by address (IPv6: by /64): guessing passwords becomes slow, whatever names are
//     tried. A request without credentials costs no scrypt and is no guess: it does not count.
//   requests, by what the client says it is (a digest of Authorization, or its certificate) and from
//     where. Not by the account's name alone: anybody can say a name, and so use up another's share.
// Requests under way at once are not counted before they are answered, so a few more than `burst`
// guesses get through; how many, the workers limit. Any thread.
class ClientLimits {
 public:
  struct Options {
    RateLimiter::Options failures{.per_second = 0.2, .burst = 10};
    RateLimiter::Options requests{.per_second = 200, .burst = 400};
  };

  explicit ClientLimits(const Options& options) { set(options); }

  // set puts new limits in force; every bucket is full again.
  void set(const Options& options);

  // limit gives a handler that asks `handler` only within the limits. `shape` makes the body of the
  // 429. The limits must outlive the handler; a request may be answered later than that.
  HttpHandler limit(HttpHandler handler, std::function<HttpResponse(int status)> shape);

 private:
  struct Limiters {
    explicit Limiters(const Options& options)
        : failures(options.failures), requests(options.requests) {}
    RateLimiter failures;
    RateLimiter requests;
  };
  std::shared_ptr<Limiters> current();

  std::mutex mutex_;
  std::shared_ptr<Limiters> limiters_;
};

}  // namespace rewrap

#endif  // REWRAP_API_HTTP_LIMIT_CLIENTS_H_
