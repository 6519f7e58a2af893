// The query of a root's URI: name=value&name=value, as RFC 3986 has it. Pure, any thread.
#ifndef REWRAP_HSM_URI_QUERY_H_
#define REWRAP_HSM_URI_QUERY_H_

#include <string>
#include <string_view>
#include <vector>

#include "engine/base/status.h"

namespace rewrap {

struct UriAttribute {
  std::string name;
  std::string value;  // percent-decoded
};

// split_query takes what stands behind the URI's '?'.
// Errors: kInvalidArgument  an attribute without a value, one that is there twice, a broken escape,
//                           or a byte that no URI may hold
Result<std::vector<UriAttribute>> split_query(std::string_view query);

}  // namespace rewrap

#endif  // REWRAP_HSM_URI_QUERY_H_
