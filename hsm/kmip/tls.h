// TLS to a KMIP server, by OpenSSL: version 1.2 or later, with forward secrecy, the server's
// certificate and name always verified, a client certificate always given (KMIP Profiles 1.2, 3.1).
// There is no way to turn any of that off. Lengths are bytes.
#ifndef REWRAP_HSM_KMIP_TLS_H_
#define REWRAP_HSM_KMIP_TLS_H_

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "engine/base/bytes.h"
#include "engine/base/secret_buffer.h"
#include "engine/base/status.h"
#include "hsm/process_guard.h"

// OpenSSL's own names; its headers are for the .cc files.
struct ssl_ctx_st;
struct ssl_st;

namespace rewrap {

// What a TLS client is known by, and whom it trusts; all PEM.
struct TlsIdentity {
  std::string ca;  // one or more certificates; nobody else is trusted, not the system's CAs
  std::string certificate;  // the client's, and the chain up to what the server trusts
  SecretBuffer key;         // the client's private key, not encrypted
};

using TlsDeadline = std::chrono::steady_clock::time_point;

struct SslContextDeleter {
  void operator()(ssl_ctx_st* context) const;
};
struct SslDeleter {
  void operator()(ssl_st* ssl) const;
};

// TlsContext holds an identity in OpenSSL's form; the private key then lives in OpenSSL's memory.
// Any thread may use one.
class TlsContext {
 public:
  // Errors: kInvalidArgument  not PEM, an encrypted key, or a key of another certificate
  static Result<TlsContext> create(const TlsIdentity& identity);
  [[nodiscard]] ssl_ctx_st* get() const { return context_.get(); }

 private:
  explicit TlsContext(std::unique_ptr<ssl_ctx_st, SslContextDeleter> context)
      : context_(std::move(context)) {}
  std::unique_ptr<ssl_ctx_st, SslContextDeleter> context_;
};

// TlsConnection is one connection. One thread at a time. After any failure it is of no more use.
class TlsConnection {
 public:
  // open connects to `host` (a name, or an IPv4 or IPv6 address) and does the handshake. Looking the
  // name up may take longer than the deadline.
  // Errors: kUnavailable  no such name, nothing listens there, no TLS there, the deadline has passed
  //         kDenied       one side refused the other's certificate; the message says which and why
  //         kUnsupported  no version or cipher suite in common
  static Result<std::unique_ptr<TlsConnection>> open(const TlsContext& context,
                                                     const std::string& host, std::uint16_t port,
                                                     TlsDeadline deadline);
  TlsConnection(const TlsConnection&) = delete;
  TlsConnection& operator=(const TlsConnection&) = delete;
  ~TlsConnection();

  // write sends all of `bytes`; read fills `bytes`. Errors: kUnavailable; kDenied if the server
  // refuses the client's certificate only now, as TLS 1.3 allows.
  Status write(ByteView bytes, TlsDeadline deadline);
  Status read(ByteSpan bytes, TlsDeadline deadline);

  // was_cut_off says whether the failure was that the server, or the network, ended the connection.
  [[nodiscard]] bool was_cut_off() const { return was_cut_off_; }

  // description gives the version and the cipher suite, e.g. "TLSv1.2 ECDHE-ECDSA-AES256-GCM-SHA384".
  [[nodiscard]] std::string description() const;

 private:
  TlsConnection(int fd, std::unique_ptr<ssl_st, SslDeleter> ssl) : fd_(fd), ssl_(std::move(ssl)) {}
  Status handshake(TlsDeadline deadline);
  Status wait_for(int ssl_result, TlsDeadline deadline, Literal call);

  int fd_;
  std::unique_ptr<ssl_st, SslDeleter> ssl_;
  bool broken_ = false;
  bool was_cut_off_ = false;
  ProcessGuard guard_;  // a forked child must not end its parent's connection
};

}  // namespace rewrap

#endif  // REWRAP_HSM_KMIP_TLS_H_
