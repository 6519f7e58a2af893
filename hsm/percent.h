// Percent escapes in URIs (RFC 3986, 2.1). Pure, any thread.
#ifndef REWRAP_HSM_PERCENT_H_
#define REWRAP_HSM_PERCENT_H_

#include <string>
#include <string_view>

#include "engine/base/status.h"

namespace rewrap {

// percent_decode gives the text with each %XX replaced by that byte.
// Errors: kInvalidArgument  an escape that is none, or %00
Result<std::string> percent_decode(std::string_view text);

}  // namespace rewrap

#endif  // REWRAP_HSM_PERCENT_H_
