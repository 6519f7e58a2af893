// The master key: its rekey, its state, and the results of rekeys.
#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/value.hpp>
#include <utility>

#include "api/element/choices.h"
#include "api/element/handlers.h"
#include "api/element/records.h"

namespace rewrap::element {
namespace {

namespace json = boost::json;

// provider_of gives keyProviderID unless it is as good as absent.
std::optional<std::int64_t> provider_of(const Params& params) {
  const auto id = params.integer("keyProviderID");
  if (kZeroProviderIsAbsent && id == 0) return std::nullopt;
  return id;
}

std::optional<KeyManagement> management_of(const Params& params) {
  const auto word = params.text("keyManagementType");
  if (!word) return std::nullopt;
  return *word == "external" ? KeyManagement::kExternal : KeyManagement::kInternal;
}

// is_rekey says whether a job is one that Element knows of: a rekey of its keyset, whoever began it.
bool is_rekey(const Job& job, const SoftwareEncryption& encryption) {
  return job.kind == JobKind::kRekey && !job.keyset.empty() && job.keyset == encryption.keyset;
}

std::string updated_time(const Job& job) {
  return format_time(std::max(job.updated_at, job.created_at));
}

json::object operation_error(const Job& job) {
  json::object error = error_object(job_error_for(job));
  if (!kAsyncErrorHasCode) error.erase("code");
  return error;
}

// async_result is what GetAsyncResult gives of a job.
json::object async_result(Backend* backend, const Job& job) {
  json::object result{{"createTime", format_time(job.created_at)},
                      {"lastUpdateTime", updated_time(job)},
                      {"resultType", kRekeyType}};
  const bool is_complete = has_ended(job.state);
  result["status"] = is_complete ? "complete" : "running";
  if (!is_complete) {
    result["details"] = rekey_record(backend, job);
  } else if (job.state == JobState::kSucceeded) {
    result["result"] = rekey_record(backend, job);
  } else {
    result["error"] = operation_error(job);
  }
  return result;
}

// listed_result is what ListAsyncResults gives of a job; there is no data while it runs.
json::object listed_result(Backend* backend, const Job& job) {
  const bool succeeded = job.state == JobState::kSucceeded;
  json::value data;
  if (succeeded) {
    data = rekey_record(backend, job);
  } else if (has_ended(job.state)) {
    data = operation_error(job);
  }
  return {{"asyncResultID", job.handle},
          {"completed", has_ended(job.state)},
          {"createTime", format_time(job.created_at)},
          {"data", std::move(data)},
          {"lastUpdateTime", updated_time(job)},
          {"resultType", kRekeyType},
          {"success", succeeded}};
}

}  // namespace

Outcome rekey_master_key(Call& call) {
  const auto management = management_of(call.params);
  const auto provider = provider_of(call.params);
  const bool is_external = management == KeyManagement::kExternal;
  if (is_external && !provider) return missing_parameter("keyProviderID");
  if (!is_external && provider)
    return invalid_parameter("keyProviderID is for keyManagementType External only.");
  const auto start = call.backend->rekey(management, provider, call.caller);
  if (!start.ok()) return missing_id_error(start.failure(), provider.value_or(0), 0);
  if (!start->is_new && kSecondRekeyIsError)
    return not_permitted("A rekey of the master key is under way, with asyncHandle " +
                         std::to_string(start->job.handle) + ".");
  json::object result;
  result["asyncHandle"] = start->job.handle;
  return result;
}

Outcome get_software_encryption(Call& call) {
  const auto encryption = call.backend->encryption();
  if (!encryption.ok()) return error_for(encryption.failure());
  json::object result;
  if (encryption->master_key) result["masterKeyInfo"] = key_record(*encryption->master_key);
  if (encryption->rekey_handle) result["rekeyMasterKeyAsyncResultID"] = *encryption->rekey_handle;
  result["state"] = encryption->enabled ? "enabled" : "disabled";
  result["version"] = encryption->enabled ? kEncryptionVersion : 0;
  return result;
}

Outcome get_async_result(Call& call) {
  const std::int64_t handle = call.params.id("asyncHandle");
  const auto encryption = call.backend->encryption();
  if (!encryption.ok()) return error_for(encryption.failure());
  const auto job = call.backend->job(handle);
  if (job.reason() == Reason::kNoSuchJob) return missing_handle(handle);
  if (!job.ok()) return error_for(job.failure());
  if (!is_rekey(job.value(), encryption.value())) return missing_handle(handle);

  json::object result = async_result(call.backend, job.value());
  const bool keep = call.by_url || call.params.boolean("keepResult").value_or(false);
  if (keep || !has_ended(job->state)) return result;
  // Of two that read at once, one gets it.
  const auto purged = call.backend->purge(handle);
  if (purged.reason() == Reason::kNoSuchJob) return missing_handle(handle);
  if (!purged.ok()) return error_for(purged.failure());
  return result;
}

Outcome list_async_results(Call& call) {
  json::array handles;
  const auto types = call.params.texts("asyncResultTypes");
  const bool wanted = !types || std::find(types->begin(), types->end(), kRekeyType) != types->end();
  if (wanted) {
    const auto encryption = call.backend->encryption();
    if (!encryption.ok()) return error_for(encryption.failure());
    JobFilter filter;
    filter.kind = JobKind::kRekey;
    filter.keyset = encryption->keyset;
    filter.leave_out_purged = true;
    filter.max = kMaxResults;
    const auto jobs = call.backend->jobs(filter);
    if (!jobs.ok()) return error_for(jobs.failure());
    for (auto job = jobs->rbegin(); job != jobs->rend(); ++job)  // the oldest first
      if (is_rekey(*job, encryption.value())) handles.push_back(listed_result(call.backend, *job));
  }
  json::object result;
  result["asyncHandles"] = std::move(handles);
  return result;
}

}  // namespace rewrap::element
