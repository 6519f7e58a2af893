// External key management: the client's key pair, key providers, and key servers.
#include <boost/json/array.hpp>
#include <utility>

#include "api/element/handlers.h"
#include "api/element/records.h"

namespace rewrap::element {
namespace {

namespace json = boost::json;

// wrapped gives {name: value}.
json::object wrapped(std::string_view name, json::value value) {
  json::object result;
  result[name] = std::move(value);
  return result;
}

// done is the outcome of a method that has nothing to say. Ids are for the message; 0: not given.
Outcome done(const Answer<Done>& answer, std::int64_t provider_id, std::int64_t server_id) {
  if (!answer.ok()) return missing_id_error(answer.failure(), provider_id, server_id);
  return json::object();
}

Outcome provider_outcome(const Answer<KmipProvider>& provider, std::int64_t id) {
  if (!provider.ok()) return missing_id_error(provider.failure(), id, 0);
  return wrapped("kmipKeyProvider", provider_record(provider.value()));
}

Outcome server_outcome(const Answer<KmipServer>& server, std::int64_t id) {
  if (!server.ok()) return missing_id_error(server.failure(), 0, id);
  return wrapped("kmipKeyServer", server_record(server.value()));
}

std::int64_t provider_id(const Call& call) { return call.params.id("keyProviderID"); }
std::int64_t server_id(const Call& call) { return call.params.id("keyServerID"); }

KmipServerSettings settings_of(const Params& params) {
  KmipServerSettings settings;
  settings.name = params.text("kmipKeyServerName");
  settings.hosts = params.texts("kmipKeyServerHostnames");
  if (const auto port = params.integer("kmipKeyServerPort"))
    settings.port = static_cast<std::uint16_t>(*port);  // the table of methods has its bounds
  settings.ca_pem = params.text("kmipCaCertificate");
  settings.certificate_pem = params.text("kmipClientCertificate");
  return settings;
}

}  // namespace

Outcome create_key_pair(Call& call) {
  const auto part = [&](const char* name) { return call.params.text(name).value_or(""); };
  CertificateSubject subject;
  subject.common_name = part("commonName");
  subject.organization = part("organization");
  subject.organizational_unit = part("organizationalUnit");
  subject.locality = part("locality");
  subject.state = part("state");
  subject.country = part("country");
  subject.email = part("emailAddress");
  return done(call.backend->create_key_pair(subject, call.caller), 0, 0);
}

Outcome get_certificate_request(Call& call) {
  const auto request = call.backend->certificate_request();
  if (!request.ok()) return error_for(request.failure());
  return wrapped("clientCertificateSignRequest", json::string(request.value()));
}

Outcome create_provider(Call& call) {
  const std::string name = call.params.text("keyProviderName").value_or("");
  return provider_outcome(call.backend->create_provider(name, call.caller), 0);
}

Outcome delete_provider(Call& call) {
  const std::int64_t id = provider_id(call);
  return done(call.backend->delete_provider(id, call.caller), id, 0);
}

Outcome get_provider(Call& call) {
  const std::int64_t id = provider_id(call);
  return provider_outcome(call.backend->provider(id), id);
}

Outcome list_providers(Call& call) {
  const auto providers =
      call.backend->providers(call.params.boolean("keyProviderIsActive"),
                              call.params.boolean("kmipKeyProviderHasServerAssigned"));
  if (!providers.ok()) return error_for(providers.failure());
  json::array records;
  for (const KmipProvider& provider : providers.value())
    records.push_back(provider_record(provider));
  return wrapped("kmipKeyProviders", std::move(records));
}

Outcome test_provider(Call& call) {
  const std::int64_t id = provider_id(call);
  return done(call.backend->test_provider(id), id, 0);
}

Outcome create_server(Call& call) {
  return server_outcome(call.backend->create_server(settings_of(call.params), call.caller), 0);
}

Outcome modify_server(Call& call) {
  const std::int64_t id = server_id(call);
  return server_outcome(call.backend->modify_server(id, settings_of(call.params), call.caller), id);
}

Outcome delete_server(Call& call) {
  const std::int64_t id = server_id(call);
  return done(call.backend->delete_server(id, call.caller), 0, id);
}

Outcome get_server(Call& call) {
  const std::int64_t id = server_id(call);
  return server_outcome(call.backend->server(id), id);
}

Outcome list_servers(Call& call) {
  const auto servers = call.backend->servers(call.params.integer("keyProviderID"),
                                             call.params.boolean("kmipAssignedProviderIsActive"),
                                             call.params.boolean("kmipHasProviderAssigned"));
  if (!servers.ok()) return missing_id_error(servers.failure(), provider_id(call), 0);
  json::array records;
  for (const KmipServer& server : servers.value()) records.push_back(server_record(server));
  return wrapped("kmipKeyServers", std::move(records));
}

Outcome test_server(Call& call) {
  const std::int64_t id = server_id(call);
  return done(call.backend->test_server(id), 0, id);
}

Outcome add_server(Call& call) {
  const std::int64_t provider = provider_id(call);
  const std::int64_t server = server_id(call);
  return done(call.backend->add_server(provider, server, call.caller), provider, server);
}

Outcome remove_server(Call& call) {
  const std::int64_t id = server_id(call);
  return done(call.backend->remove_server(id, call.caller), 0, id);
}

}  // namespace rewrap::element
