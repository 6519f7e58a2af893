// ONTAP's errors: the body, the codes that every endpoint may give, and the table from the service's
// reasons to codes. Pure functions, any thread.
#ifndef REWRAP_API_ONTAP_ERRORS_H_
#define REWRAP_API_ONTAP_ERRORS_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "api/front/checked.h"
#include "api/http/message.h"
#include "api/service/answer.h"
#include "api/service/job.h"

namespace rewrap::ontap {

struct Error {
  int status = 500;       // of HTTP
  std::int64_t code = 0;  // a string in `error`, a number in a job's `code`
  std::string message;    // never empty
  std::string target;     // the field; may be empty
};

// Checked<T> is a T or the Error to answer with.
template <typename T>
using Checked = CheckedOr<T, Error>;

// What was being done when a reason came up: the same reason has other codes for other operations.
enum class Operation : std::uint16_t {
  kGet = 1,
  kCreate = 2,
  kModify = 4,
  kDelete = 8,
  kRekeyInternal = 16,
  kRekeyExternal = 32,
  kRestore = 64,
  kJob = 128,  // pause, resume, cancel
};

// error_for looks a failure up in the table of reasons.
Error error_for(Operation operation, const Failure& failure);

// job_error_for does so for a job that did not succeed; the operation is the job's own.
Error job_error_for(const Job& job);

// The codes that every endpoint may give.
Error not_found();                                 // 4, entry doesn't exist, target uuid
Error malformed_uuid(std::string_view text);       // 2
Error unknown_path();                              // 3
Error method_not_supported();                      // 3
Error unauthorised();                              // 6691623: no word on what was wrong
Error permission_denied();                         // 6
Error too_busy();                                  // 262160
Error invalid_json(std::string_view what);         // 262199
Error body_not_allowed();                          // 262198
Error unexpected_argument(std::string_view name);  // 262179
Error secret_in_url(std::string_view name);        // 262202
Error missing_value(std::string_view name);        // 262212
Error given_twice(std::string_view name);          // 262188
Error invalid_value(std::string_view value, std::string_view name,           //
                    std::string_view type);                                  // 262197
Error simple_error(int status, std::int64_t code, std::string_view message,  //
                   std::string_view name = "");

// error_response gives {"error":{...}} with the headers of every answer.
HttpResponse error_response(const Error& error, bool hal = true);

// http_error is error_response for what the server refuses before any handler sees it; see
// HttpServerConfig::error_shape.
HttpResponse http_error(int status);

}  // namespace rewrap::ontap

#endif  // REWRAP_API_ONTAP_ERRORS_H_
