// Element's errors: names and messages, and the table from the service's reasons to them. Pure
// functions, any thread.
#ifndef REWRAP_API_ELEMENT_ERRORS_H_
#define REWRAP_API_ELEMENT_ERRORS_H_

#include <boost/json/object.hpp>
#include <cstdint>
#include <string>
#include <string_view>

#include "api/front/checked.h"
#include "api/service/answer.h"
#include "api/service/job.h"

namespace rewrap::element {

// An error has no code of its own: it is 500 always.
struct Error {
  std::string name;     // "x..."
  std::string message;  // never empty
};

// Checked<T> is a T or the Error to answer with.
template <typename T>
using Checked = CheckedOr<T, Error>;

// error_for looks a failure up in the table of reasons.
Error error_for(const Failure& failure);

// missing_id_error says which object of a method's parameters is not there, e.g. "KeyProviderID 5
// does not exist."; for all other reasons it is error_for. An id of 0 is left out.
Error missing_id_error(const Failure& failure, std::int64_t provider_id, std::int64_t server_id);

// job_error_for is for a job that ended without success.
Error job_error_for(const Job& job);

// What no operation is needed for.
Error malformed_request(std::string_view what);    // xInvalidAPIParameter
Error unknown_method(std::string_view name);       // xUnknownAPIMethod, with "method=<name>"
Error permission_denied(std::string_view method);  // xPermissionDenied, also in the message
Error missing_parameter(std::string_view name);    // xMissingParameter
Error invalid_parameter(std::string_view what);    // xInvalidParameter
Error wrong_type(std::string_view name, std::string_view type);  // xInvalidParameterType
Error unknown_word(std::string_view value);                      // xUnrecognizedEnumString
Error not_permitted(std::string_view what);                      // xAPINotPermitted
Error exceeded_limit(std::string_view what);                     // xExceededLimit
Error missing_handle(std::int64_t handle);                       // see kMissingHandleIsDbPath
Error audit_failed(std::string_view what);                       // xInternalError

// error_object gives {"code":500,"name":...,"message":...}.
boost::json::object error_object(const Error& error);

}  // namespace rewrap::element

#endif  // REWRAP_API_ELEMENT_ERRORS_H_
