// The table of methods: name, who may call it, what it does to the world, its parameters, its
// handler. Constant.
#ifndef REWRAP_API_ELEMENT_METHODS_H_
#define REWRAP_API_ELEMENT_METHODS_H_

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "api/element/handlers.h"

namespace rewrap::element {

enum class Effect : std::uint8_t {
  kReads,     // may be asked for by GET
  kConnects,  // to a key server; POST only
  kChanges,   // POST only, and audited
};

struct Method {
  std::string_view name;
  std::optional<Permission> permission;  // nothing: whoever has an account
  Effect effect;
  ParamTable params;
  Outcome (*handler)(Call&);
};

std::span<const Method> methods();

// find_method compares without case: Element's own examples write names in lower case. Null if there
// is none.
const Method* find_method(std::string_view name);

}  // namespace rewrap::element

#endif  // REWRAP_API_ELEMENT_METHODS_H_
