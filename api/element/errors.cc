// The table of Element's errors. Few names are documented for what happens here: those that are stand
// for it, the others follow their pattern.
#include "api/element/errors.h"

#include <algorithm>
#include <array>
#include <utility>

#include "api/element/choices.h"
#include "api/front/printable.h"

namespace rewrap::element {
namespace {

struct ReasonRow {
  Reason reason;
  const char* name;
  const char* message;
};

constexpr const char* kNotPermitted = "xAPINotPermitted";
constexpr const char* kInvalid = "xInvalidParameter";
constexpr const char* kConnection = "xKmipConnectionFailure";
constexpr const char* kMasterKey = "xMasterKeyUnavailable";
constexpr const char* kInternalName = "xInternalError";

constexpr std::array kReasons = {
    ReasonRow{Reason::kInvalidInput, kInvalid, "A parameter is not valid."},
    ReasonRow{Reason::kNothingToChange, kInvalid, "There is nothing to change."},
    ReasonRow{Reason::kCertificate, kInvalid,
              "A certificate is not valid, or not for the cluster's key pair."},
    ReasonRow{Reason::kNameTaken, kInvalid, "The name is taken."},

    ReasonRow{Reason::kNoSuchJob, "xDBNoSuchPath", "There is no such asynchronous result."},
    ReasonRow{Reason::kNoSuchKey, "xDBNoSuchPath", "There is no such key."},
    ReasonRow{Reason::kNoSuchKeyset, kNotPermitted, "The keyset is not there any more."},
    ReasonRow{Reason::kNoSuchProvider, "xKeyProviderIDDoesNotExist",
              "The key provider does not exist."},
    ReasonRow{Reason::kNoSuchServer, "xKeyServerIDDoesNotExist", "The key server does not exist."},
    ReasonRow{Reason::kNoSuchNode, "xNodeIDDoesNotExist", "The node does not exist."},

    ReasonRow{Reason::kNotEnabled, kNotPermitted, "Software encryption at rest is not enabled."},
    ReasonRow{Reason::kSwitching, kNotPermitted, "Another operation works on the master key."},
    ReasonRow{Reason::kRekeyRunning, kNotPermitted, "A rekey of the master key is under way."},
    ReasonRow{Reason::kJobRunning, kNotPermitted, "The operation has not ended."},
    ReasonRow{Reason::kNoKeyPair, kNotPermitted,
              "There is no key pair: call CreatePublicPrivateKeyPair first."},
    ReasonRow{Reason::kNoServiceKey, kNotPermitted,
              "No root is configured that could guard the private key."},
    ReasonRow{Reason::kProviderHasNoServer, kNotPermitted,
              "The key provider has no key server: call AddKeyServerToProviderKmip first."},
    ReasonRow{Reason::kServerAssigned, kNotPermitted,
              "The key server is assigned to another key provider."},
    ReasonRow{Reason::kProviderActive, "xKeyProviderActive", "The key provider is active."},
    ReasonRow{Reason::kLastServer, "xKeyProviderActive",
              "This is the last key server of an active key provider."},
    ReasonRow{Reason::kRefusedByGate, kNotPermitted,
              "Data encryption keys still depend on the old master key."},
    ReasonRow{Reason::kStillInUse, kNotPermitted, "Data encryption keys still depend on it."},

    ReasonRow{Reason::kRootUnreachable, kConnection, "The key server cannot be reached."},
    ReasonRow{Reason::kCredentialsRejected, kConnection,
              "The key server refused the client certificate."},
    ReasonRow{Reason::kRootBlocked, kMasterKey, "The master key does not open."},
    ReasonRow{Reason::kTokenLost, kMasterKey, "The token with the master key went away."},

    ReasonRow{Reason::kJobCancelled, "xOperationCancelled", "The operation was cancelled."},
    ReasonRow{Reason::kInterrupted, "xOperationCancelled", "The operation was interrupted."},
    ReasonRow{Reason::kDamagedDeks, "xDataEncryptionKeysDamaged",
              "Some data encryption keys did not open and were left aside; the old master key was "
              "kept."},
    ReasonRow{Reason::kVerifyFailed, "xDataEncryptionKeysDamaged",
              "Some data encryption keys did not verify; the old master key was kept."},

    ReasonRow{Reason::kTooMany, "xExceededLimit", "Too many operations are under way."},
    ReasonRow{Reason::kStorageFull, "xExceededLimit", "No room is left."},
    ReasonRow{Reason::kStorageFailed, kInternalName, "The storage failed."},
};
// All others, and what the service itself did not foresee.
constexpr ReasonRow kElse{Reason::kOther, kInternalName, "An unexpected error occurred."};

const ReasonRow& row_for(Reason reason) {
  const auto* row = std::find_if(kReasons.begin(), kReasons.end(), [&](const ReasonRow& candidate) {
    return candidate.reason == reason;
  });
  return row == kReasons.end() ? kElse : *row;
}

// sentence gives the text with a capital and a full stop.
std::string sentence(std::string_view text) {
  std::string made(text);
  if (made.front() >= 'a' && made.front() <= 'z')
    made.front() = static_cast<char>(made.front() - 'a' + 'A');
  if (!made.ends_with('.')) made.push_back('.');
  return made;
}

// make_error puts what the service said behind the table's words, unless it is the same.
Error make_error(Reason reason, std::string_view detail, std::string_view hint) {
  const ReasonRow& row = row_for(reason);
  Error error{row.name, row.message};
  for (const std::string_view part : {detail, hint}) {
    if (part.empty()) continue;
    const std::string more = sentence(part);
    if (more != row.message) error.message.append(" ").append(more);
  }
  return error;
}

Error simple(const char* name, std::string message) { return {name, std::move(message)}; }

}  // namespace

Error error_for(const Failure& failure) {
  return make_error(failure.reason, failure.status.message(), failure.status.hint());
}

Error missing_id_error(const Failure& failure, std::int64_t provider_id, std::int64_t server_id) {
  const bool is_provider = failure.reason == Reason::kNoSuchProvider;
  const std::int64_t id = is_provider ? provider_id : server_id;
  if ((!is_provider && failure.reason != Reason::kNoSuchServer) || id == 0)
    return error_for(failure);
  const std::string what = is_provider ? "KeyProviderID " : "KeyServerID ";
  return {row_for(failure.reason).name, what + std::to_string(id) + " does not exist."};
}

Error job_error_for(const Job& job) {
  Reason reason = job.error.reason;
  if (reason == Reason::kNone && job.state == JobState::kCancelled) reason = Reason::kJobCancelled;
  if (reason == Reason::kNone && job.state == JobState::kIncomplete) reason = Reason::kDamagedDeks;
  return make_error(reason, job.error.message, job.error.hint);
}

Error malformed_request(std::string_view what) {
  return simple("xInvalidAPIParameter", "The request is not valid: " + std::string(what) + ".");
}
Error unknown_method(std::string_view name) {
  return simple("xUnknownAPIMethod", "There is no such API method: method=" + printable(name));
}
Error permission_denied(std::string_view method) {
  return simple("xPermissionDenied",
                "xPermissionDenied: the account may not call " + std::string(method) + ".");
}
Error missing_parameter(std::string_view name) {
  return simple("xMissingParameter", "Missing member=[" + std::string(name) + "]");
}
Error invalid_parameter(std::string_view what) { return simple(kInvalid, std::string(what)); }
Error wrong_type(std::string_view name, std::string_view type) {
  return simple("xInvalidParameterType",
                "Member=[" + std::string(name) + "] must be of type " + std::string(type) + ".");
}
Error unknown_word(std::string_view value) {
  return simple("xUnrecognizedEnumString", value.empty() ? "\"\"" : printable(value));
}
Error not_permitted(std::string_view what) { return simple(kNotPermitted, std::string(what)); }
Error exceeded_limit(std::string_view what) { return simple("xExceededLimit", std::string(what)); }
Error missing_handle(std::int64_t handle) {
  const std::string number = std::to_string(handle);
  if (!kMissingHandleIsDbPath)
    return simple("xAsyncHandleDoesNotExist", "Async handle " + number + " does not exist.");
  return simple(
      "xDBNoSuchPath",
      "DBClient operation requested on a non-existent path at [/asyncresults/" + number + "]");
}
Error audit_failed(std::string_view what) { return simple(kInternalName, std::string(what)); }

boost::json::object error_object(const Error& error) {
  return {{"code", kErrorCode}, {"name", error.name}, {"message", error.message}};
}

}  // namespace rewrap::element
