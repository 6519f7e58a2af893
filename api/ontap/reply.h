// Answers: JSON with ONTAP's headers, links, times and percent-encoding. Pure functions, any thread.
#ifndef REWRAP_API_ONTAP_REPLY_H_
#define REWRAP_API_ONTAP_REPLY_H_

#include <boost/json/object.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "api/http/message.h"

namespace rewrap::ontap {

// json_response gives a body that ends in a newline, never an empty one, as application/hal+json or
// application/json.
HttpResponse json_response(int status, const boost::json::object& body, bool hal);

// wants_hal reads Accept: application/json alone leaves links out; everything else, nothing included,
// gets them.
bool wants_hal(std::optional<std::string_view> accept);

// link gives {"href": href}, and self_link {"self": {"href": href}}.
boost::json::object link(std::string_view href);
boost::json::object self_link(std::string_view href);

// job_link gives {"uuid": ..., "_links": {...}}, which clients need whatever they accept.
boost::json::object job_link(std::string_view uuid);

// format_time gives e.g. "2026-11-22T14:57:29+00:00" for seconds since 1970.
std::string format_time(std::uint64_t seconds);

// parse_time accepts that form, "Z" and other offsets too; nothing for anything else.
std::optional<std::int64_t> parse_time(std::string_view text);

// encode_percent leaves RFC 3986's unreserved characters as they are.
std::string encode_percent(std::string_view text);

}  // namespace rewrap::ontap

#endif  // REWRAP_API_ONTAP_REPLY_H_
