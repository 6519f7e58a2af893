// Keys of the buckets, and the handler around a handler.
#include "api/http/limit_clients.h"

#include <openssl/sha.h>

#include <array>
#include <string>
#include <utility>

namespace rewrap {
namespace {

constexpr std::chrono::milliseconds kNoWait{0};

// client_key names who asks. The digest keeps credentials out of the table.
std::string client_key(const HttpRequest& request) {
  std::string key = limit_key(request.peer_address) + " ";
  if (const auto credentials = request.header("Authorization")) {
    std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
    SHA256(reinterpret_cast<const unsigned char*>(credentials->data()), credentials->size(),
           digest.data());
    return key.append(digest.begin(), digest.end());
  }
  return key + request.client_certificate.sha256;
}

bool has_credentials(const HttpRequest& request) {
  return request.header("Authorization").has_value() || request.client_certificate.presented;
}

HttpResponse too_many(const std::function<HttpResponse(int)>& shape,
                      std::chrono::milliseconds wait) {
  HttpResponse response = shape(429);
  add_retry_after(wait, &response);
  return response;
}

}  // namespace

void ClientLimits::set(const Options& options) {
  auto limiters = std::make_shared<Limiters>(options);
  const std::lock_guard lock(mutex_);
  limiters_ = std::move(limiters);
}

std::shared_ptr<ClientLimits::Limiters> ClientLimits::current() {
  const std::lock_guard lock(mutex_);
  return limiters_;
}

HttpHandler ClientLimits::limit(HttpHandler handler, std::function<HttpResponse(int)> shape) {
  return [this, handler = std::move(handler), shape = std::move(shape)](
             const std::shared_ptr<const HttpRequest>& request, const HttpRespond& respond) {
    const auto limiters = current();
    const auto now = RateLimiter::Clock::now();
    const std::string address = limit_key(request->peer_address);
    const bool tries = has_credentials(*request);
    if (const auto wait = tries ? limiters->failures.ask(address, now) : kNoWait; wait > kNoWait)
      return respond(too_many(shape, wait));
    if (const auto wait = limiters->requests.take(client_key(*request), now); wait > kNoWait)
      return respond(too_many(shape, wait));
    if (!tries) return handler(request, respond);
    handler(request, [limiters, address, respond](HttpResponse response) {
      if (response.status == 401) limiters->failures.take(address, RateLimiter::Clock::now());
      respond(std::move(response));
    });
  };
}

}  // namespace rewrap
