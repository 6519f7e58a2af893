// Admission, budgets, identities and counters of a server.
#include "api/http/server_state.h"

#include <sys/random.h>

#include <array>
#include <cstdio>

#include "api/http/rate_limit.h"
#include "api/http/response_text.h"
#include "engine/base/bytes.h"

namespace rewrap {
namespace {

// random_prefix keeps the request ids of two runs apart. It is no secret; without random bytes it is
// the same each time.
std::string random_prefix() {
  std::array<std::uint8_t, 6> bytes{};
  if (getrandom(bytes.data(), bytes.size(), 0) < 0) bytes = {};
  return encode_hex(bytes) + "-";
}

}  // namespace

ConnectionSlot& ConnectionSlot::operator=(ConnectionSlot&& other) noexcept {
  if (this != &other) {
    release();
    state_ = std::move(other.state_);
    key_ = std::move(other.key_);
  }
  return *this;
}

void ConnectionSlot::release() {
  if (!state_) return;
  state_->leave(key_);
  state_.reset();
}

ServerState::ServerState(HttpServerConfig config, HttpHandler handler, std::size_t max_connections)
    : config_(std::move(config)),
      handler_(std::move(handler)),
      max_connections_(max_connections),
      id_prefix_(random_prefix()) {}

ConnectionSlot ServerState::admit(const std::string& address) {
  std::string key = limit_key(address);
  const std::lock_guard lock(mutex_);
  if (num_connections_ >= max_connections_) return {};
  std::size_t& num_from_there = num_by_address_[key];
  if (num_from_there >= limits().num_connections_per_address) return {};
  ++num_from_there;
  ++num_connections_;
  return {shared_from_this(), std::move(key)};
}

void ServerState::leave(const std::string& key) {
  const std::lock_guard lock(mutex_);
  const auto found = num_by_address_.find(key);
  if (--found->second == 0) num_by_address_.erase(found);
  if (--num_connections_ == 0) empty_.notify_all();
}

bool ServerState::wait_until_empty(std::chrono::milliseconds limit) {
  std::unique_lock lock(mutex_);
  return empty_.wait_for(lock, limit, [this] { return num_connections_ == 0; });
}

bool ServerState::reserve_body(std::size_t len) {
  if (bodies_len_.fetch_add(len) + len <= limits().all_bodies_len) return true;
  bodies_len_ -= len;
  return false;
}

TlsServerContext ServerState::tls() {
  const std::lock_guard lock(mutex_);
  return tls_;
}

void ServerState::set_tls(TlsServerContext context) {
  const std::lock_guard lock(mutex_);
  tls_.swap(context);
}

HttpResponse ServerState::error_response(int status, std::string_view path) const {
  HttpResponse response;
  try {
    response = config_.error_shape ? config_.error_shape(status, path) : plain_error(status);
  } catch (...) {
    response = plain_error(status);
  }
  response.status = status;
  if (!is_sendable_response(response)) {
    response = plain_error(status);
    response.status = status;
  }
  // RFC 9110 section 15.5.6 wants the list; section 15.6.4 suggests the other.
  if (status == 405)
    response.headers.push_back({"Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"});
  if (status == 503) response.headers.push_back({"Retry-After", "1"});
  return response;
}

void ServerState::report(const HttpExchange& exchange) const {
  if (!config_.on_exchange) return;
  try {
    config_.on_exchange(exchange);
  } catch (...) {
    // A log that fails must not take the connection with it.
  }
}

std::string ServerState::new_request_id() {
  char number[24];
  const int len = std::snprintf(number, sizeof number, "%08llx",
                                static_cast<unsigned long long>(next_id_.fetch_add(1)));
  return id_prefix_ + std::string(number, static_cast<std::size_t>(len));
}

HttpCounters ServerState::counters() const {
  HttpCounters counters;
  {
    const std::lock_guard lock(mutex_);
    counters.open_connections = num_connections_;
  }
  counters.max_connections = max_connections_;
  counters.accepted = accepted;
  counters.refused = refused;
  counters.failed_handshakes = failed_handshakes;
  counters.requests = requests;
  counters.bad_requests = bad_requests;
  counters.timeouts = timeouts;
  counters.unanswered = unanswered;
  return counters;
}

}  // namespace rewrap
