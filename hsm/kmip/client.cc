// One request, one answer, on one connection.
#include "hsm/kmip/client.h"

#include <algorithm>
#include <array>
#include <utility>

namespace rewrap {

using kmip::Operation;

Result<std::unique_ptr<KmipClient>> KmipClient::connect(const KmipEndpoint& server) {
  REWRAP_ASSIGN(TlsContext context, TlsContext::create(server.identity));
  std::unique_ptr<KmipClient> client(
      new KmipClient(std::move(context), server.host, server.port, server.timeout));
  REWRAP_ASSIGN(const auto versions, client->discover_versions());
  if (std::find(versions.begin(), versions.end(), kKmipVersion) == versions.end()) {
    return Status(Errc::kUnsupported, "the KMIP server does not speak KMIP 1.2",
                  "turn version 1.2 on for this client, or use a newer server");
  }
  return client;
}

Result<std::vector<KmipVersion>> KmipClient::discover_versions() {
  REWRAP_ASSIGN(const Answer answer,
                ask(Operation::kDiscoverVersions, discover_versions_request(), Effect::kNone));
  return read_versions(answer.payload);
}

Result<KmipServerInfo> KmipClient::query() {
  REWRAP_ASSIGN(const Answer answer, ask(Operation::kQuery, query_request(), Effect::kNone));
  return read_server_info(answer.payload);
}

Result<KmipAttributes> KmipClient::get_attributes(const std::string& id) {
  REWRAP_ASSIGN(const Answer answer,
                ask(Operation::kGetAttributes, get_attributes_request(id), Effect::kNone));
  REWRAP_ASSIGN(const std::string id_seen, read_id(answer.payload));
  if (id_seen != id) return garbled_answer();
  return read_attributes(answer.payload);
}

Result<std::vector<std::string>> KmipClient::locate(const std::string& name, int max_items) {
  REWRAP_ASSIGN(const Answer answer,
                ask(Operation::kLocate, locate_request(name, max_items), Effect::kNone));
  return read_ids(answer.payload);
}

Result<SecretBuffer> KmipClient::get(const std::string& id) {
  REWRAP_ASSIGN(const Answer answer, ask(Operation::kGet, get_request(id), Effect::kNone));
  REWRAP_ASSIGN(const ByteView key, read_key(answer.payload, id));
  return SecretBuffer::copy_of(key);
}

Result<std::string> KmipClient::create(const std::string& name) {
  REWRAP_ASSIGN(const Answer answer,
                ask(Operation::kCreate, create_request(name), Effect::kLasting));
  return read_id(answer.payload);
}

Status KmipClient::activate(const std::string& id) {
  return change(Operation::kActivate, id, activate_request(id));
}

Status KmipClient::revoke(const std::string& id) {
  return change(Operation::kRevoke, id, revoke_request(id));
}

Status KmipClient::destroy(const std::string& id) {
  return change(Operation::kDestroy, id, destroy_request(id));
}

std::string KmipClient::tls() const {
  return connection_ == nullptr ? std::string() : connection_->description();
}

Status KmipClient::change(Operation operation, const std::string& id, const Bytes& request) {
  REWRAP_ASSIGN(const Answer answer, ask(operation, request, Effect::kLasting));
  REWRAP_ASSIGN(const std::string id_seen, read_id(answer.payload));
  return id_seen == id ? Status() : garbled_answer();
}

Result<KmipClient::Answer> KmipClient::ask(Operation operation, const Bytes& request,
                                           Effect effect) {
  REWRAP_TRY(guard_.check());
  const TlsDeadline deadline = std::chrono::steady_clock::now() + timeout_;
  const bool was_connected = connection_ != nullptr;
  auto answer = ask_once(operation, request, deadline);
  const bool was_idle_too_long = was_connected && was_cut_off_;
  if (was_idle_too_long && effect == Effect::kNone) return ask_once(operation, request, deadline);
  if (!answer.ok() && answer.status().code() == Errc::kUnavailable && effect == Effect::kLasting) {
    return answer.status().with_hint(
        "the server may have done it or not: run the command again, which looks first");
  }
  return answer;
}

Result<KmipClient::Answer> KmipClient::ask_once(Operation operation, const Bytes& request,
                                                TlsDeadline deadline) {
  REWRAP_ASSIGN(SecretBuffer message, exchange(request, deadline));
  const auto payload = payload_of(std::as_const(message).expose_secret(), operation);
  // After a broken answer it would be a guess what the next one belongs to.
  if (!payload.ok() && payload.status().native() != Native::kKmip) connection_.reset();
  if (!payload.ok()) return payload.status();
  return Answer{.message = std::move(message), .payload = payload.value()};
}

// exchange sends the request and reads what comes; a connection on which that fails is let go.
Result<SecretBuffer> KmipClient::exchange(const Bytes& request, TlsDeadline deadline) {
  was_cut_off_ = false;
  if (connection_ == nullptr) {
    REWRAP_ASSIGN(connection_, TlsConnection::open(context_, host_, port_, deadline));
  }
  const Status sent = connection_->write(request, deadline);
  auto message = sent.ok() ? read_message(deadline) : Result<SecretBuffer>(sent);
  if (message.ok()) return message;
  was_cut_off_ = connection_->was_cut_off();
  connection_.reset();
  return message;
}

Result<SecretBuffer> KmipClient::read_message(TlsDeadline deadline) {
  std::array<std::uint8_t, kTtlvHeaderLen> header{};
  REWRAP_TRY(connection_->read(header, deadline));
  REWRAP_ASSIGN(const std::size_t body_len, ttlv_body_len(header, kmip::kResponseMessage));
  REWRAP_ASSIGN(SecretBuffer message, SecretBuffer::create(kTtlvHeaderLen + body_len));
  copy_bytes(message.expose_secret(), header);
  REWRAP_TRY(connection_->read(message.expose_secret().subspan(kTtlvHeaderLen), deadline));
  return message;
}

}  // namespace rewrap
