// Each type has one function that reads it.
#include "api/element/params.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "api/element/choices.h"
#include "api/service/kmip.h"

namespace rewrap::element {
namespace {

namespace json = boost::json;

// read_decimal reads a whole number with nothing around it.
std::optional<std::int64_t> read_decimal(std::string_view text) {
  std::int64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [last, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || last != end) return std::nullopt;
  return value;
}

std::string lower(std::string_view text) {
  std::string lowered(text);
  for (char& c : lowered)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return lowered;
}

bool is_one_of(std::string_view values, std::string_view value) {
  while (!values.empty()) {
    const std::string_view one = values.substr(0, values.find(','));
    if (one == value) return true;
    values.remove_prefix(std::min(one.size() + 1, values.size()));
  }
  return false;
}

// has_control finds bytes that have no place in a name, nor in a log.
bool has_control(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0x20 || byte == 0x7f;
  });
}

std::string member(std::string_view name) { return "Member=[" + std::string(name) + "]"; }

// check_text says what is wrong with a text of at most `max_len` bytes.
std::optional<Error> check_text(const Param& param, std::string_view text) {
  const bool is_pem = param.type == ParamType::kPem;
  if (text.size() > (is_pem ? kMaxPemLen : kMaxTextLen))
    return exceeded_limit(member(param.name) + " is too long.");
  if (is_pem ? text.find('\0') != std::string_view::npos : has_control(text))
    return invalid_parameter(member(param.name) + " holds control characters.");
  return std::nullopt;
}

Checked<std::int64_t> read_integer(const Param& param, const json::value& given) {
  std::optional<std::int64_t> value;
  if (given.is_int64()) value = given.get_int64();
  if (given.is_string()) value = read_decimal(given.get_string());
  if (!value) return wrong_type(param.name, "integer");
  if (*value < param.min || *value > param.max)
    return invalid_parameter(member(param.name) + " must lie between " + std::to_string(param.min) +
                             " and " + std::to_string(param.max) + ".");
  return *value;
}

Checked<bool> read_boolean(const Param& param, const json::value& given, bool all_text) {
  if (given.is_bool()) return given.get_bool();
  if (all_text && given.is_string()) {
    const std::string word = lower(given.get_string());
    if (word == "true" || word == "false") return word == "true";
  }
  return wrong_type(param.name, "boolean");
}

Checked<std::string> read_text(const Param& param, const json::value& given) {
  if (!given.is_string()) return wrong_type(param.name, "string");
  std::string text(given.get_string());
  if (param.type == ParamType::kWord) {
    std::string word = lower(text);
    if (!is_one_of(param.values, word)) return unknown_word(text);
    return word;
  }
  if (auto error = check_text(param, text)) return *error;
  return text;
}

// as_array takes text with commas apart.
json::array as_array(std::string_view text) {
  json::array array;
  while (!text.empty()) {
    const std::string_view one = text.substr(0, text.find(','));
    array.emplace_back(one);
    text.remove_prefix(std::min(one.size() + 1, text.size()));
  }
  return array;
}

Checked<std::vector<std::string>> read_texts(const Param& param, const json::value& given,
                                             bool all_text) {
  json::array array;
  if (given.is_array()) {
    array = given.get_array();
  } else if (all_text && given.is_string()) {
    array = as_array(given.get_string());
  } else {
    return wrong_type(param.name, "string array");
  }
  if (array.size() > kMaxListLen)
    return exceeded_limit(member(param.name) + " has too many elements.");
  std::vector<std::string> texts;
  for (const json::value& one : array) {
    if (!one.is_string()) return wrong_type(param.name, "string array");
    std::string text(one.get_string());
    if (auto error = check_text(param, text)) return *error;
    texts.push_back(std::move(text));
  }
  return texts;
}

}  // namespace

Checked<Params::Value> Params::read(const Param& param, const json::value& given, bool all_text) {
  switch (param.type) {
    case ParamType::kInteger: {
      REWRAP_ASSIGN(const std::int64_t value, read_integer(param, given));
      return Value(value);
    }
    case ParamType::kBoolean: {
      REWRAP_ASSIGN(const bool value, read_boolean(param, given, all_text));
      return Value(value);
    }
    case ParamType::kTextArray: {
      REWRAP_ASSIGN(auto value, read_texts(param, given, all_text));
      return Value(std::move(value));
    }
    case ParamType::kText:
    case ParamType::kPem:
    case ParamType::kWord:
      break;
  }
  REWRAP_ASSIGN(std::string value, read_text(param, given));
  return Value(std::move(value));
}

Checked<Params> Params::parse(ParamTable table, const json::object& given, bool all_text) {
  Params params;
  for (const Param& param : table) {
    const json::value* value = given.if_contains(param.name);
    if (value == nullptr || value->is_null()) {
      if (param.required) return missing_parameter(param.name);
      continue;
    }
    REWRAP_ASSIGN(Value read_value, read(param, *value, all_text));
    params.values_.emplace(param.name, std::move(read_value));
  }
  for (const auto& [name, value] : given) {
    const bool known = std::any_of(
        table.begin(), table.end(),
        [name = std::string_view(name)](const Param& param) { return param.name == name; });
    if (!known) params.unused_.emplace(name, value);
  }
  return params;
}

template <typename T>
std::optional<T> Params::get(std::string_view name) const {
  const auto found = values_.find(name);
  if (found == values_.end() || !std::holds_alternative<T>(found->second)) return std::nullopt;
  return std::get<T>(found->second);
}

std::optional<std::int64_t> Params::integer(std::string_view name) const {
  return get<std::int64_t>(name);
}
std::optional<bool> Params::boolean(std::string_view name) const { return get<bool>(name); }
std::optional<std::string> Params::text(std::string_view name) const {
  return get<std::string>(name);
}
std::optional<std::vector<std::string>> Params::texts(std::string_view name) const {
  return get<std::vector<std::string>>(name);
}

}  // namespace rewrap::element
