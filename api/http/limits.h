// Every limit of the HTTP server, in one place.
#ifndef REWRAP_API_HTTP_LIMITS_H_
#define REWRAP_API_HTTP_LIMITS_H_

#include <chrono>
#include <cstddef>

namespace rewrap {

// Sizes are bytes. Times are for the whole of what they name, not from byte to byte: a client that
// sends a byte now and then runs into them too.
struct HttpLimits {
  std::size_t header_len = std::size_t{16} << 10;      // request line and headers; beyond: 431
  std::size_t target_len = std::size_t{8} << 10;       // beyond: 414
  std::size_t num_headers = 100;                       // beyond: 431
  std::size_t num_query_items = 256;                   // beyond: 414
  std::size_t body_len = std::size_t{1} << 20;         // beyond: 413
  std::size_t all_bodies_len = std::size_t{64} << 20;  // of requests being read or answered: 503

  // A connection costs about 90 KiB with TLS. One too many is closed at once. The total is lowered
  // at start to three quarters of what RLIMIT_NOFILE allows, see HttpServer::counters.
  std::size_t num_connections = 4'096;
  std::size_t num_connections_per_address = 1'100;  // per IPv4 address or IPv6 /64
  std::size_t num_requests_per_connection = 100'000;

  std::chrono::milliseconds handshake{10'000};  // TLS; then closed
  std::chrono::milliseconds header{10'000};     // from its first byte (or from the handshake): 408
  std::chrono::milliseconds body{30'000};       // from the end of the header: 408
  std::chrono::milliseconds handler{180'000};   // until the handler answers: 503
  std::chrono::milliseconds write{30'000};      // of one response; then closed
  std::chrono::milliseconds idle{75'000};       // between requests; then closed
  // After an answer that ends a connection: for the client to read it before it sees a reset.
  std::chrono::milliseconds linger{2'000};
  std::size_t linger_len = std::size_t{4} << 20;  // as many bytes are read and thrown away
};

}  // namespace rewrap

#endif  // REWRAP_API_HTTP_LIMITS_H_
