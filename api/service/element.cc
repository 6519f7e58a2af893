// The one master key of Element.
#include "api/service/element.h"

#include "api/service/context.h"

namespace rewrap {
namespace {

Failure not_enabled() {
  return {Reason::kNotEnabled, Status(Errc::kRefused, "software encryption at rest is not enabled",
                                      "name a keyset for it in the configuration of the service")};
}

Failure invalid(const Status& status) { return {Reason::kInvalidInput, status}; }

}  // namespace

Answer<SoftwareEncryption> Element::info() {
  SoftwareEncryption info;
  const std::string& name = context_->options.element_keyset;
  info.keyset = name;
  const Answer<KeysetInfo> keyset = context_->keysets.get(name);
  if (keyset.reason() == Reason::kNoSuchKeyset) return info;
  if (!keyset.ok()) return keyset.failure();
  info.enabled = true;
  REWRAP_ANSWER(info.master_key, context_->keysets.key(name, keyset->current_version));
  JobFilter filter;
  filter.kind = JobKind::kRekey;
  filter.keyset = name;
  filter.max = 1;
  REWRAP_ANSWER(const std::vector<Job> latest, context_->jobs.list(filter));
  if (!latest.empty() && !latest.front().purged) info.rekey_handle = latest.front().handle;
  return info;
}

Answer<JobStart> Element::rekey(std::optional<KeyManagement> management,
                                std::optional<std::int64_t> provider_id, const Caller& caller) {
  const bool external = management == KeyManagement::kExternal;
  if (external && !provider_id)
    return invalid({Errc::kInvalidArgument, "external key management needs a key provider"});
  if (!external && provider_id) {
    return invalid(
        {Errc::kInvalidArgument, "a key provider goes with external key management only"});
  }
  REWRAP_ANSWER(const SoftwareEncryption now, info());
  if (!now.enabled) return not_enabled();
  RekeyRequest request;
  request.keyset = context_->options.element_keyset;
  if (external) {
    REWRAP_ANSWER([[maybe_unused]] const KmipProvider provider,
                  context_->kmip.provider(*provider_id));
    request.root_uri = kmip_uri(*provider_id);
  } else if (management == KeyManagement::kInternal) {
    request.root_uri = context_->options.internal_root_uri;
    const bool is_external = now.master_key->management == KeyManagement::kExternal;
    if (request.root_uri.empty() && is_external) {
      return invalid({Errc::kInvalidArgument, "no root is configured for internal key management",
                      "name one in the configuration of the service"});
    }
  }
  return context_->jobs.start_rekey(request, caller);
}

Answer<RekeyKeys> Element::keys_of(const Job& job) {
  REWRAP_ANSWER(const std::vector<KeyInfo> keys, context_->keysets.keys(job.keyset));
  RekeyKeys found;
  bool has_old = false;
  for (const KeyInfo& key : keys) {
    // Before the job has chosen its versions, the present key is the one to go.
    const bool is_old = job.from_version != 0 ? key.version == job.from_version
                                              : key.version == keys.back().version;
    if (is_old) found.key_to_decommission = key;
    has_old = has_old || is_old;
    if (job.to_version != 0 && key.version == job.to_version) found.new_key = key;
  }
  if (!has_old)
    return Failure{Reason::kNoSuchKey, Status(Errc::kNotFound, "the job's keys are not known")};
  found.moves =
      found.new_key && (found.new_key->management != found.key_to_decommission.management ||
                        found.new_key->provider_id != found.key_to_decommission.provider_id);
  return found;
}

}  // namespace rewrap
