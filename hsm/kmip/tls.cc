// Sockets that never block, so that one deadline holds for a whole exchange however slowly the other
// side drips.
#include "hsm/kmip/tls.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <limits>
#include <utility>

#include "hsm/sigpipe_guard.h"

namespace rewrap {
namespace {

// Forward secrecy only: what crosses is a root key, and a recording must not open years later with
// the server's key. TLS 1.3 has nothing else.
constexpr char kCipherSuites[] =
    "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:DHE+CHACHA20:ECDHE+SHA384:ECDHE+SHA256:DHE+SHA256:"
    "!aNULL:!eNULL";

constexpr Literal kTooSlow = "the KMIP server did not answer in time";
constexpr Literal kTooSlowHint = "see whether it works, or give it longer with timeout=SECONDS";
constexpr Literal kCutOff = "the KMIP server closed the connection before its answer was complete";
constexpr Literal kCutOffHint =
    "see the server's log: many do this to a client certificate that they do not accept; else run "
    "this again";
constexpr Literal kServerRefused = "the KMIP server's certificate is refused";
constexpr Literal kClientRefused = "the KMIP server refused our client certificate";

struct BioDeleter {
  void operator()(BIO* bio) const { BIO_free(bio); }
};
struct X509Deleter {
  void operator()(X509* certificate) const { X509_free(certificate); }
};
struct KeyDeleter {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
struct AddressesDeleter {
  void operator()(addrinfo* addresses) const { freeaddrinfo(addresses); }
};
using Bio = std::unique_ptr<BIO, BioDeleter>;
using Certificate = std::unique_ptr<X509, X509Deleter>;

Bio bio_of(ByteView bytes) {
  if (bytes.size() > std::numeric_limits<int>::max()) return nullptr;
  return Bio(BIO_new_mem_buf(bytes.data(), static_cast<int>(bytes.size())));
}

// no_passphrase keeps OpenSSL from asking at the terminal.
int no_passphrase(char* /*buffer*/, int /*size*/, int /*writing*/, void* /*data*/) { return -1; }

Certificate next_certificate(BIO* bio) {
  return Certificate(PEM_read_bio_X509(bio, nullptr, no_passphrase, nullptr));
}

Status bad_ca() {
  return {Errc::kInvalidArgument, "the CA file holds no certificate, or a broken one",
          "give the PEM certificate of the CA that signed the KMIP server's certificate as ca="};
}

// trust takes every certificate in `pem`.
Status trust(SSL_CTX* context, const std::string& pem) {
  const Bio bio = bio_of(as_bytes(pem));
  int num_trusted = 0;
  for (Certificate ca; bio != nullptr && (ca = next_certificate(bio.get())) != nullptr;) {
    if (X509_STORE_add_cert(SSL_CTX_get_cert_store(context), ca.get()) != 1) return bad_ca();
    ++num_trusted;
  }
  const bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  ERR_clear_error();
  return num_trusted > 0 && at_end ? Status() : bad_ca();
}

Status use_certificate(SSL_CTX* context, const std::string& pem) {
  const Status bad(Errc::kInvalidArgument,
                   "the client certificate file holds no certificate, or a broken one",
                   "give the PEM certificate, and its chain behind it, as cert=");
  const Bio bio = bio_of(as_bytes(pem));
  if (bio == nullptr) return bad;
  const Certificate own = next_certificate(bio.get());
  if (own == nullptr || SSL_CTX_use_certificate(context, own.get()) != 1) {
    ERR_clear_error();
    return bad;
  }
  while (const Certificate more = next_certificate(bio.get())) {
    if (SSL_CTX_add1_chain_cert(context, more.get()) != 1) return bad;
  }
  ERR_clear_error();
  return {};
}

Status use_key(SSL_CTX* context, const SecretBuffer& pem) {
  const Bio bio = bio_of(pem.expose_secret());
  const std::unique_ptr<EVP_PKEY, KeyDeleter> key(
      bio == nullptr ? nullptr
                     : PEM_read_bio_PrivateKey(bio.get(), nullptr, no_passphrase, nullptr));
  const bool used = key != nullptr && SSL_CTX_use_PrivateKey(context, key.get()) == 1;
  const bool is_pair = used && SSL_CTX_check_private_key(context) == 1;
  ERR_clear_error();
  if (is_pair) return {};
  if (key != nullptr) {
    return {Errc::kInvalidArgument, "the client key is not that of the client certificate",
            "give the certificate and the key that were made together as cert= and key="};
  }
  return {Errc::kInvalidArgument, "the client key file holds no private key, or an encrypted one",
          "give the PEM key without a passphrase, in a file of mode 0600, as key="};
}

Status openssl_failed() {
  ERR_clear_error();
  return {Errc::kInternal, "OpenSSL cannot set up TLS"};
}

// remaining gives the time left in milliseconds, 0 if there is none.
int remaining(TlsDeadline deadline) {
  using std::chrono::milliseconds;
  const auto left = std::chrono::ceil<milliseconds>(deadline - std::chrono::steady_clock::now());
  return static_cast<int>(
      std::clamp(left, milliseconds(0), milliseconds(std::chrono::hours(1))).count());
}

// poll_for waits for `events`; false when the deadline has passed.
bool poll_for(int fd, short events, TlsDeadline deadline) {
  while (true) {
    pollfd waiting{.fd = fd, .events = events, .revents = 0};
    const int left = remaining(deadline);
    if (left == 0) return false;
    const int ready = poll(&waiting, 1, left);
    if (ready > 0) return true;
    if (ready < 0 && errno != EINTR) return true;  // the next call on the socket says what it is
  }
}

Status no_connection(int error) {
  return Status::from_native(Errc::kUnavailable, Native::kPosix, static_cast<std::uint32_t>(error),
                             strerrordesc_np(error), "connect", "the KMIP server cannot be reached",
                             "check the URI's host and port, and that the server runs");
}

Status too_slow() { return {Errc::kUnavailable, kTooSlow, kTooSlowHint}; }

// connect_to tries one address, and gives a socket or -errno.
int connect_to(const addrinfo& address, TlsDeadline deadline) {
  const int fd = socket(address.ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return -errno;
  int error = connect(fd, address.ai_addr, address.ai_addrlen) == 0 ? 0 : errno;
  if (error == EINPROGRESS) {
    socklen_t len = sizeof error;
    if (!poll_for(fd, POLLOUT, deadline)) {
      error = ETIMEDOUT;
    } else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0) {
      error = errno;
    }
  }
  const int on = 1;  // requests are small, and each waits for its answer
  if (error == 0 && setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0) error = errno;
  if (error == 0) return fd;
  close(fd);
  return -error;
}

Result<int> connect_socket(const std::string& host, std::uint16_t port, TlsDeadline deadline) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int error = getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found);
  if (error != 0) {
    return Status::from_native(Errc::kUnavailable, Native::kPosix,
                               static_cast<std::uint32_t>(error), gai_strerror(error),
                               "getaddrinfo", "the KMIP server's host name has no address",
                               "check the URI's host, and this machine's name service");
  }
  const std::unique_ptr<addrinfo, AddressesDeleter> addresses(found);
  int fd = -EHOSTUNREACH;
  for (const addrinfo* next = found; next != nullptr && fd < 0; next = next->ai_next)
    fd = connect_to(*next, deadline);
  if (fd < 0) return no_connection(-fd);
  return fd;
}

bool is_address(const std::string& host) {
  in6_addr scratch;
  return inet_pton(AF_INET, host.c_str(), &scratch) == 1 ||
         inet_pton(AF_INET6, host.c_str(), &scratch) == 1;
}

// expect_host has the certificate checked for this name or address; only subjectAltName counts.
bool expect_host(SSL* ssl, const std::string& host) {
  X509_VERIFY_PARAM* terms = SSL_get0_param(ssl);
  X509_VERIFY_PARAM_set_hostflags(
      terms, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
  if (is_address(host)) return X509_VERIFY_PARAM_set1_ip_asc(terms, host.c_str()) == 1;
  return X509_VERIFY_PARAM_set1_host(terms, host.c_str(), host.size()) == 1 &&
         SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
                  const_cast<char*>(host.c_str())) == 1;  // copied
}

// refusal_of says why the server's certificate was not accepted.
Status refusal_of(long verdict) {
  const auto refused = [verdict](Literal message, Literal hint) {
    return Status::from_native(Errc::kDenied, Native::kOpenssl, static_cast<std::uint32_t>(verdict),
                               X509_verify_cert_error_string(verdict), "certificate check", message,
                               hint);
  };
  switch (verdict) {
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
      return refused(
          "the KMIP server's certificate is for another name than the URI's host",
          "write the host as in the certificate's subjectAltName; if it is right already, this is "
          "not your server");
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return refused("the KMIP server's certificate has expired",
                     "renew it on the server; check this machine's clock");
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return refused("the KMIP server's certificate is not valid yet",
                     "check this machine's clock");
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
      return refused("the KMIP server's certificate was not signed by the CA in ca=",
                     "give the CA that signed it; if it is right already, this is not your server");
    default:
      return refused(kServerRefused, "see the reason; the server's certificate must be mended");
  }
}

// alert_of says what the server's alert, or OpenSSL's own refusal, means; `error` is OpenSSL's.
Status alert_of(unsigned long error, Literal call) {
  const auto failed = [&](Errc code, Literal message, Literal hint) {
    const char* text = ERR_reason_error_string(error);
    return Status::from_native(code, Native::kOpenssl,
                               static_cast<std::uint32_t>(ERR_GET_REASON(error)),
                               text == nullptr ? "unknown" : text, call, message, hint);
  };
  switch (ERR_GET_REASON(error)) {
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
      return failed(Errc::kDenied, kClientRefused,
                    "it has expired, or the server's clock is wrong: renew it");
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
    case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
    case SSL_R_TLSV1_ALERT_ACCESS_DENIED:
    case SSL_R_TLSV1_ALERT_DECRYPT_ERROR:
    case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
      return failed(Errc::kDenied, kClientRefused,
                    "register it, and the CA that signed it, with the server; it needs the use "
                    "clientAuth");
    case SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE:
    case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
    case SSL_R_TLSV1_ALERT_INSUFFICIENT_SECURITY:
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_VERSION_TOO_LOW:
    case SSL_R_NO_PROTOCOLS_AVAILABLE:
      return failed(Errc::kUnsupported,
                    "the KMIP server and rewrap have no TLS version or cipher suite in common",
                    "the server must offer TLS 1.2 or 1.3 with an ECDHE or DHE suite");
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_RECORD_LENGTH_MISMATCH:
    case SSL_R_PACKET_LENGTH_TOO_LONG:
    case SSL_R_HTTP_REQUEST:
      return failed(Errc::kUnavailable, "what answers at the KMIP server's port does not speak TLS",
                    "check the URI's host and port (usually 5696)");
    case SSL_R_UNEXPECTED_EOF_WHILE_READING:
      return failed(Errc::kUnavailable, kCutOff, kCutOffHint);
    default:
      return failed(Errc::kUnavailable, "TLS with the KMIP server failed",
                    "see the reason and the server's log");
  }
}

}  // namespace

void SslContextDeleter::operator()(ssl_ctx_st* context) const { SSL_CTX_free(context); }
void SslDeleter::operator()(ssl_st* ssl) const { SSL_free(ssl); }

Result<TlsContext> TlsContext::create(const TlsIdentity& identity) {
  std::unique_ptr<ssl_ctx_st, SslContextDeleter> context(SSL_CTX_new(TLS_client_method()));
  if (context == nullptr) return openssl_failed();
  SSL_CTX* raw = context.get();
  // Cleanse: a key that was read must not stay in OpenSSL's buffers. No sessions: each connection
  // looks at the certificates anew.
  SSL_CTX_set_options(raw, SSL_OP_CLEANSE_PLAINTEXT | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET);
  SSL_CTX_set_session_cache_mode(raw, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_verify(raw, SSL_VERIFY_PEER, nullptr);
  if (SSL_CTX_set_min_proto_version(raw, TLS1_2_VERSION) != 1 ||
      SSL_CTX_set_cipher_list(raw, kCipherSuites) != 1) {
    return openssl_failed();
  }
  REWRAP_TRY(trust(raw, identity.ca));
  REWRAP_TRY(use_certificate(raw, identity.certificate));
  REWRAP_TRY(use_key(raw, identity.key));
  return TlsContext(std::move(context));
}

Result<std::unique_ptr<TlsConnection>> TlsConnection::open(const TlsContext& context,
                                                           const std::string& host,
                                                           std::uint16_t port,
                                                           TlsDeadline deadline) {
  REWRAP_ASSIGN(const int fd, connect_socket(host, port, deadline));
  std::unique_ptr<TlsConnection> connection(
      new TlsConnection(fd, std::unique_ptr<ssl_st, SslDeleter>(SSL_new(context.get()))));
  SSL* ssl = connection->ssl_.get();
  if (ssl == nullptr || SSL_set_fd(ssl, fd) != 1 || !expect_host(ssl, host))
    return openssl_failed();
  REWRAP_TRY(connection->handshake(deadline));
  return connection;
}

TlsConnection::~TlsConnection() {
  if (ssl_ != nullptr && !broken_ && guard_.is_owner()) {
    const SigpipeGuard sigpipe;
    ERR_clear_error();
    SSL_shutdown(ssl_.get());  // says goodbye, and does not wait for the answer
    ERR_clear_error();
  }
  close(fd_);
}

// wait_for makes the call possible that ended with `ssl_result`, or says why it cannot be.
Status TlsConnection::wait_for(int ssl_result, TlsDeadline deadline, Literal call) {
  const int kind = SSL_get_error(ssl_.get(), ssl_result);
  const int error = errno;
  if (kind == SSL_ERROR_WANT_READ || kind == SSL_ERROR_WANT_WRITE) {
    if (poll_for(fd_, kind == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT, deadline)) return {};
    broken_ = true;
    return too_slow();
  }
  broken_ = true;
  const unsigned long openssl_error = ERR_peek_error();
  ERR_clear_error();
  const long verdict = SSL_get_verify_result(ssl_.get());
  if (verdict != X509_V_OK) return refusal_of(verdict);
  was_cut_off_ =
      openssl_error == 0 || ERR_GET_REASON(openssl_error) == SSL_R_UNEXPECTED_EOF_WHILE_READING;
  if (openssl_error != 0) return alert_of(openssl_error, call);
  if (kind == SSL_ERROR_SYSCALL && error != 0) {
    return Status::from_native(Errc::kUnavailable, Native::kPosix,
                               static_cast<std::uint32_t>(error), strerrordesc_np(error), call,
                               kCutOff, kCutOffHint);
  }
  return {Errc::kUnavailable, kCutOff, kCutOffHint};
}

Status TlsConnection::handshake(TlsDeadline deadline) {
  const SigpipeGuard sigpipe;
  while (true) {
    ERR_clear_error();
    errno = 0;
    const int result = SSL_connect(ssl_.get());
    if (result == 1) return {};
    REWRAP_TRY(wait_for(result, deadline, "SSL_connect"));
  }
}

Status TlsConnection::write(ByteView bytes, TlsDeadline deadline) {
  REWRAP_TRY(guard_.check());
  const SigpipeGuard sigpipe;
  while (!bytes.empty()) {
    ERR_clear_error();
    errno = 0;
    std::size_t put = 0;
    const int result = SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &put);
    if (result != 1) REWRAP_TRY(wait_for(result, deadline, "SSL_write"));
    bytes = bytes.subspan(put);
  }
  return {};
}

Status TlsConnection::read(ByteSpan bytes, TlsDeadline deadline) {
  REWRAP_TRY(guard_.check());
  const SigpipeGuard sigpipe;
  while (!bytes.empty()) {
    ERR_clear_error();
    errno = 0;
    std::size_t got = 0;
    const int result = SSL_read_ex(ssl_.get(), bytes.data(), bytes.size(), &got);
    if (result != 1) REWRAP_TRY(wait_for(result, deadline, "SSL_read"));
    bytes = bytes.subspan(got);
  }
  return {};
}

std::string TlsConnection::description() const {
  return std::string(SSL_get_version(ssl_.get())) + " " + SSL_get_cipher_name(ssl_.get());
}

}  // namespace rewrap
