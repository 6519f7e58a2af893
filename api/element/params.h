// Parameters of a method: a table of names and types, and what a request gave for them. Pure
// functions, any thread.
#ifndef REWRAP_API_ELEMENT_PARAMS_H_
#define REWRAP_API_ELEMENT_PARAMS_H_

#include <boost/json/object.hpp>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "api/element/errors.h"

namespace rewrap::element {

enum class ParamType : std::uint8_t { kInteger, kBoolean, kText, kPem, kWord, kTextArray };

struct Param {
  std::string_view name;
  ParamType type = ParamType::kText;
  bool required = false;
  std::int64_t min = std::numeric_limits<std::int64_t>::min();  // of an integer
  std::int64_t max = std::numeric_limits<std::int64_t>::max();
  std::string_view values = {};  // of a word: lower case, with commas
};
using ParamTable = std::span<const Param>;

// Params holds what was given, checked. An optional parameter that is null counts as absent.
class Params {
 public:
  // parse checks `given` against the table. An integer may come as decimal text, for Element's own
  // examples quote them; with `all_text` (a request by URL) so may a boolean and, with commas, an
  // array. A word is matched without case and kept in lower case. Names that the table does not have
  // make no error: see unused().
  // Errors: xMissingParameter, xInvalidParameterType, xUnrecognizedEnumString, xInvalidParameter
  //         (a rule on the value), xExceededLimit (too long)
  static Checked<Params> parse(ParamTable table, const boost::json::object& given, bool all_text);

  [[nodiscard]] std::optional<std::int64_t> integer(std::string_view name) const;
  [[nodiscard]] std::optional<bool> boolean(std::string_view name) const;
  [[nodiscard]] std::optional<std::string> text(std::string_view name) const;  // also PEM, words
  [[nodiscard]] std::optional<std::vector<std::string>> texts(std::string_view name) const;

  // Of parameters that the table requires.
  [[nodiscard]] std::int64_t id(std::string_view name) const { return integer(name).value_or(0); }

  [[nodiscard]] const boost::json::object& unused() const { return unused_; }

 private:
  using Value = std::variant<std::int64_t, bool, std::string, std::vector<std::string>>;

  static Checked<Value> read(const Param& param, const boost::json::value& given, bool all_text);
  template <typename T>
  [[nodiscard]] std::optional<T> get(std::string_view name) const;

  std::map<std::string, Value, std::less<>> values_;
  boost::json::object unused_;
};

}  // namespace rewrap::element

#endif  // REWRAP_API_ELEMENT_PARAMS_H_
