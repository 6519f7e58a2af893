// One table from the service's reasons to HTTP, and the one shape of every error of /v1:
//   {"error":{"reason":"keyset_empty","message":"...","hint":"..."}}
// Any thread.
#ifndef REWRAP_API_NATIVE_ERRORS_H_
#define REWRAP_API_NATIVE_ERRORS_H_

#include "api/http/message.h"
#include "api/service/answer.h"

namespace rewrap::native {

int http_status_of(const Failure& failure);
HttpResponse error_response(const Failure& failure);

// error_of_status is for what never reaches the service: 401, 403, 404, 405, 429, ...
HttpResponse error_of_status(int status);

}  // namespace rewrap::native

#endif  // REWRAP_API_NATIVE_ERRORS_H_
