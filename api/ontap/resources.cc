// Tables of fields, and the records.
#include "api/ontap/resources.h"

#include <array>
#include <utility>

#include "api/ontap/choices.h"
#include "api/ontap/errors.h"
#include "api/ontap/reply.h"

namespace rewrap::ontap {
namespace {

namespace json = boost::json;

constexpr auto kString = FieldType::kString;
constexpr auto kUuid = FieldType::kUuid;
constexpr auto kInteger = FieldType::kInteger;
constexpr auto kBoolean = FieldType::kBoolean;
constexpr auto kTime = FieldType::kTime;
constexpr auto kEnum = FieldType::kEnum;
constexpr auto kRo = Access::kRo;
constexpr auto kRc = Access::kRc;
constexpr auto kRm = Access::kRm;
constexpr auto kRw = Access::kRw;
constexpr auto kWo = Access::kWo;
constexpr auto kAlways = Shown::kAlways;
constexpr auto kStandard = Shown::kStandard;
constexpr auto kAdvanced = Shown::kAdvanced;

constexpr std::int64_t kMaxPort = 65'535;
constexpr std::int64_t kMaxPeriod = 2'147'483'647;

constexpr std::array kAwsKms = {
    Field{"uuid", kUuid, kRo, kAlways},
    Field{"scope", kEnum, kRo, kStandard, false, "svm,cluster"},
    Field{"svm.uuid", kUuid, kRc},
    Field{"svm.name", kString, kRc},
    Field{"region", kString, kRw, kStandard, true},
    Field{"key_id", kString, kRc, kStandard, true},
    Field{"access_key_id", kString, kRw, kStandard, true},
    Field{"secret_access_key", kString, kWo, kStandard, true},
    Field{"service", kString, kRw},
    Field{"default_domain", kString, kRw},
    Field{"host", kString, kRw},
    Field{"port", kInteger, kRw, kStandard, false, {}, 1, kMaxPort},
    Field{"polling_period", kInteger, kRw, kStandard, false, {}, 1, kMaxPeriod},
    Field{"timeout", kInteger, kRm, kStandard, false, {}, 1, kMaxPeriod},
    Field{"verify", kBoolean, kRm},
    Field{"verify_host", kBoolean, kRm},
    Field{"verify_ip", kBoolean, kRm},
    Field{"skip_verify", kBoolean, kRm},
    Field{"proxy_type", kEnum, kRw, kStandard, false, "http,https"},
    Field{"proxy_host", kString, kRw},
    Field{"proxy_port", kInteger, kRw, kStandard, false, {}, 1, kMaxPort},
    Field{"proxy_username", kString, kRw},
    Field{"proxy_password", kString, kWo},
    Field{"encryption_context", kString, kRw},
    Field{"state.cluster_state", kBoolean, kRo, kAdvanced},
    Field{"state.code", kString, kRo, kAdvanced},
    Field{"state.message", kString, kRo, kAdvanced},
    Field{"amazon_reachability.reachable", kBoolean, kRo, kAdvanced},
    Field{"amazon_reachability.code", kString, kRo, kAdvanced},
    Field{"amazon_reachability.message", kString, kRo, kAdvanced},
    Field{"ekmip_reachability.node.name", kString, kRo, kAdvanced},
    Field{"ekmip_reachability.node.uuid", kUuid, kRo, kAdvanced},
    Field{"ekmip_reachability.reachable", kBoolean, kRo, kAdvanced},
    Field{"ekmip_reachability.code", kString, kRo, kAdvanced},
    Field{"ekmip_reachability.message", kString, kRo, kAdvanced},
};

// Of these only key_id counts; older clients send the others.
constexpr std::array kRekeyExternal = {
    Field{"key_id", kString, kRc, kStandard, true},
    Field{"scope", kEnum, kRc, kStandard, false, "svm,cluster"},
    Field{"svm.uuid", kUuid, kRc},
    Field{"svm.name", kString, kRc},
};

constexpr std::array kJob = {
    Field{"uuid", kUuid, kRo, kAlways},
    Field{"description"},
    Field{"state", kEnum, kRo, kStandard, false, "queued,running,paused,success,failure"},
    Field{"message"},
    Field{"code", kInteger},
    Field{"error.message"},
    Field{"error.code"},
    Field{"start_time", kTime},
    Field{"end_time", kTime},
    Field{"node.name"},
    Field{"svm.uuid", kUuid},
    Field{"svm.name"},
};

constexpr std::array kCluster = {
    Field{"uuid", kUuid, kRo, kAlways},
    Field{"name", kString, kRo, kAlways},
    Field{"version.full"},
    Field{"version.generation", kInteger},
    Field{"version.major", kInteger},
    Field{"version.minor", kInteger},
};

constexpr std::array kNode = {
    Field{"uuid", kUuid, kRo, kAlways},
    Field{"name", kString, kRo, kAlways},
    Field{"version.full"},
    Field{"version.generation", kInteger},
    Field{"version.major", kInteger},
    Field{"version.minor", kInteger},
    Field{"state", kEnum, kRo, kStandard, false, "up,down"},
};

constexpr std::array kSvm = {
    Field{"uuid", kUuid, kRo, kAlways},
    Field{"name", kString, kRo, kAlways},
    Field{"state", kEnum, kRo, kStandard, false, "running"},
};

constexpr std::array kKeyStore = {
    Field{"uuid", kUuid, kRo, kAlways},
    Field{"type", kEnum, kRo, kStandard, false, "okm,kmip,akv,gcp,aws,ikp,barbican"},
    Field{"location", kEnum, kRo, kStandard, false, "onboard,external"},
    Field{"enabled", kBoolean},
    Field{"scope", kEnum, kRo, kStandard, false, "svm,cluster"},
    Field{"state", kEnum, kRo, kStandard, false,
          "active,mixed,svm_kek_rekey,blocked,switching,initializing,disabling"},
    Field{"svm.uuid", kUuid},
    Field{"svm.name"},
};

json::object svm_object(const Uuid& uuid, const std::string& name) {
  const std::string text = format_uuid(uuid);
  return {{"uuid", text}, {"name", name}, {"_links", self_link("/api/svm/svms/" + text)}};
}

// set_text leaves out what is empty: a field that is not set is absent.
void set_text(json::object* record, std::string_view name, const std::string& value) {
  if (!value.empty()) (*record)[name] = value;
}

template <typename T>
void set_value(json::object* record, std::string_view name, const std::optional<T>& value) {
  if (value) (*record)[name] = *value;
}

json::object version() {
  return {
      {"full", kFullVersion}, {"generation", kGeneration}, {"major", kMajor}, {"minor", kMinor}};
}

json::object reachability(bool reachable, std::int64_t code, std::string_view message) {
  return {{"reachable", reachable},
          {"code", reachable ? "0" : std::to_string(code)},
          {"message", reachable ? "" : message}};
}

constexpr std::int64_t kKekUnavailable = 65537551;
constexpr std::int64_t kNodeUnavailable = 65537552;
constexpr std::int64_t kAwsUnreachable = 65537915;

void set_state(json::object* record, const AwsKmsState& state) {
  (*record)["state"] = {
      {"cluster_state", state.protected_everywhere},
      {"code", state.protected_everywhere ? "0" : std::to_string(kKekUnavailable)},
      {"message", state.message}};
  (*record)["amazon_reachability"] =
      reachability(state.amazon.reachable, kAwsUnreachable, state.amazon.message);
  json::array nodes;
  for (const NodeReachability& node : state.nodes) {
    const std::string uuid = format_uuid(node.node_uuid);
    json::object entry =
        reachability(node.reachability.reachable, kNodeUnavailable, node.reachability.message);
    entry["node"] = {
        {"name", node.node}, {"uuid", uuid}, {"_links", self_link("/api/cluster/nodes/" + uuid)}};
    nodes.push_back(std::move(entry));
  }
  (*record)["ekmip_reachability"] = std::move(nodes);
}

// progress_message is what a job that has not ended says.
std::string progress_message(const Job& job) {
  if (job.state == JobState::kQueued) return "queued";
  if (job.state == JobState::kPaused && job.error.reason != Reason::kNone)
    return "waiting: " + job.error.message;
  const std::string done =
      std::to_string(job.progress.done) + " of " + std::to_string(job.progress.total) + " keys";
  return (job.state == JobState::kPaused ? "paused: " : "in progress: ") + done;
}

void set_outcome(json::object* record, const Job& job) {
  if (job.state == JobState::kSucceeded) {
    (*record)["message"] = "success";
    (*record)["code"] = 0;
  } else if (has_ended(job.state)) {
    const Error error = job_error_for(job);
    (*record)["message"] = error.message;
    (*record)["code"] = error.code;
    (*record)["error"] = {{"message", error.message}, {"code", std::to_string(error.code)}};
  } else {
    (*record)["message"] = progress_message(job);
    (*record)["code"] = 0;
  }
}

std::string_view state_name(KeystoreState state) {
  switch (state) {
    case KeystoreState::kMixed:
      return "mixed";
    case KeystoreState::kRekeying:
      return "svm_kek_rekey";
    case KeystoreState::kBlocked:
      return "blocked";
    case KeystoreState::kSwitching:
      return "switching";
    case KeystoreState::kActive:
      break;
  }
  return "active";
}

}  // namespace

FieldTable aws_kms_fields() { return kAwsKms; }
FieldTable rekey_external_fields() { return kRekeyExternal; }
FieldTable job_fields() { return kJob; }
FieldTable cluster_fields() { return kCluster; }
FieldTable node_fields() { return kNode; }
FieldTable svm_fields() { return kSvm; }
FieldTable key_store_fields() { return kKeyStore; }

json::object aws_kms_record(const AwsKmsConfiguration& configuration, const AwsKmsState* state) {
  const std::string uuid = format_uuid(configuration.uuid);
  json::object record{{"uuid", uuid},
                      {"scope", "svm"},
                      {"svm", svm_object(configuration.keyset_uuid, configuration.keyset)},
                      {"_links", self_link("/api/security/aws-kms/" + uuid)}};
  set_text(&record, "region", configuration.region);
  set_text(&record, "key_id", configuration.key_id);
  set_text(&record, "access_key_id", configuration.access_key_id);
  set_text(&record, "service", configuration.service);
  set_text(&record, "default_domain", configuration.default_domain);
  set_text(&record, "host", configuration.host);
  set_value(&record, "port", configuration.port);
  set_value(&record, "polling_period", configuration.polling_period);
  set_value(&record, "timeout", configuration.timeout);
  set_value(&record, "verify", configuration.verify);
  set_value(&record, "verify_host", configuration.verify_host);
  set_value(&record, "verify_ip", configuration.verify_ip);
  if (configuration.proxy_type)
    record["proxy_type"] = *configuration.proxy_type == ProxyType::kHttps ? "https" : "http";
  set_text(&record, "proxy_host", configuration.proxy_host);
  set_value(&record, "proxy_port", configuration.proxy_port);
  set_text(&record, "proxy_username", configuration.proxy_username);
  set_text(&record, "encryption_context", configuration.encryption_context);
  if (state != nullptr) set_state(&record, *state);
  return record;
}

std::string_view job_state(const Job& job) {
  switch (job.state) {
    case JobState::kQueued:
      return "queued";
    case JobState::kRunning:
      return "running";
    case JobState::kPaused:
      return kStalledIsRunning && job.error.reason != Reason::kNone ? "running" : "paused";
    case JobState::kSucceeded:
      return "success";
    case JobState::kFailed:
    case JobState::kCancelled:
    case JobState::kIncomplete:
      break;
  }
  return "failure";
}

json::object job_record(const Job& job, const std::string& node) {
  const std::string uuid = format_uuid(job.uuid);
  json::object record{{"uuid", uuid},
                      {"description", job.description},
                      {"state", job_state(job)},
                      {"node", {{"name", node}}},
                      {"_links", self_link("/api/cluster/jobs/" + uuid)}};
  set_outcome(&record, job);
  const std::uint64_t start = job.started_at != 0 ? job.started_at : job.created_at;
  if (start != 0) record["start_time"] = format_time(start);
  if (job.ended_at != 0) record["end_time"] = format_time(job.ended_at);
  if (!job.keyset.empty()) record["svm"] = svm_object(job.keyset_uuid, job.keyset);
  return record;
}

json::object cluster_record(const Cluster& cluster) {
  return {{"name", cluster.name},
          {"uuid", format_uuid(cluster.uuid)},
          {"version", version()},
          {"_links", self_link("/api/cluster")}};
}

json::object node_record(const Node& node) {
  const std::string uuid = format_uuid(node.uuid);
  return {{"uuid", uuid},
          {"name", node.name},
          {"version", version()},
          {"state", node.is_online ? "up" : "down"},
          {"_links", self_link("/api/cluster/nodes/" + uuid)}};
}

json::object svm_record(const KeysetInfo& keyset) {
  const std::string uuid = format_uuid(keyset.uuid);
  return {{"uuid", uuid},
          {"name", keyset.name},
          {"state", "running"},
          {"_links", self_link("/api/svm/svms/" + uuid)}};
}

json::object key_store_record(const KeysetInfo& keyset, KeystoreState state,
                              const AwsKmsConfiguration* configuration) {
  const bool is_aws = configuration != nullptr;
  const std::string uuid = format_uuid(is_aws ? configuration->uuid : keyset.uuid);
  json::object record{{"uuid", uuid},
                      {"type", is_aws ? "aws" : "okm"},
                      {"location", is_aws ? "external" : "onboard"},
                      {"enabled", true},
                      {"scope", keyset.is_admin ? "cluster" : "svm"},
                      {"state", state_name(state)},
                      {"_links", self_link("/api/security/key-stores/" + uuid)}};
  if (!keyset.is_admin) record["svm"] = svm_object(keyset.uuid, keyset.name);
  return record;
}

}  // namespace rewrap::ontap
