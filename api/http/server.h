// The HTTP/1.1 server under every front end: TLS, limits, time-outs and orderly stop. Knows nothing of
// keys or of any API.
#ifndef REWRAP_API_HTTP_SERVER_H_
#define REWRAP_API_HTTP_SERVER_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "api/http/limits.h"
#include "api/http/message.h"
#include "engine/base/status.h"

namespace rewrap {

struct HttpListen {
  std::string address;     // an IP address: "127.0.0.1", "0.0.0.0", "::1", "::" (IPv6 only)
  std::uint16_t port = 0;  // 0: any free one
  bool tls = true;         // false only for loopback addresses
};

// PEM files. The certificate file holds the chain, the server's own certificate first.
struct TlsFiles {
  std::string certificate;
  std::string key;
  // CA certificates for clients; "" means that no client is asked for a certificate.
  std::string client_ca;
};

// HttpExchange says how a request ended, for logs and histograms. Holds no header, query or body.
struct HttpExchange {
  std::string id;
  std::string peer_address;
  std::string method;  // "" where the request could not be read that far, as is `path`
  std::string path;    // decoded; may hold any byte but zero
  int status = 0;
  std::size_t response_len = 0;          // of its body
  std::chrono::microseconds duration{};  // from the request's last byte to the response's
  bool delivered = false;                // false: the client was gone, or too slow
};

// HttpCounters only grow, but for the first two. For /metrics.
struct HttpCounters {
  std::uint64_t open_connections = 0;
  std::uint64_t max_connections = 0;  // the limit in force
  std::uint64_t accepted = 0;
  std::uint64_t refused = 0;  // connections above a limit
  std::uint64_t failed_handshakes = 0;
  std::uint64_t requests = 0;      // given to the handler
  std::uint64_t bad_requests = 0;  // answered by the server itself
  std::uint64_t timeouts = 0;      // of every kind but idle
  std::uint64_t unanswered = 0;    // dropped by the handler
};

struct HttpServerConfig {
  std::vector<HttpListen> listen;  // at least one, at most kMaxListen
  TlsFiles tls;                    // needed if one of them has tls
  HttpLimits limits;
  int num_threads = 1;  // network threads, 1 to 16; one serves thousands of requests a second

  // Makes the answer to a request that never reaches the handler (400, 405, 408, 413, 414, 417, 431,
  // 500, 501, 503, 505). The path is as in HttpRequest, or what could be read of it, or "". The
  // server sets status and Connection itself. Called on network threads. Empty: `{"error":"..."}`.
  std::function<HttpResponse(int status, std::string_view path)> error_shape;

  // Called on a network thread after each response, or attempt at one. May be empty.
  std::function<void(const HttpExchange&)> on_exchange;

  static constexpr std::size_t kMaxListen = 16;
};

class HttpServer {
 public:
  // start listens and serves until stop. Signals are left to the program: SIGPIPE is never raised by
  // it.
  // Errors: kInvalidArgument  an address, a count, a limit of zero, plain HTTP beyond loopback, or
  //                           a certificate problem, see api/http/tls_certificate.h
  //         kConflict         the port is taken
  //         kDenied, kNotFound, kIo  of the files and sockets
  static Result<std::unique_ptr<HttpServer>> start(HttpServerConfig config, HttpHandler handler);

  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;
  ~HttpServer();  // stop with no grace

  // addresses gives what is listened on, in the order of the configuration, with the real ports.
  [[nodiscard]] std::vector<HttpListen> addresses() const;

  // reload_certificate reads the TLS files again. New connections get the new certificate and the
  // new client CA, present ones go on. A failure changes nothing. Any thread.
  Status reload_certificate();

  // Any thread; cheap.
  [[nodiscard]] HttpCounters counters() const;

  // stop closes the listening sockets and idle connections, waits up to `grace` for the requests in
  // flight, then closes what is left. Responders called later do nothing. Blocks; not for handlers
  // (they run on the threads that it waits for). Any thread; a second call waits for the first.
  void stop(std::chrono::milliseconds grace);

 private:
  class Impl;
  explicit HttpServer(std::unique_ptr<Impl> impl);

  std::unique_ptr<Impl> impl_;
};

}  // namespace rewrap

#endif  // REWRAP_API_HTTP_SERVER_H_
