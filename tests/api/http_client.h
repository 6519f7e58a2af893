// A client that sends any bytes, over TCP or TLS, and reads answers strictly. Blocking; each wait has
// an end, so that a server that says nothing fails a test and does not hang it.
#ifndef REWRAP_TESTS_API_HTTP_CLIENT_H_
#define REWRAP_TESTS_API_HTTP_CLIENT_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

struct ssl_st;
struct ssl_ctx_st;

namespace rewrap::test {

struct ClientReply {
  int status = 0;
  std::string reason;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;

  // header gives the first of that name in any case, or "(none)".
  [[nodiscard]] std::string header(std::string_view name) const;
};

struct ClientTls {
  int min_version = 0;  // OpenSSL's numbers; 0: its default
  int max_version = 0;
  std::string ciphers{};      // for TLS 1.2, at security level 0
  std::string certificate{};  // PEM files of the client's own
  std::string key{};
  std::string ca{};    // verifies the server if given
  std::string alpn{};  // one protocol
};

class HttpClient {
 public:
  explicit HttpClient(std::uint16_t port);                   // plain
  HttpClient(std::uint16_t port, const ClientTls& options);  // TLS
  HttpClient(HttpClient&& other) noexcept;
  HttpClient& operator=(HttpClient&& other) = delete;
  ~HttpClient();

  // connected is false if connect or the handshake failed.
  [[nodiscard]] bool connected() const { return connected_; }
  [[nodiscard]] std::string tls_version() const;
  [[nodiscard]] std::string tls_cipher() const;
  [[nodiscard]] std::string server_fingerprint() const;

  bool send(std::string_view bytes);
  void shut_down_sending();

  // read_reply reads one whole answer, "100 Continue" being one too. Nothing if the server closed, took
  // more than 5 s, or sent what RFC 9112 does not allow; problem() says which.
  std::optional<ClientReply> read_reply(bool to_head = false);
  [[nodiscard]] const std::string& problem() const { return problem_; }

  // get sends a GET and reads the answer.
  std::optional<ClientReply> get(const std::string& target);

  // has_input says whether the server has sent something, or closed. Does not wait.
  [[nodiscard]] bool has_input() const;

  // is_closed waits up to 5 s for the server to close, reading on; true if it did.
  bool is_closed();

 private:
  bool fill();  // reads more into buffer_
  std::optional<ClientReply> malformed(const char* what);

  int fd_ = -1;
  std::shared_ptr<ssl_ctx_st> context_;
  std::shared_ptr<ssl_st> tls_;
  bool connected_ = false;
  std::string buffer_;
  std::string problem_;
};

}  // namespace rewrap::test

#endif  // REWRAP_TESTS_API_HTTP_CLIENT_H_
