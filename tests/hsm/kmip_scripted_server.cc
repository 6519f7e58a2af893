// The server side of TLS, and answers from parts.
#include "tests/hsm/kmip_scripted_server.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <utility>

namespace rewrap::test {
namespace {

constexpr int kPollMs = 5;
constexpr timeval kReadLimit = {.tv_sec = 10, .tv_usec = 0};  // a client that never goes

void expect(bool done, const char* what) {
  if (done) return;
  (void)std::fprintf(stderr, "kmip_scripted_server: %s failed\n", what);
  std::abort();
}

BIO* bio_of(const std::string& text) {
  return BIO_new_mem_buf(text.data(), static_cast<int>(text.size()));
}

ssl_ctx_st* make_context(const ScriptedTerms& terms) {
  const TestCa& signer = terms.signer == nullptr ? ScriptedServer::ca() : *terms.signer;
  const PemPair pair = signer.issue(terms.certificate);
  SSL_CTX* context = SSL_CTX_new(TLS_server_method());
  BIO* bio = bio_of(pair.certificate);
  X509* certificate = PEM_read_bio_X509(bio, nullptr, nullptr, nullptr);
  BIO_free(bio);
  bio = bio_of(pair.key);
  EVP_PKEY* key = PEM_read_bio_PrivateKey(bio, nullptr, nullptr, nullptr);
  BIO_free(bio);
  const std::string ca_pem = ScriptedServer::ca().certificate();
  bio = bio_of(ca_pem);
  X509* ca = PEM_read_bio_X509(bio, nullptr, nullptr, nullptr);
  BIO_free(bio);
  expect(SSL_CTX_use_certificate(context, certificate) == 1 &&
             SSL_CTX_use_PrivateKey(context, key) == 1 &&
             X509_STORE_add_cert(SSL_CTX_get_cert_store(context), ca) == 1,
         "make_context");
  X509_free(certificate);
  X509_free(ca);
  EVP_PKEY_free(key);
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  SSL_CTX_set_security_level(context, 0);  // so that it can be made to speak what is too old
  if (terms.tls_version != 0) {
    SSL_CTX_set_min_proto_version(context, terms.tls_version);
    SSL_CTX_set_max_proto_version(context, terms.tls_version);
  }
  if (!terms.ciphers.empty())
    expect(SSL_CTX_set_cipher_list(context, terms.ciphers.c_str()) == 1, "SSL_CTX_set_cipher_list");
  return context;
}

void write_header(TtlvWriter& out) {
  out.structure(kmip::kResponseHeader, [&] {
    out.structure(kmip::kProtocolVersion, [&] {
      out.integer(kmip::kProtocolVersionMajor, 1);
      out.integer(kmip::kProtocolVersionMinor, 2);
    });
    const std::array<std::uint8_t, 8> time{0, 0, 0, 0, 0x65, 0, 0, 0};
    out.item(0x420092, TtlvType::kDateTime, time);  // Time Stamp
    out.integer(kmip::kBatchCount, 1);
  });
}

template <typename Body>
void write_attribute(TtlvWriter& out, std::string_view name, const Body& body) {
  out.structure(kmip::kAttribute, [&] {
    out.text(kmip::kAttributeName, name);
    body();
  });
}

// write_kind says that a key is one that may be a root key.
void write_kind(TtlvWriter& out) {
  write_attribute(out, "Object Type",
                  [&] { out.enumeration(kmip::kAttributeValue, kmip::kObjectTypeSymmetricKey); });
  write_attribute(out, "Cryptographic Algorithm",
                  [&] { out.enumeration(kmip::kAttributeValue, kmip::kAlgorithmAes); });
  write_attribute(out, "Cryptographic Length", [&] { out.integer(kmip::kAttributeValue, 256); });
  write_attribute(out, "Cryptographic Usage Mask",
                  [&] { out.integer(kmip::kAttributeValue, 0x30); });
}

TtlvItem batch_item_of(const Bytes& request) {
  const auto message = parse_ttlv(request);
  expect(message.ok(), "parse_ttlv of a request");
  const auto item = child(message.value(), kmip::kBatchItem, TtlvType::kStructure);
  expect(item.ok(), "the request's batch item");
  return item.value();
}

}  // namespace

std::optional<Bytes> Peer::request() {
  Bytes message(kTtlvHeaderLen);
  std::size_t have = 0;
  while (have < message.size()) {
    std::size_t got = 0;
    if (SSL_read_ex(ssl_, message.data() + have, message.size() - have, &got) != 1) return {};
    have += got;
    if (have == kTtlvHeaderLen) message.resize(kTtlvHeaderLen + load_be32(message.data() + 4));
  }
  return message;
}

bool Peer::send(ByteView bytes) {
  std::size_t put = 0;
  return bytes.empty() || SSL_write_ex(ssl_, bytes.data(), bytes.size(), &put) == 1;
}

void Peer::drip(ByteView bytes, std::chrono::milliseconds pause) {
  for (std::size_t i = 0; i < bytes.size() && send(bytes.subspan(i, 1)); ++i)
    std::this_thread::sleep_for(pause);
}

void Peer::wait_until_gone() {
  char scratch[64];
  while (recv(fd_, scratch, sizeof scratch, 0) > 0) {
  }
}

void Peer::cut() { shutdown(fd_, SHUT_RDWR); }

ScriptedServer::ScriptedServer(Script script, const ScriptedTerms& terms)
    : script_(std::move(script)), speaks_tls_(terms.speaks_tls), context_(make_context(terms)) {
  static_cast<void>(std::signal(SIGPIPE, SIG_IGN));
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t len = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  expect(bind(listener_, generic, len) == 0 && listen(listener_, 8) == 0 &&
             getsockname(listener_, generic, &len) == 0,
         "listen");
  port_ = ntohs(address.sin_port);
  thread_ = std::thread([this] { serve(); });
}

ScriptedServer::~ScriptedServer() {
  stopping_ = true;
  thread_.join();
  close(listener_);
  SSL_CTX_free(context_);
}

void ScriptedServer::serve() {
  while (!stopping_) {
    pollfd waiting{.fd = listener_, .events = POLLIN, .revents = 0};
    if (poll(&waiting, 1, kPollMs) <= 0) continue;
    const int fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) continue;
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &kReadLimit, sizeof kReadLimit);
    serve_one(fd);
    close(fd);
  }
}

void ScriptedServer::serve_one(int fd) {
  ++num_connections_;
  SSL* ssl = SSL_new(context_);
  SSL_set_fd(ssl, fd);
  Peer peer(fd, ssl);
  if (!speaks_tls_ || SSL_accept(ssl) == 1) script_(peer);
  ERR_clear_error();
  if (speaks_tls_ && SSL_is_init_finished(ssl) == 1) SSL_shutdown(ssl);
  shutdown(fd, SHUT_WR);
  peer.wait_until_gone();  // else what was sent last, an alert, would be lost by a reset
  SSL_free(ssl);
  ERR_clear_error();
}

const TestCa& ScriptedServer::ca() {
  static const TestCa ca;
  return ca;
}

TlsIdentity ScriptedServer::identity() const {
  static const PemPair client = ca().issue(client_terms("rewrap"));
  return identity_of(ca().certificate(), client);
}

KmipEndpoint ScriptedServer::server() const { return server_for(identity()); }

KmipEndpoint ScriptedServer::server_for(TlsIdentity identity) const {
  return {.host = "127.0.0.1", .port = port_, .identity = std::move(identity)};
}

Bytes answer(kmip::Operation operation, const std::function<void(TtlvWriter&)>& body) {
  TtlvWriter out;
  out.structure(kmip::kResponseMessage, [&] {
    write_header(out);
    out.structure(kmip::kBatchItem, [&] {
      out.enumeration(kmip::kOperationTag, static_cast<std::uint32_t>(operation));
      out.enumeration(kmip::kResultStatus, kmip::kSuccess);
      out.structure(kmip::kResponsePayload, [&] { body(out); });
    });
  });
  return out.take();
}

Bytes failure(kmip::Operation operation, std::uint32_t reason) {
  TtlvWriter out;
  out.structure(kmip::kResponseMessage, [&] {
    write_header(out);
    out.structure(kmip::kBatchItem, [&] {
      out.enumeration(kmip::kOperationTag, static_cast<std::uint32_t>(operation));
      out.enumeration(kmip::kResultStatus, kmip::kOperationFailed);
      out.enumeration(kmip::kResultReason, reason);
      out.text(0x42007D, "words of the server\n\x1b[31m");  // Result Message
    });
  });
  return out.take();
}

Bytes versions_answer() {
  return answer(kmip::Operation::kDiscoverVersions, [](TtlvWriter& out) {
    for (const int minor : {4, 3, 2, 1}) {
      out.structure(kmip::kProtocolVersion, [&] {
        out.integer(kmip::kProtocolVersionMajor, 1);
        out.integer(kmip::kProtocolVersionMinor, minor);
      });
    }
  });
}

Bytes key_answer(const std::string& id, ByteView key) {
  return answer(kmip::Operation::kGet, [&](TtlvWriter& out) {
    out.enumeration(kmip::kObjectType, kmip::kObjectTypeSymmetricKey);
    out.text(kmip::kUniqueIdentifier, id);
    out.structure(kmip::kSymmetricKey, [&] {
      out.structure(kmip::kKeyBlock, [&] {
        out.enumeration(kmip::kKeyFormatType, kmip::kKeyFormatRaw);
        out.structure(kmip::kKeyValue,
                      [&] { out.item(kmip::kKeyMaterial, TtlvType::kByteString, key); });
        out.enumeration(kmip::kCryptographicAlgorithm, kmip::kAlgorithmAes);
        out.integer(kmip::kCryptographicLength, static_cast<std::int32_t>(8 * key.size()));
      });
    });
  });
}

Bytes id_answer(kmip::Operation operation, const std::string& id) {
  return answer(operation, [&](TtlvWriter& out) { out.text(kmip::kUniqueIdentifier, id); });
}

Bytes attributes_answer(const std::string& id, KmipState state) {
  return answer(kmip::Operation::kGetAttributes, [&](TtlvWriter& out) {
    out.text(kmip::kUniqueIdentifier, id);
    write_kind(out);
    write_attribute(out, "State", [&] {
      out.enumeration(kmip::kAttributeValue, static_cast<std::uint32_t>(state));
    });
  });
}

Bytes stateless_attributes_answer(const std::string& id) {
  return answer(kmip::Operation::kGetAttributes, [&](TtlvWriter& out) {
    out.text(kmip::kUniqueIdentifier, id);
    write_kind(out);
  });
}

Bytes locate_answer(std::initializer_list<std::string> ids) {
  return answer(kmip::Operation::kLocate, [&](TtlvWriter& out) {
    for (const std::string& id : ids) out.text(kmip::kUniqueIdentifier, id);
  });
}

Bytes query_answer() {
  return answer(kmip::Operation::kQuery, [](TtlvWriter& out) {
    for (const std::uint32_t operation : {0x01U, 0x08U, 0x0AU, 0x12U})
      out.enumeration(kmip::kOperationTag, operation);
    out.text(kmip::kVendorIdentification, "a scripted server");
  });
}

kmip::Operation operation_of(const Bytes& request) {
  const auto operation = child_enumeration(batch_item_of(request), kmip::kOperationTag);
  expect(operation.ok(), "the request's operation");
  return static_cast<kmip::Operation>(operation.value());
}

std::string id_in(const Bytes& request) {
  const auto payload = child(batch_item_of(request), kmip::kRequestPayload, TtlvType::kStructure);
  expect(payload.ok(), "the request's payload");
  const auto id = child_text(payload.value(), kmip::kUniqueIdentifier, kMaxKmipIdLen);
  return id.ok() ? id.value() : std::string();
}

}  // namespace rewrap::test
