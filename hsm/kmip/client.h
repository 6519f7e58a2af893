// A client of a KMIP server (KMIP 1.2 over mutual TLS): the operations by which a root key is made,
// found, fetched and ended. Usable by itself: connect, ask, get a precise error. One thread at a time.
#ifndef REWRAP_HSM_KMIP_CLIENT_H_
#define REWRAP_HSM_KMIP_CLIENT_H_

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/base/secret_buffer.h"
#include "engine/base/status.h"
#include "hsm/kmip/messages.h"
#include "hsm/kmip/tls.h"
#include "hsm/kmip/uri.h"

namespace rewrap {

// KmipEndpoint is where a server is, and how to be known to it.
struct KmipEndpoint {
  std::string host;  // a name, or an IPv4 or IPv6 address; the certificate must be for it
  std::uint16_t port = kKmipPort;
  TlsIdentity identity;
  std::chrono::milliseconds timeout{10'000};  // for each operation, connecting included
};

// KmipClient holds a connection. Every operation may fail with
//   kUnavailable  the server cannot be reached, is too slow, or answers what is no answer
//   kDenied       a certificate was refused, or the server does not allow the operation
//   kNotFound     there is no such key
//   kUnsupported  the server does not know the operation
// and the message and hint say more; see error.h for the server's own reasons. After kUnavailable the
// connection is let go, and the next operation makes a new one.
//
// An operation that only asks is tried once more on a new connection if the old one turns out to be
// dead: servers close idle ones. One that changes something is never sent twice: whether it was done is
// then not known, and is to be found out by locate and get_attributes.
class KmipClient {
 public:
  // connect connects, and makes sure that the server speaks KMIP 1.2.
  // Errors: kInvalidArgument  the certificates or the key are not what they should be
  //         kUnsupported      the server does not speak KMIP 1.2
  static Result<std::unique_ptr<KmipClient>> connect(const KmipEndpoint& server);

  // What only asks.
  Result<std::vector<KmipVersion>> discover_versions();
  Result<KmipServerInfo> query();
  Result<KmipAttributes> get_attributes(const std::string& id);
  // locate gives the ids of the symmetric keys of that name, at most `max_items` of them.
  Result<std::vector<std::string>> locate(const std::string& name, int max_items);
  // get gives the key's bytes. Errors: kRefused if it is not an AES-256 key in the clear.
  Result<SecretBuffer> get(const std::string& id);

  // What changes something. create gives the new key's id; the key is an AES-256 key for wrapping and
  // unwrapping only, in the state Pre-Active. revoke gives cessation of operation as the reason, and
  // leaves the key Deactivated; only then an active key can be destroyed.
  Result<std::string> create(const std::string& name);
  Status activate(const std::string& id);
  Status revoke(const std::string& id);
  Status destroy(const std::string& id);

  // tls says what protects the connection, e.g. "TLSv1.2 ECDHE-ECDSA-AES256-GCM-SHA384"; empty when
  // there is none.
  [[nodiscard]] std::string tls() const;

 private:
  // Answer keeps the message that the payload points into.
  struct Answer {
    SecretBuffer message;
    TtlvItem payload;
  };
  enum class Effect { kNone, kLasting };  // of an operation, on the server

  KmipClient(TlsContext context, std::string host, std::uint16_t port,
             std::chrono::milliseconds timeout)
      : context_(std::move(context)), host_(std::move(host)), port_(port), timeout_(timeout) {}

  Result<Answer> ask(kmip::Operation operation, const Bytes& request, Effect effect);
  Result<Answer> ask_once(kmip::Operation operation, const Bytes& request, TlsDeadline deadline);
  Result<SecretBuffer> exchange(const Bytes& request, TlsDeadline deadline);
  Result<SecretBuffer> read_message(TlsDeadline deadline);
  Status change(kmip::Operation operation, const std::string& id, const Bytes& request);

  TlsContext context_;
  std::string host_;
  std::uint16_t port_;
  std::chrono::milliseconds timeout_;
  std::unique_ptr<TlsConnection> connection_;
  bool was_cut_off_ = false;  // the last exchange failed because the connection ended
  ProcessGuard guard_;
};

}  // namespace rewrap

#endif  // REWRAP_HSM_KMIP_CLIENT_H_
