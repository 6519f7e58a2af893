// The OpenAPI 3.1 document of /v1, made from the table by which requests are routed.
#ifndef REWRAP_API_NATIVE_OPEN_API_H_
#define REWRAP_API_NATIVE_OPEN_API_H_

#include <boost/json/object.hpp>

namespace rewrap::native {

// Made once; any thread.
const boost::json::object& open_api_document();

}  // namespace rewrap::native

#endif  // REWRAP_API_NATIVE_OPEN_API_H_
