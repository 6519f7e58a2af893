// What all connections of one server share. No Boost here. Any thread.
#ifndef REWRAP_API_HTTP_SERVER_STATE_H_
#define REWRAP_API_HTTP_SERVER_STATE_H_

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <utility>

#include "api/http/server.h"
#include "api/http/tls_context.h"

namespace rewrap {

class ServerState;

// ConnectionSlot is a place among the limited connections, given back when it goes.
class ConnectionSlot {
 public:
  ConnectionSlot() = default;
  ConnectionSlot(std::shared_ptr<ServerState> state, std::string key)
      : state_(std::move(state)), key_(std::move(key)) {}
  ConnectionSlot(ConnectionSlot&& other) noexcept = default;
  ConnectionSlot& operator=(ConnectionSlot&& other) noexcept;
  ~ConnectionSlot() { release(); }

  [[nodiscard]] bool taken() const { return state_ != nullptr; }
  void release();

 private:
  std::shared_ptr<ServerState> state_;
  std::string key_;
};

class ServerState : public std::enable_shared_from_this<ServerState> {
 public:
  ServerState(HttpServerConfig config, HttpHandler handler, std::size_t max_connections);

  [[nodiscard]] const HttpServerConfig& config() const { return config_; }
  [[nodiscard]] const HttpLimits& limits() const { return config_.limits; }
  [[nodiscard]] const HttpHandler& handler() const { return handler_; }

  // admit gives a slot for a connection from `address`, or an empty one above a limit.
  ConnectionSlot admit(const std::string& address);
  void leave(const std::string& key);

  // wait_until_empty waits until there is no connection; false if that took longer.
  bool wait_until_empty(std::chrono::milliseconds limit);

  // reserve_body takes `len` bytes from those for all bodies; false if they do not suffice.
  bool reserve_body(std::size_t len);
  void release_body(std::size_t len) { bodies_len_ -= len; }

  TlsServerContext tls();
  void set_tls(TlsServerContext context);

  // error_response gives the configured answer for a status, whole and sendable whatever the shape
  // function did.
  [[nodiscard]] HttpResponse error_response(int status, std::string_view path) const;
  void report(const HttpExchange& exchange) const;
  std::string new_request_id();
  [[nodiscard]] HttpCounters counters() const;

  std::atomic<bool> draining{false};
  std::atomic<std::uint64_t> accepted{0};
  std::atomic<std::uint64_t> refused{0};
  std::atomic<std::uint64_t> failed_handshakes{0};
  std::atomic<std::uint64_t> requests{0};
  std::atomic<std::uint64_t> bad_requests{0};
  std::atomic<std::uint64_t> timeouts{0};
  std::atomic<std::uint64_t> unanswered{0};

 private:
  const HttpServerConfig config_;
  const HttpHandler handler_;
  const std::size_t max_connections_;
  const std::string id_prefix_;
  std::atomic<std::uint64_t> next_id_{0};
  std::atomic<std::size_t> bodies_len_{0};

  mutable std::mutex mutex_;  // of what follows
  std::condition_variable empty_;
  std::size_t num_connections_ = 0;
  std::unordered_map<std::string, std::size_t> num_by_address_;
  TlsServerContext tls_;
};

}  // namespace rewrap

#endif  // REWRAP_API_HTTP_SERVER_STATE_H_
