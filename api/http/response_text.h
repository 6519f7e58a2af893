// Writes a response as HTTP/1.1 sends it. Pure functions, any thread.
#ifndef REWRAP_API_HTTP_RESPONSE_TEXT_H_
#define REWRAP_API_HTTP_RESPONSE_TEXT_H_

#include <ctime>
#include <string>
#include <string_view>

#include "api/http/message.h"

namespace rewrap {

struct ResponseFrame {
  std::string_view id;   // X-Request-Id; "": none
  bool is_head = false;  // answer to HEAD: the length, not the body
  bool close = false;
  std::time_t now = 0;  // for Date
};

// is_sendable_response says whether status and headers keep HttpResponse's rules. What a handler puts
// into a header may come from a client: a line break there would start a response of the client's own.
bool is_sendable_response(const HttpResponse& response);

// write_response gives the bytes for a response that is sendable.
std::string write_response(const HttpResponse& response, const ResponseFrame& frame);

// http_date gives e.g. "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110 section 5.6.7), whatever the locale.
std::string http_date(std::time_t time);

// is_fit_request_id accepts 1 to 64 letters, digits, '.', '_' and '-': what cannot confuse a log.
bool is_fit_request_id(std::string_view id);

}  // namespace rewrap

#endif  // REWRAP_API_HTTP_RESPONSE_TEXT_H_
