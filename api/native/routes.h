// The operations of /v1: one table, from which requests are routed and the OpenAPI document is made.
// For the files of api/native and their tests only. Constant; any thread.
#ifndef REWRAP_API_NATIVE_ROUTES_H_
#define REWRAP_API_NATIVE_ROUTES_H_

#include <cstdint>
#include <span>
#include <string_view>

#include "api/native/handlers.h"

namespace rewrap::native {

enum class FieldType : std::uint8_t { kString, kInteger, kNumber, kBoolean };

// One member of a request's body, or one item of its query.
struct Field {
  std::string_view name;
  FieldType type;
  bool required;
  std::string_view help;
};

struct Route {
  std::string_view method;
  std::string_view pattern;  // below /v1; each {name} is one segment
  std::string_view id;       // OpenAPI's operationId
  std::string_view summary;
  Permission permission;
  const char* action;       // in the audit log; null: nothing is changed
  int success;              // status
  std::string_view schema;  // of the answer, see open_api.cc
  std::span<const Field> body;
  std::span<const Field> query;
  Handler handler;
};

std::span<const Route> routes();

}  // namespace rewrap::native

#endif  // REWRAP_API_NATIVE_ROUTES_H_
