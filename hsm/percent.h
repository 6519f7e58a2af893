// Bytes and percent escapes of URIs (RFC 3986, 2.1). Pure, any thread.
#ifndef REWRAP_HSM_PERCENT_H_
#define REWRAP_HSM_PERCENT_H_

#include <string>
#include <string_view>

#include "engine/base/status.h"

namespace rewrap {

// is_uri_byte says whether our URIs may hold it as it is: no blank, no '#', ASCII.
bool is_uri_byte(char c);

// percent_decode gives the text with each %XX replaced by that byte.
// Errors: kInvalidArgument  an escape that is none, or %00
Result<std::string> percent_decode(std::string_view text);

}  // namespace rewrap

#endif  // REWRAP_HSM_PERCENT_H_
