// A strict splitter: nothing is repaired, nothing passed over.
#include "hsm/uri_query.h"

#include <algorithm>

#include "hsm/percent.h"

namespace rewrap {

Result<std::vector<UriAttribute>> split_query(std::string_view query) {
  if (!std::all_of(query.begin(), query.end(), is_uri_byte)) {
    return Status(Errc::kInvalidArgument, "the root's URI holds a byte that no URI may hold",
                  "percent-encode blanks, '#' and what is not ASCII");
  }
  std::vector<UriAttribute> out;
  bool more = true;
  while (more) {
    const std::size_t end = query.find('&');
    more = end != std::string_view::npos;
    const std::string_view part = query.substr(0, end);
    query = more ? query.substr(end + 1) : std::string_view();
    const std::size_t equals = part.find('=');
    if (equals == std::string_view::npos || equals + 1 == part.size()) {
      return Status(Errc::kInvalidArgument, "an attribute of the root's URI has no value",
                    "write attributes as ?name=value&name=value");
    }
    UriAttribute attribute;
    attribute.name = part.substr(0, equals);
    REWRAP_ASSIGN(attribute.value, percent_decode(part.substr(equals + 1)));
    const bool is_twice = std::any_of(out.begin(), out.end(), [&](const UriAttribute& other) {
      return other.name == attribute.name;
    });
    if (is_twice) return Status(Errc::kInvalidArgument, "an attribute is twice in the root's URI");
    out.push_back(std::move(attribute));
  }
  return out;
}

}  // namespace rewrap
