// A TLS server on a loopback port that says what the test wants it to say, well-formed or not. It runs
// in a thread of its own and is gone with the object.
#ifndef REWRAP_TESTS_HSM_KMIP_SCRIPTED_SERVER_H_
#define REWRAP_TESTS_HSM_KMIP_SCRIPTED_SERVER_H_

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <thread>

#include "engine/base/bytes.h"
#include "hsm/kmip/client.h"
#include "hsm/kmip/ttlv.h"
#include "tests/hsm/kmip_pki.h"

struct ssl_ctx_st;
struct ssl_st;

namespace rewrap::test {

// Peer is the client of one connection, as the script sees it.
class Peer {
 public:
  Peer(int fd, ssl_st* ssl) : fd_(fd), ssl_(ssl) {}

  // request reads one message; nothing when the client has gone.
  std::optional<Bytes> request();
  // send sends bytes; false when the client has gone.
  bool send(ByteView bytes);
  // drip sends them one at a time.
  void drip(ByteView bytes, std::chrono::milliseconds pause);
  // wait_until_gone reads until the client closes.
  void wait_until_gone();
  // cut ends the connection in both directions without a word of TLS.
  void cut();

  [[nodiscard]] int fd() const { return fd_; }

 private:
  int fd_;
  ssl_st* ssl_;
};

struct ScriptedTerms {
  CertTerms certificate = {};      // the server's
  const TestCa* signer = nullptr;  // of the server's certificate; null: the fixture's CA
  int tls_version = 0;             // the only one; 0: any
  std::string ciphers = {};        // for TLS 1.2 and below; empty: OpenSSL's own
  bool speaks_tls = true;
};

class ScriptedServer {
 public:
  // Each connection runs `script` after the handshake; when that fails, it is not called.
  using Script = std::function<void(Peer&)>;

  explicit ScriptedServer(Script script, const ScriptedTerms& terms = {});
  ScriptedServer(const ScriptedServer&) = delete;
  ScriptedServer& operator=(const ScriptedServer&) = delete;
  ~ScriptedServer();

  // server names this server, with a client certificate that it accepts.
  [[nodiscard]] KmipEndpoint server() const;
  [[nodiscard]] KmipEndpoint server_for(TlsIdentity identity) const;
  [[nodiscard]] TlsIdentity identity() const;

  [[nodiscard]] static const TestCa& ca();
  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] int num_connections() const { return num_connections_; }

 private:
  void serve();
  void serve_one(int fd);

  Script script_;
  bool speaks_tls_;
  ssl_ctx_st* context_;
  int listener_ = -1;
  std::uint16_t port_ = 0;
  std::atomic<int> num_connections_ = 0;
  std::atomic<bool> stopping_ = false;
  std::thread thread_;
};

// answer makes a successful answer whose payload `body` writes; failure one that gives a reason.
Bytes answer(kmip::Operation operation, const std::function<void(TtlvWriter&)>& body);
Bytes failure(kmip::Operation operation, std::uint32_t reason);

// Answers as a sound server gives them.
Bytes versions_answer();
Bytes key_answer(const std::string& id, ByteView key);
Bytes id_answer(kmip::Operation operation, const std::string& id);
Bytes attributes_answer(const std::string& id, KmipState state);
Bytes stateless_attributes_answer(const std::string& id);
Bytes locate_answer(std::initializer_list<std::string> ids);
Bytes query_answer();

// operation_of gives the operation that a request asks for, id_in the Unique Identifier in it, if any.
kmip::Operation operation_of(const Bytes& request);
std::string id_in(const Bytes& request);

}  // namespace rewrap::test

#endif  // REWRAP_TESTS_HSM_KMIP_SCRIPTED_SERVER_H_
