// The operations of /v1: one table, from which requests are routed and the OpenAPI document is made.
// For front_end.cc and open_api.cc.
#ifndef REWRAP_API_NATIVE_HANDLERS_H_
#define REWRAP_API_NATIVE_HANDLERS_H_

#include <boost/json/object.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "api/http/message.h"
#include "api/service/service.h"

namespace rewrap::native {

enum class FieldType : std::uint8_t { kString, kInteger, kNumber, kBoolean };

// One member of a request's body, or one item of its query.
struct Field {
  std::string_view name;
  FieldType type;
  bool required;
  std::string_view help;
};

struct Call {
  Service* service;
  const HttpRequest* request;
  std::vector<std::string> holes;  // what stands in the path for each {...}
  boost::json::object body;        // checked against the route's fields
  Caller caller;
};

struct Reply {
  int status = 200;
  boost::json::object body;
};

struct Route {
  std::string_view method;
  std::string_view pattern;  // below /v1; each {name} is one segment
  Permission permission;
  const char* action;  // in the audit log; null: nothing is changed
  std::string_view summary;
  int success;              // status
  std::string_view schema;  // of the answer, see open_api.cc
  std::span<const Field> body;
  std::span<const Field> query;
  Answer<Reply> (*handler)(Call&);
};

std::span<const Route> routes();

}  // namespace rewrap::native

#endif  // REWRAP_API_NATIVE_HANDLERS_H_
