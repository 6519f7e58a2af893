// Reads request targets: RFC 9112 section 3.2, RFC 3986. Pure functions, any thread.
#ifndef REWRAP_API_HTTP_TARGET_H_
#define REWRAP_API_HTTP_TARGET_H_

#include <optional>
#include <string>
#include <string_view>

#include "api/http/limits.h"
#include "api/http/message.h"

namespace rewrap {

// read_target takes request->method and request->target apart into raw_path, path and query. Gives 0,
// or the status to refuse it with: 400 or 414. Where the target is absolute (http://host/path),
// `*authority` gets its host, which counts more than the header Host.
int read_target(const HttpLimits& limits, HttpRequest* request, std::string* authority);

// plain_beginning gives what of a target that read_target has refused is the same to every reader: from
// the slash it begins with up to the first byte that is no letter, digit, slash, '-' or '_'.
std::string_view plain_beginning(std::string_view target);

// decode_percent undoes %XX, and reads '+' as a space if `plus` says so. Nothing for a bad escape or
// an encoded zero byte.
std::optional<std::string> decode_percent(std::string_view text, bool plus);

// remove_dot_segments applies RFC 3986 section 5.2.4 to an absolute path that is not decoded yet,
// where "%2e" is a dot too.
std::string remove_dot_segments(std::string_view path);

}  // namespace rewrap

#endif  // REWRAP_API_HTTP_TARGET_H_
