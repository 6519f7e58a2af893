// Members are in the order of the documents.
#include "api/element/records.h"

#include <array>
#include <boost/json/array.hpp>
#include <boost/json/value.hpp>
#include <ctime>

#include "api/element/choices.h"

namespace rewrap::element {
namespace {

namespace json = boost::json;

// managed_by names a management as people read it.
std::string managed_by(const KeyInfo& key) {
  if (key.management == KeyManagement::kInternal) return "Internal Key Management";
  return "External Key Management with keyProviderID=" +
         std::to_string(key.provider_id.value_or(0));
}

// operation_text says what the job does, and what it waits for.
std::string operation_text(const Job& job, const RekeyKeys* keys) {
  std::string text = "Rekeying Master Key.";
  if (keys != nullptr && keys->moves && keys->new_key)
    text += " Master Key management being transferred from " +
            managed_by(keys->key_to_decommission) + " to " + managed_by(*keys->new_key);
  if (job.state != JobState::kPaused) return text;
  text += text.ends_with('.') ? " Paused" : ". Paused";
  if (!job.error.message.empty()) text += ": " + job.error.message;
  return text;
}

}  // namespace

std::string format_time(std::uint64_t seconds) {
  const auto time = static_cast<std::time_t>(seconds);
  std::tm parts{};
  if (gmtime_r(&time, &parts) == nullptr) return "1970-01-01T00:00:00Z";
  std::array<char, 64> text{};
  const std::size_t len = std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &parts);
  return {text.data(), len};
}

json::object key_record(const KeyInfo& key) {
  json::object record;
  if (key.created_at != 0) record["keyCreatedTime"] = format_time(key.created_at);
  record["keyID"] = format_uuid(key.uuid);
  const bool is_external = key.management == KeyManagement::kExternal;
  record["keyManagementType"] = is_external ? "external" : "internal";
  if (is_external && key.provider_id) record["keyProviderID"] = *key.provider_id;
  return record;
}

std::string_view rekey_state(const Job& job) {
  if (has_ended(job.state)) return "Ready";
  switch (job.phase) {
    case JobPhase::kRewrapping:
    case JobPhase::kVerifying:
      return "RewrapDataEncryptionKeys";
    case JobPhase::kDecommissioning:
      return "DecommissionOldMasterKey";
    case JobPhase::kNone:
    case JobPhase::kCreatingKek:
      break;
  }
  return "CreateNewMasterKey";
}

json::object rekey_record(Backend* backend, const Job& job) {
  const auto keys = backend->keys_of(job);
  json::object record;
  if (keys.ok()) {
    record["keyToDecommission"] = key_record(keys->key_to_decommission);
    if (keys->new_key) record["newKey"] = key_record(*keys->new_key);
  }
  record["operation"] = operation_text(job, keys.ok() ? &keys.value() : nullptr);
  record["state"] = rekey_state(job);
  return record;
}

json::object provider_record(const KmipProvider& provider) {
  json::array servers;
  for (const std::int64_t id : provider.server_ids) servers.emplace_back(id);
  return {{"keyProviderID", provider.id},
          {"keyProviderIsActive", provider.is_active},
          {"keyProviderName", provider.name},
          {"keyServerIDs", std::move(servers)},
          {"kmipCapabilities", kKmipCapabilities}};
}

json::object server_record(const KmipServer& server) {
  json::array hosts;
  for (const std::string& host : server.hosts) hosts.emplace_back(host);
  json::value provider;
  if (server.provider_id) provider = *server.provider_id;
  json::value is_active;
  if (server.provider_is_active) is_active = *server.provider_is_active;
  return {{"keyProviderID", provider},
          {"keyServerID", server.id},
          {"kmipAssignedProviderIsActive", is_active},
          {"kmipCaCertificate", server.ca_pem},
          {"kmipClientCertificate", server.certificate_pem},
          {"kmipKeyServerHostnames", std::move(hosts)},
          {"kmipKeyServerName", server.name},
          {"kmipKeyServerPort", server.port}};
}

}  // namespace rewrap::element
