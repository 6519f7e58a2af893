// Names of reasons, and the reason for a bare status.
#include "api/service/answer.h"

#include <array>

namespace rewrap {
namespace {

struct Entry {
  Reason reason;
  const char* name;
};

constexpr std::array kReasons = std::to_array<Entry>({
    {Reason::kNone, "none"},
    {Reason::kOther, "other"},
    {Reason::kInvalidInput, "invalid_input"},
    {Reason::kNothingToChange, "nothing_to_change"},
    {Reason::kEmptySecret, "empty_secret"},
    {Reason::kEmptyAccessKey, "empty_access_key"},
    {Reason::kSkipVerifyAlone, "skip_verify_alone"},
    {Reason::kNoSuchKeyset, "no_such_keyset"},
    {Reason::kNoSuchKey, "no_such_key"},
    {Reason::kNoSuchJob, "no_such_job"},
    {Reason::kNoAwsKms, "no_aws_kms"},
    {Reason::kNoSuchProvider, "no_such_provider"},
    {Reason::kNoSuchServer, "no_such_server"},
    {Reason::kNoSuchAccount, "no_such_account"},
    {Reason::kNoSuchNode, "no_such_node"},
    {Reason::kNameTaken, "name_taken"},
    {Reason::kAlreadyConfigured, "already_configured"},
    {Reason::kKeysetEmpty, "keyset_empty"},
    {Reason::kRootBlocked, "root_blocked"},
    {Reason::kDeksInAdminKeyset, "deks_in_admin_keyset"},
    {Reason::kNodeMissing, "node_missing"},
    {Reason::kAdminKeyset, "admin_keyset"},
    {Reason::kStillInUse, "still_in_use"},
    {Reason::kSwitching, "switching"},
    {Reason::kRekeyRunning, "rekey_running"},
    {Reason::kNotEnabled, "not_enabled"},
    {Reason::kRefusedByGate, "refused_by_gate"},
    {Reason::kJobEnded, "job_ended"},
    {Reason::kJobRunning, "job_running"},
    {Reason::kJobNotRunning, "job_not_running"},
    {Reason::kJobCannotPause, "job_cannot_pause"},
    {Reason::kJobCannotCancel, "job_cannot_cancel"},
    {Reason::kInterrupted, "interrupted"},
    {Reason::kJobCancelled, "job_cancelled"},
    {Reason::kDamagedDeks, "damaged_deks"},
    {Reason::kVerifyFailed, "verify_failed"},
    {Reason::kTokenLost, "token_lost"},
    {Reason::kCredentialsRejected, "credentials_rejected"},
    {Reason::kRootUnreachable, "root_unreachable"},
    {Reason::kProviderActive, "provider_active"},
    {Reason::kProviderHasNoServer, "provider_has_no_server"},
    {Reason::kLastServer, "last_server"},
    {Reason::kServerAssigned, "server_assigned"},
    {Reason::kCertificate, "certificate"},
    {Reason::kNoKeyPair, "no_key_pair"},
    {Reason::kNoServiceKey, "no_service_key"},
    {Reason::kStorageFull, "storage_full"},
    {Reason::kStorageFailed, "storage_failed"},
    {Reason::kTooMany, "too_many"},
    {Reason::kInternal, "internal"},
});

}  // namespace

const char* reason_name(Reason reason) {
  for (const Entry& entry : kReasons) {
    if (entry.reason == reason) return entry.name;
  }
  return "other";
}

std::optional<Reason> find_reason(std::string_view name) {
  for (const Entry& entry : kReasons) {
    if (entry.name == name) return entry.reason;
  }
  return std::nullopt;
}

Reason reason_of(const Status& status) {
  switch (status.code()) {
    case Errc::kOk:
      return Reason::kNone;
    case Errc::kInvalidArgument:
      return Reason::kInvalidInput;
    case Errc::kAlreadyExists:
      return Reason::kNameTaken;
    case Errc::kUnavailable:
      return Reason::kRootUnreachable;
    case Errc::kExhausted:
      return status.native() == Native::kNone ? Reason::kTooMany : Reason::kStorageFull;
    case Errc::kIo:
    case Errc::kCorruption:
      return Reason::kStorageFailed;
    case Errc::kRefused:
      return Reason::kRefusedByGate;
    case Errc::kInternal:
      return Reason::kInternal;
    default:
      return Reason::kOther;
  }
}

}  // namespace rewrap
