// Members are written in the order in which a person reads them.
#include "api/native/resources.h"

#include <array>
#include <boost/json/array.hpp>
#include <string>
#include <utility>

#include "rekey/jsonl.h"

namespace rewrap::native {
namespace {

namespace json = boost::json;

json::value time_or_null(std::uint64_t seconds) {
  return seconds == 0 ? json::value(nullptr) : json::value(seconds);
}

const char* kek_state_name(KekState state) {
  return state == KekState::kDestroyed ? "destroyed" : "usable";
}

const char* quarantine_reason_name(QuarantineReason reason) {
  return reason == QuarantineReason::kImport ? "import" : "rekey";
}

constexpr std::array<std::pair<Permission, const char*>, 5> kPermissionNames = {{
    {Permission::kRead, "read"},
    {Permission::kRekey, "rekey"},
    {Permission::kConfigure, "configure"},
    {Permission::kAccounts, "accounts"},
    {Permission::kReadAudit, "read_audit"},
}};

json::object protector_json(const KeyProtector& protector) {
  return {{"root", protector.root_uri},
          {"mechanism", protector.mechanism},
          {"root_key", protector.key_ref}};
}

json::value error_or_null(const JobError& error) {
  if (error.reason == Reason::kNone) return nullptr;
  return json::object{
      {"reason", reason_name(error.reason)}, {"message", error.message}, {"hint", error.hint}};
}

json::object version_json(const VersionCount& count) {
  json::array refs;
  for (const std::string& ref : count.key_refs) refs.emplace_back(ref);
  return {{"version", count.version},
          {"state", kek_state_name(count.state)},
          {"created", time_or_null(count.created_at)},
          {"deks", count.deks},
          {"quarantined", count.quarantined},
          {"segments", count.segments},
          {"root_keys", std::move(refs)}};
}

}  // namespace

json::object job_json(const Job& job) {
  return {{"uuid", format_uuid(job.uuid)},
          {"handle", job.handle},
          {"kind", job_kind_name(job.kind)},
          {"state", job_state_name(job.state)},
          {"phase", job_phase_name(job.phase)},
          {"requested", job_request_name(job.request)},
          {"keyset", job.keyset},
          {"from_version", job.from_version},
          {"to_version", job.to_version},
          {"done", job.progress.done},
          {"total", job.progress.total},
          {"deks_per_second", job.progress.deks_per_second},
          {"seconds_left", job.progress.seconds_left},
          {"rate", job.rate_limit},
          {"decommission", job.decommission},
          {"quarantined", job.quarantined},
          {"damaged_segments", job.damaged_segments},
          {"origin", job_origin_name(job.origin)},
          {"user", job.user},
          {"description", job.description},
          {"created", time_or_null(job.created_at)},
          {"started", time_or_null(job.started_at)},
          {"updated", time_or_null(job.updated_at)},
          {"ended", time_or_null(job.ended_at)},
          {"error", error_or_null(job.error)}};
}

json::object keyset_json(const KeysetInfo& keyset) {
  json::object object{{"name", keyset.name},
                      {"uuid", format_uuid(keyset.uuid)},
                      {"wrap", algorithm_name(keyset.algorithm)},
                      {"dek_size", keyset.dek_len},
                      {"custody", custody_name(keyset.custody)},
                      {"created", time_or_null(keyset.created_at)},
                      {"current_version", keyset.current_version},
                      {"rekey_target", nullptr},
                      {"deks", keyset.deks},
                      {"verified_version", keyset.verified_version},
                      {"verified", time_or_null(keyset.verified_at)},
                      {"is_admin", keyset.is_admin},
                      {"job", nullptr}};
  if (keyset.rekey_target != 0) object["rekey_target"] = keyset.rekey_target;
  if (keyset.running) object["job"] = job_json(*keyset.running);
  return object;
}

json::object key_json(const KeyInfo& key) {
  json::object object{
      {"version", key.version},
      {"uuid", format_uuid(key.uuid)},
      {"state", kek_state_name(key.state)},
      {"management", key.management == KeyManagement::kExternal ? "external" : "internal"},
      {"provider", nullptr},
      {"created", time_or_null(key.created_at)},
      {"destroyed", time_or_null(key.destroyed_at)}};
  json::array protectors;
  for (const KeyProtector& protector : key.protectors)
    protectors.push_back(protector_json(protector));
  object["protectors"] = std::move(protectors);
  if (key.provider_id) object["provider"] = *key.provider_id;
  return object;
}

json::object census_json(const Census& census) {
  json::array versions;
  for (const VersionCount& count : census.versions) versions.push_back(version_json(count));
  return {{"versions", std::move(versions)},
          {"quarantined", census.quarantined()},
          {"foreign_quarantined", census.foreign_quarantined},
          {"unreadable_segments", census.unreadable_segments}};
}

json::object dek_json(const DekInfo& dek) {
  return {{"id", format_uuid(dek.id)},
          {"alg", alg_name(dek.algorithm, kKekLen)},
          {"kek_version", dek.version},
          {"dek_size", dek.dek_len},
          {"created", time_or_null(dek.created_at)}};
}

json::object quarantined_json(const QuarantinedDek& dek) {
  json::object object{{"id", format_uuid(dek.id)},
                      {"reason", quarantine_reason_name(dek.record.reason)},
                      {"wrap", algorithm_name(dek.record.algorithm)},
                      {"kek_version", nullptr},
                      {"since", time_or_null(dek.record.since)}};
  if (dek.record.version != 0) object["kek_version"] = dek.record.version;
  return object;
}

json::object node_json(const Node& node) {
  return {{"name", node.name},
          {"uuid", format_uuid(node.uuid)},
          {"is_local", node.is_local},
          {"is_online", node.is_online},
          {"registered", time_or_null(node.registered_at)},
          {"last_heartbeat", time_or_null(node.last_heartbeat)}};
}

json::object cluster_json(const Cluster& cluster) {
  return {{"name", cluster.name}, {"uuid", format_uuid(cluster.uuid)}};
}

json::object account_json(const Account& account) {
  json::array permissions;
  for (const auto& [permission, name] : kPermissionNames) {
    if (may(account.role, permission)) permissions.emplace_back(name);
  }
  return {{"name", account.name},
          {"role", role_name(account.role)},
          {"permissions", std::move(permissions)}};
}

}  // namespace rewrap::native
