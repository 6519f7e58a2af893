// The tables of ONTAP's error codes. Codes and meanings are documented; which HTTP status goes with
// an endpoint's own code is not, and neither is what stands for conditions that only exist here.
#include "api/ontap/errors.h"

#include <algorithm>
#include <array>
#include <utility>

#include "api/front/printable.h"
#include "api/ontap/choices.h"
#include "api/ontap/reply.h"

namespace rewrap::ontap {
namespace {

constexpr std::uint16_t bits(Operation operation) { return static_cast<std::uint16_t>(operation); }

constexpr std::uint16_t kAll = 0xffff;
constexpr std::uint16_t kGet = bits(Operation::kGet);
constexpr std::uint16_t kCreate = bits(Operation::kCreate);
constexpr std::uint16_t kModify = bits(Operation::kModify);
constexpr std::uint16_t kInternal = bits(Operation::kRekeyInternal);
constexpr std::uint16_t kExternal = bits(Operation::kRekeyExternal);
constexpr std::uint16_t kRestore = bits(Operation::kRestore);

struct ReasonRow {
  Reason reason;
  std::uint16_t operations;  // the first row that fits counts
  int status;
  std::int64_t code;
  const char* message;
  const char* target = "";
};

constexpr std::array kReasons = {
    ReasonRow{Reason::kInvalidInput, kAll, 400, 262185, "Invalid value."},
    ReasonRow{Reason::kNothingToChange, kModify, 400, 65537541, "No inputs were provided."},
    ReasonRow{Reason::kNothingToChange, kAll, 400, 262190, "There is nothing to change."},
    ReasonRow{Reason::kEmptySecret, kCreate, 400, 65537900,
              "Enabling the AWS KMS failed: invalid secret access key.", "secret_access_key"},
    ReasonRow{Reason::kEmptySecret, kAll, 400, 65537920, "The secret access key cannot be empty.",
              "secret_access_key"},
    ReasonRow{Reason::kEmptyAccessKey, kAll, 400, 65537924, "The access key ID cannot be empty.",
              "access_key_id"},
    ReasonRow{Reason::kSkipVerifyAlone, kAll, 400, 262186,
              "Field \"skip_verify\" needs \"access_key_id\" beside it.", "skip_verify"},

    ReasonRow{Reason::kNoSuchKeyset, kAll, 400, 2621462, "The SVM does not exist.", "svm"},
    ReasonRow{Reason::kNoSuchKey, kAll, 500, 65537538,
              "Failed to get the unwrapped key for a key ID."},
    ReasonRow{Reason::kNoSuchJob, kAll, 404, 4, "entry doesn't exist", "uuid"},
    ReasonRow{Reason::kNoAwsKms, kGet, 404, 4, "entry doesn't exist", "uuid"},
    ReasonRow{Reason::kNoAwsKms, kAll, 404, 65537926,
              "AWS KMS is not configured for the given SVM."},
    ReasonRow{Reason::kNoSuchNode, kAll, 404, 4, "entry doesn't exist", "uuid"},
    ReasonRow{Reason::kNameTaken, kAll, 409, 1, "An entry with the same identifiers exists."},
    ReasonRow{Reason::kAlreadyConfigured, kAll, 409, 65537910, "The SVM has a key manager already.",
              "svm"},

    ReasonRow{Reason::kKeysetEmpty, kAll, 409, 65537559,
              "There are no existing internal keys for the SVM. A rekey needs at least one."},
    ReasonRow{Reason::kRootBlocked, kExternal, 500, 65537538,
              "Failed to get the unwrapped key: the present AWS KMS key does not open it."},
    ReasonRow{Reason::kRootBlocked, kRestore, 500, 65536082, "Unable to restore all keys."},
    ReasonRow{Reason::kRootBlocked, kGet, 500, 65537551,
              "The top-level key protection key is unavailable."},
    ReasonRow{Reason::kRootBlocked, kAll, 409, 65537556,
              "Cannot encrypt or decrypt: the SVM's external key manager is in a blocked state."},
    ReasonRow{Reason::kDeksInAdminKeyset, kCreate, 409, 65537912,
              "Some volume keys of this SVM are held by the admin SVM."},
    ReasonRow{Reason::kDeksInAdminKeyset, kAll, 409, 65537547,
              "One or more volume keys of this data SVM are held by the key manager of the admin "
              "SVM. Migrate them first."},
    ReasonRow{Reason::kNodeMissing, kInternal, 503, 65537566,
              "Internal error: not all nodes are online."},
    ReasonRow{Reason::kNodeMissing, kExternal, 500, 65537919,
              "The external rekey failed on one or more nodes: not all are online."},
    ReasonRow{Reason::kNodeMissing, kCreate, 503, 65536600, "One or more nodes are out of quorum."},
    ReasonRow{Reason::kNodeMissing, kAll, 500, 393271, "A node is out of quorum."},
    ReasonRow{Reason::kAdminKeyset, kAll, 400, 65537908,
              "AWS KMS is not supported for the admin SVM.", "svm"},
    ReasonRow{Reason::kStillInUse, kAll, 409, 65537106,
              "Volume keys are still stored on this key manager."},
    ReasonRow{Reason::kRefusedByGate, kAll, 409, 65537106, "Volume keys still depend on this key."},
    ReasonRow{Reason::kSwitching, kAll, 409, 65537610,
              "The keystore of the SVM is being switched. Wait until that has ended."},
    ReasonRow{Reason::kRekeyRunning, kAll, 409, 8, "The SVM's key manager is in use by a rekey."},
    ReasonRow{Reason::kNotEnabled, kAll, 400, 65537907, "The feature is not enabled."},

    ReasonRow{Reason::kJobEnded, kAll, 409, 458762, "The job has ended already."},
    ReasonRow{Reason::kJobRunning, kAll, 409, 458771, "The job is running."},
    ReasonRow{Reason::kJobNotRunning, kAll, 409, 458776, "The job is not running."},
    ReasonRow{Reason::kJobCannotPause, kAll, 409, 458783, "The job does not support pause."},
    ReasonRow{Reason::kJobCannotCancel, kAll, 409, 458784, "The job does not support cancel."},
    ReasonRow{Reason::kInterrupted, kAll, 503, 65562,
              "The service stopped; the job goes on when it starts again."},
    ReasonRow{Reason::kJobCancelled, kAll, 409, 65562, "The job was cancelled."},
    ReasonRow{Reason::kDamagedDeks, kRestore, 500, 65536082, "Unable to restore all keys."},
    ReasonRow{Reason::kDamagedDeks, kAll, 500, 65537538,
              "Failed to get the unwrapped key for one or more key IDs; they were left aside."},
    ReasonRow{Reason::kVerifyFailed, kAll, 500, 65537538,
              "Failed to get the unwrapped key for one or more key IDs after the rekey."},
    ReasonRow{Reason::kTokenLost, kInternal, 409, 65537556,
              "Cannot encrypt or decrypt: the SVM's external key manager went away."},
    ReasonRow{Reason::kTokenLost, kRestore, 500, 65536082, "Unable to restore all keys."},
    ReasonRow{Reason::kTokenLost, kAll, 500, 65537543,
              "The top-level internal key encryption key is missing on a node."},

    ReasonRow{Reason::kCredentialsRejected, kCreate, 400, 65537900,
              "Enabling the AWS KMS failed: invalid secret access key."},
    ReasonRow{Reason::kCredentialsRejected, kModify, 400, 65537921,
              "Cannot connect to the AWS KMS with these credentials."},
    ReasonRow{Reason::kCredentialsRejected, kExternal, 500, 65537919,
              "The external rekey failed: AWS KMS refused."},
    ReasonRow{Reason::kCredentialsRejected, kRestore, 500, 65536082, "Unable to restore all keys."},
    ReasonRow{Reason::kCredentialsRejected, kAll, 409, 65537556,
              "Cannot encrypt or decrypt: AWS KMS refused."},
    ReasonRow{Reason::kRootUnreachable, static_cast<std::uint16_t>(kCreate | kModify), 400,
              65537921, "Cannot connect to the AWS KMS with these credentials."},
    ReasonRow{Reason::kRootUnreachable, kExternal, 500, 65537919,
              "The external rekey failed: AWS KMS cannot be reached."},
    ReasonRow{Reason::kRootUnreachable, kRestore, 500, 65536082, "Unable to restore all keys."},
    ReasonRow{Reason::kRootUnreachable, kGet, 500, 65537915, "AWS KMS is unreachable."},
    ReasonRow{Reason::kRootUnreachable, kAll, 409, 65537556,
              "Cannot encrypt or decrypt: AWS KMS cannot be reached."},
    ReasonRow{Reason::kNoServiceKey, kAll, 500, 65537906, "Failed to store the secret access key.",
              "secret_access_key"},

    ReasonRow{Reason::kStorageFull, kAll, 503, 7, "No room is left."},
    ReasonRow{Reason::kTooMany, kAll, 429, 262160, "Too many requests are being processed."},
    ReasonRow{Reason::kStorageFailed, kAll, 500, 65562, "The storage failed."},
};
// All others, and what the service itself did not foresee.
constexpr ReasonRow kElse{Reason::kOther, kAll, 500, 262145, "An unexpected error occurred."};

const ReasonRow& row_for(Operation operation, Reason reason) {
  const auto* row = std::find_if(kReasons.begin(), kReasons.end(), [&](const ReasonRow& candidate) {
    return candidate.reason == reason && (candidate.operations & bits(operation)) != 0;
  });
  return row == kReasons.end() ? kElse : *row;
}

// make_error puts what the service said in brackets behind ONTAP's own words.
Error make_error(const ReasonRow& row, std::string_view detail, std::string_view hint) {
  Error error{row.status, row.code, row.message, row.target};
  if (row.code == 4) return error;  // clients compare this message
  if (detail.empty()) std::swap(detail, hint);
  if (detail.empty()) return error;
  error.message.append(" (").append(detail);
  if (!hint.empty()) error.message.append("; ").append(hint);
  error.message.push_back(')');
  return error;
}

Operation operation_of(const Job& job) {
  switch (job.kind) {
    case JobKind::kReprotect:
      return Operation::kRekeyExternal;
    case JobKind::kRestore:
      return Operation::kRestore;
    case JobKind::kRekey:
    case JobKind::kVerify:
    case JobKind::kDecommission:
      break;
  }
  return Operation::kRekeyInternal;
}

std::string quoted(std::string_view text) { return "\"" + printable(text) + "\""; }

struct HttpRow {
  int status;
  std::int64_t code;
  const char* message;
};
constexpr std::array kHttp = {
    HttpRow{400, 262199, "The request is not valid."},
    HttpRow{405, 3, "The operation is not supported."},
    HttpRow{408, 65552, "The request took too long."},
    HttpRow{413, 7, "The request body is too long."},
    HttpRow{414, 7, "The request target is too long."},
    HttpRow{417, 3, "The expectation is not supported."},
    HttpRow{429, 262160, "Too many requests are being processed."},
    HttpRow{431, 7, "The request headers are too long."},
    HttpRow{501, 3, "The operation is not supported."},
    HttpRow{503, 262160, "Too many requests are being processed."},
    HttpRow{505, 3, "The HTTP version is not supported."},
};

}  // namespace

Error error_for(Operation operation, const Failure& failure) {
  return make_error(row_for(operation, failure.reason), failure.status.message(),
                    failure.status.hint());
}

Error job_error_for(const Job& job) {
  Reason reason = job.error.reason;
  if (reason == Reason::kNone && job.state == JobState::kCancelled) reason = Reason::kJobCancelled;
  if (reason == Reason::kNone && job.state == JobState::kIncomplete) reason = Reason::kDamagedDeks;
  return make_error(row_for(operation_of(job), reason), job.error.message, job.error.hint);
}

Error simple_error(int status, std::int64_t code, std::string_view message, std::string_view name) {
  return {status, code, std::string(message), printable(name)};
}
Error not_found() { return simple_error(404, 4, "entry doesn't exist", "uuid"); }
Error malformed_uuid(std::string_view text) {
  return simple_error(kMalformedUuidStatus, 2,
                      quoted(text) + " is an invalid value for field \"uuid\" (<UUID>)", "uuid");
}
Error unknown_path() { return simple_error(kUnknownPathStatus, 3, "API not found"); }
Error method_not_supported() {
  return simple_error(405, 3, "The operation is not supported on this API.");
}
Error unauthorised() {
  return simple_error(kUnauthorisedStatus, 6691623, "User is not authorized.");
}
Error permission_denied() {
  return simple_error(403, 6, "Permission denied: not authorized for that operation.");
}
Error too_busy() {
  return simple_error(429, 262160, "Too many requests are being processed. Try again.");
}
Error invalid_json(std::string_view what) {
  return simple_error(400, 262199, "The body is not valid JSON: " + std::string(what) + ".");
}
Error body_not_allowed() {
  return simple_error(400, 262198, "A body is not allowed with this method.");
}
Error unexpected_argument(std::string_view name) {
  return simple_error(400, 262179, "Unexpected argument " + quoted(name) + ".", name);
}
Error secret_in_url(std::string_view name) {
  return simple_error(400, 262202, "Field " + quoted(name) + " cannot be given in the URL.", name);
}
Error missing_value(std::string_view name) {
  return simple_error(400, 262212, "Field " + quoted(name) + " is required.", name);
}
Error given_twice(std::string_view name) {
  return simple_error(400, 262188, "Field " + quoted(name) + " was given twice.", name);
}
Error invalid_value(std::string_view value, std::string_view name, std::string_view type) {
  return simple_error(400, 262197,
                      quoted(value) + " is an invalid value for field " + quoted(name) + " (<" +
                          std::string(type) + ">)",
                      name);
}

HttpResponse error_response(const Error& error, bool hal) {
  boost::json::object inner{{"message", error.message}, {"code", std::to_string(error.code)}};
  if (!error.target.empty()) inner["target"] = error.target;
  HttpResponse response = json_response(error.status, {{"error", std::move(inner)}}, hal);
  if (error.status == 401)
    response.headers.push_back({"WWW-Authenticate", "Basic realm=\"rewrap\", charset=\"UTF-8\""});
  if (error.status == 429 || error.status == 503) response.headers.push_back({"Retry-After", "1"});
  return response;
}

HttpResponse http_error(int status) {
  const auto* row = std::find_if(kHttp.begin(), kHttp.end(), [&](const HttpRow& candidate) {
    return candidate.status == status;
  });
  if (row == kHttp.end()) return error_response({status, 262145, kElse.message, ""});
  return error_response({status, row->code, row->message, ""});
}

}  // namespace rewrap::ontap
