// The table of errors.
#include "api/native/errors.h"

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <string>
#include <utility>

namespace rewrap::native {
namespace {

HttpResponse shaped(int status, boost::json::object error) {
  HttpResponse response;
  response.status = status;
  response.body = boost::json::serialize(boost::json::object{{"error", std::move(error)}}) + "\n";
  return response;
}

int http_status_of_code(Errc code) {
  switch (code) {
    case Errc::kInvalidArgument:
      return 400;
    case Errc::kDenied:
      return 403;
    case Errc::kNotFound:
      return 404;
    case Errc::kAlreadyExists:
    case Errc::kConflict:
    case Errc::kRefused:
      return 409;
    case Errc::kUnsupported:
      return 422;
    case Errc::kUnavailable:
      return 503;
    default:
      return 500;
  }
}

}  // namespace

// Every reason by name: a new one is an error here until its status is decided.
int http_status_of(const Failure& failure) {
  switch (failure.reason) {
    case Reason::kInvalidInput:
    case Reason::kNothingToChange:
    case Reason::kEmptySecret:
    case Reason::kEmptyAccessKey:
    case Reason::kSkipVerifyAlone:
    case Reason::kCertificate:
      return 400;
    case Reason::kNoSuchKeyset:
    case Reason::kNoSuchKey:
    case Reason::kNoSuchJob:
    case Reason::kNoAwsKms:
    case Reason::kNoSuchProvider:
    case Reason::kNoSuchServer:
    case Reason::kNoSuchAccount:
    case Reason::kNoSuchNode:
      return 404;
    case Reason::kNameTaken:
    case Reason::kAlreadyConfigured:
    case Reason::kKeysetEmpty:
    case Reason::kDeksInAdminKeyset:
    case Reason::kAdminKeyset:
    case Reason::kStillInUse:
    case Reason::kSwitching:
    case Reason::kRekeyRunning:
    case Reason::kNotEnabled:
    case Reason::kRefusedByGate:
    case Reason::kJobEnded:
    case Reason::kJobRunning:
    case Reason::kJobNotRunning:
    case Reason::kJobCannotPause:
    case Reason::kJobCannotCancel:
    case Reason::kJobCancelled:
    case Reason::kDamagedDeks:
    case Reason::kVerifyFailed:
    case Reason::kProviderActive:
    case Reason::kProviderHasNoServer:
    case Reason::kLastServer:
    case Reason::kServerAssigned:
    case Reason::kNoKeyPair:
    case Reason::kNoServiceKey:
      return 409;
    case Reason::kRootBlocked:
    case Reason::kNodeMissing:
    case Reason::kInterrupted:
    case Reason::kTokenLost:
    case Reason::kCredentialsRejected:
    case Reason::kRootUnreachable:
    case Reason::kTooMany:
      return 503;
    case Reason::kStorageFull:
      return 507;
    case Reason::kNone:
    case Reason::kOther:
    case Reason::kStorageFailed:
    case Reason::kInternal:
      break;
  }
  return http_status_of_code(failure.status.code());
}

HttpResponse error_response(const Failure& failure) {
  boost::json::object error{{"reason", reason_name(failure.reason)},
                            {"message", failure.status.describe()}};
  if (*failure.status.hint() != '\0') error["hint"] = failure.status.hint();
  return shaped(http_status_of(failure), std::move(error));
}

HttpResponse error_of_status(int status) {
  const std::string words(http_reason(status));
  HttpResponse response = shaped(status, {{"reason", "http"}, {"message", words}});
  if (status == 401)
    response.headers.push_back({"WWW-Authenticate", "Basic realm=\"rewrap\", charset=\"UTF-8\""});
  return response;
}

}  // namespace rewrap::native
