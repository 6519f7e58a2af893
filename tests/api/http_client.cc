// Sockets, OpenSSL and a parser of answers that shares nothing with the server's.
#include "tests/api/http_client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <csignal>
#include <cstdlib>

#include "api/http/message.h"
#include "api/http/tls_pem.h"

namespace rewrap::test {
namespace {

constexpr int kWaitSeconds = 5;

int connect_to(std::uint16_t port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const timeval wait{kWaitSeconds, 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
  const int yes = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    close(fd);
    return -1;
  }
  return fd;
}

int select_any(int /*preverified*/, X509_STORE_CTX* /*chain*/) { return 1; }

std::shared_ptr<SSL_CTX> make_context(const ClientTls& options) {
  std::shared_ptr<SSL_CTX> context(SSL_CTX_new(TLS_client_method()), SSL_CTX_free);
  SSL_CTX* raw = context.get();
  SSL_CTX_set_security_level(raw, 0);  // so that the refusal is the server's
  SSL_CTX_set_min_proto_version(raw, options.min_version);
  SSL_CTX_set_max_proto_version(raw, options.max_version);
  if (!options.ciphers.empty()) SSL_CTX_set_cipher_list(raw, options.ciphers.c_str());
  if (!options.certificate.empty()) {
    SSL_CTX_use_certificate_chain_file(raw, options.certificate.c_str());
    SSL_CTX_use_PrivateKey_file(raw, options.key.c_str(), SSL_FILETYPE_PEM);
  }
  if (!options.ca.empty()) SSL_CTX_load_verify_file(raw, options.ca.c_str());
  SSL_CTX_set_verify(raw, SSL_VERIFY_PEER, options.ca.empty() ? select_any : nullptr);
  return context;
}

}  // namespace

std::string ClientReply::header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (same_header_name(key, name)) return value;
  }
  return "(none)";
}

HttpClient::HttpClient(std::uint16_t port) : fd_(connect_to(port)), connected_(fd_ >= 0) {}

HttpClient::HttpClient(std::uint16_t port, const ClientTls& options) : fd_(connect_to(port)) {
  std::signal(SIGPIPE, SIG_IGN);  // OpenSSL writes without MSG_NOSIGNAL
  if (fd_ < 0) return;
  context_ = make_context(options);
  tls_.reset(SSL_new(context_.get()), SSL_free);
  SSL_set_fd(tls_.get(), fd_);
  SSL_set1_host(tls_.get(), "localhost");
  if (!options.alpn.empty()) {
    const std::string wire = static_cast<char>(options.alpn.size()) + options.alpn;
    SSL_set_alpn_protos(tls_.get(), reinterpret_cast<const unsigned char*>(wire.data()),
                        static_cast<unsigned>(wire.size()));
  }
  connected_ = SSL_connect(tls_.get()) == 1;
  ERR_clear_error();
}

HttpClient::HttpClient(HttpClient&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      context_(std::move(other.context_)),
      tls_(std::move(other.tls_)),
      connected_(std::exchange(other.connected_, false)),
      buffer_(std::move(other.buffer_)) {}

HttpClient::~HttpClient() {
  if (fd_ >= 0) close(fd_);
}

std::string HttpClient::tls_version() const { return SSL_get_version(tls_.get()); }
std::string HttpClient::tls_cipher() const { return SSL_get_cipher_name(tls_.get()); }

std::string HttpClient::server_fingerprint() const {
  return fingerprint_of(SSL_get0_peer_certificate(tls_.get()));
}

bool HttpClient::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const auto sent = tls_ ? SSL_write(tls_.get(), bytes.data(), static_cast<int>(bytes.size()))
                           : ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) {
      ERR_clear_error();
      return false;
    }
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

void HttpClient::shut_down_sending() { shutdown(fd_, SHUT_WR); }

bool HttpClient::fill() {
  char bytes[16'384];
  const auto got =
      tls_ ? SSL_read(tls_.get(), bytes, sizeof bytes) : recv(fd_, bytes, sizeof bytes, 0);
  if (got <= 0) {
    const bool timed_out = got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
    problem_ = timed_out ? "timed out" : "closed";
    ERR_clear_error();
    return false;
  }
  buffer_.append(bytes, static_cast<std::size_t>(got));
  return true;
}

std::optional<ClientReply> HttpClient::malformed(const char* what) {
  problem_ = std::string("malformed answer: ") + what + ": " + buffer_.substr(0, 200);
  return std::nullopt;
}

std::optional<ClientReply> HttpClient::read_reply(bool to_head) {
  problem_.clear();
  std::size_t end = 0;
  while ((end = buffer_.find("\r\n\r\n")) == std::string::npos) {
    if (!fill()) return buffer_.empty() ? std::nullopt : malformed("cut short");
  }
  const std::string head = buffer_.substr(0, end + 2);
  ClientReply reply;
  std::size_t at = head.find("\r\n") + 2;
  const std::string line = head.substr(0, at - 2);
  if (line.size() < 13 || !line.starts_with("HTTP/1.1 ") || line[12] != ' ')
    return malformed("status line");
  reply.status = std::atoi(line.substr(9, 3).c_str());
  reply.reason = line.substr(13);
  if (reply.status < 100 || reply.status > 599) return malformed("status");
  while (at < head.size()) {
    const std::size_t next = head.find("\r\n", at);
    const std::string field = head.substr(at, next - at);
    const std::size_t colon = field.find(": ");
    const bool printable = std::all_of(field.begin(), field.end(), [](char c) {
      return std::isprint(static_cast<unsigned char>(c)) != 0;
    });
    if (colon == std::string::npos || colon == 0 || !printable) return malformed("header");
    reply.headers.emplace_back(field.substr(0, colon), field.substr(colon + 2));
    at = next + 2;
  }
  buffer_.erase(0, end + 4);
  if (reply.status == 100 || reply.status == 204 || reply.status == 304 || to_head) return reply;
  const std::string length = reply.header("Content-Length");
  if (length.empty() ||
      !std::all_of(length.begin(), length.end(), [](char c) { return c >= '0' && c <= '9'; })) {
    return malformed("no length");
  }
  const std::size_t len = std::strtoul(length.c_str(), nullptr, 10);
  while (buffer_.size() < len) {
    if (!fill()) return malformed("body cut short");
  }
  reply.body = buffer_.substr(0, len);
  buffer_.erase(0, len);
  return reply;
}

std::optional<ClientReply> HttpClient::get(const std::string& target) {
  if (!send("GET " + target + " HTTP/1.1\r\nHost: localhost\r\n\r\n")) return std::nullopt;
  return read_reply();
}

bool HttpClient::has_input() const {
  pollfd waiting{fd_, POLLIN, 0};
  return poll(&waiting, 1, 0) > 0;
}

bool HttpClient::is_closed() {
  while (fill()) {
  }
  return problem_ == "closed";
}

}  // namespace rewrap::test
