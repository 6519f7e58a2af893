// Filters. Values are compared as text unless the field's type knows better.
#include "api/ontap/filter.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "api/ontap/choices.h"
#include "api/ontap/reply.h"

namespace rewrap::ontap {
namespace {

namespace json = boost::json;

// A character and whether it is free of quotes and braces.
struct Character {
  char c;
  bool special;
};

// unquote takes quotes and braces away and marks what they protected. False if one is left open.
bool unquote(std::string_view text, std::vector<Character>* out) {
  std::size_t braces = 0;
  bool in_quotes = false;
  for (const char c : text) {
    if (braces > 0) {
      if (c == '{') ++braces;
      if (c == '}' && --braces == 0) continue;
      out->push_back({c, false});
    } else if (c == '"') {
      in_quotes = !in_quotes;
    } else if (in_quotes) {
      out->push_back({c, false});
    } else if (c == '{') {
      braces = 1;
    } else {
      out->push_back({c, true});
    }
  }
  return braces == 0 && !in_quotes;
}

bool is_special(const std::vector<Character>& text, std::size_t at, char c) {
  return at < text.size() && text[at].special && text[at].c == c;
}

Pattern make_pattern(const std::vector<Character>& text, std::size_t begin, std::size_t end) {
  Pattern pattern;
  for (std::size_t i = begin; i < end; ++i) {
    pattern.text.push_back(text[i].c);
    pattern.is_star.push_back(text[i].special && text[i].c == '*');
  }
  return pattern;
}

std::size_t find_range(const std::vector<Character>& text, std::size_t begin) {
  for (std::size_t i = begin; i + 1 < text.size(); ++i)
    if (is_special(text, i, '.') && is_special(text, i + 1, '.')) return i;
  return text.size();
}

// split cuts at bars outside quotes and braces.
std::vector<std::string_view> split(std::string_view text) {
  std::vector<std::string_view> parts;
  std::size_t begin = 0;
  std::size_t braces = 0;
  bool in_quotes = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (braces > 0) {
      braces += c == '{' ? 1U : 0U;
      braces -= c == '}' ? 1U : 0U;
    } else if (c == '"') {
      in_quotes = !in_quotes;
    } else if (!in_quotes && c == '{') {
      braces = 1;
    } else if (!in_quotes && c == '|') {
      parts.push_back(text.substr(begin, i - begin));
      begin = i + 1;
    }
  }
  parts.push_back(text.substr(begin));
  return parts;
}

std::optional<std::int64_t> parse_integer(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return value;
}

std::string lower(std::string_view text) {
  std::string lowered(text);
  for (char& c : lowered)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return lowered;
}

// is_value_of checks the text of a filter without stars.
bool is_value_of(const Field& field, std::string_view text) {
  switch (field.type) {
    case FieldType::kInteger:
      return parse_integer(text).has_value();
    case FieldType::kBoolean:
      return text == "true" || text == "false";
    case FieldType::kTime:
      return parse_time(text).has_value();
    case FieldType::kEnum:
      return is_one_of(field.values, text);
    case FieldType::kString:
    case FieldType::kUuid:
      break;
  }
  return true;
}

std::string text_of(const json::value& value) {
  if (const json::string* text = value.if_string()) return {text->data(), text->size()};
  if (const bool* flag = value.if_bool()) return *flag ? "true" : "false";
  if (const std::int64_t* number = value.if_int64()) return std::to_string(*number);
  if (const std::uint64_t* number = value.if_uint64()) return std::to_string(*number);
  return {};
}

int sign(std::int64_t a, std::int64_t b) { return a < b ? -1 : (a > b ? 1 : 0); }

int compare_text(FieldType type, const std::string& a, const std::string& b) {
  if (type == FieldType::kInteger) {
    const auto x = parse_integer(a);
    const auto y = parse_integer(b);
    if (x && y) return sign(*x, *y);
  }
  if (type == FieldType::kTime) {
    const auto x = parse_time(a);
    const auto y = parse_time(b);
    if (x && y) return sign(*x, *y);
  }
  if (type == FieldType::kUuid) return lower(a).compare(lower(b));
  return a.compare(b);
}

}  // namespace

bool Pattern::has_star() const {
  return std::find(is_star.begin(), is_star.end(), true) != is_star.end();
}

bool matches_pattern(std::string_view text, const Pattern& pattern) {
  // One step back to the latest star is enough: an earlier one could not do better.
  std::size_t t = 0;
  std::size_t p = 0;
  std::size_t star = std::string::npos;
  std::size_t star_text = 0;
  while (t < text.size()) {
    if (p < pattern.text.size() && pattern.is_star[p]) {
      star = p++;
      star_text = t;
    } else if (p < pattern.text.size() && pattern.text[p] == text[t]) {
      ++p;
      ++t;
    } else if (star != std::string::npos) {
      p = star + 1;
      t = ++star_text;
    } else {
      return false;
    }
  }
  while (p < pattern.text.size() && pattern.is_star[p]) ++p;
  return p == pattern.text.size();
}

Checked<Filter> Filter::parse(const Field& field, std::string_view expression) {
  Filter filter;
  filter.type_ = field.type;
  const std::vector<std::string_view> parts = split(expression);
  if (parts.size() > kMaxAlternatives)
    return simple_error(400, 262185, "The filter has too many alternatives.", field.path);
  for (const std::string_view part : parts) {
    REWRAP_ASSIGN(auto alternative, parse_alternative(field, part));
    filter.alternatives_.push_back(std::move(alternative));
  }
  return filter;
}

Checked<Filter::Alternative> Filter::parse_alternative(const Field& field, std::string_view text) {
  std::vector<Character> characters;
  if (!unquote(text, &characters)) return invalid_value(text, field.path, type_name(field));

  Alternative alternative;
  std::size_t at = 0;
  if (is_special(characters, at, '!')) {
    alternative.negated = true;
    ++at;
  }
  if (is_special(characters, at, '<')) {
    alternative.kind = is_special(characters, ++at, '=') ? Kind::kLessOrEqual : Kind::kLess;
  } else if (is_special(characters, at, '>')) {
    alternative.kind = is_special(characters, ++at, '=') ? Kind::kGreaterOrEqual : Kind::kGreater;
  }
  if (alternative.kind == Kind::kLessOrEqual || alternative.kind == Kind::kGreaterOrEqual) ++at;

  const std::size_t range =
      alternative.kind == Kind::kPattern ? find_range(characters, at) : characters.size();
  alternative.low = make_pattern(characters, at, range);
  if (range < characters.size()) {
    alternative.kind = Kind::kRange;
    alternative.high = make_pattern(characters, range + 2, characters.size());
  }
  const bool is_bare = std::all_of(characters.begin() + static_cast<std::ptrdiff_t>(at),
                                   characters.end(), [](Character c) { return c.special; });
  if (alternative.kind == Kind::kPattern && is_bare && alternative.low.text == "null") {
    alternative.kind = Kind::kNull;
    return alternative;
  }
  const bool is_pattern = alternative.kind == Kind::kPattern && alternative.low.has_star();
  if (!is_pattern && !is_value_of(field, alternative.low.text))
    return invalid_value(text, field.path, type_name(field));
  if (alternative.kind == Kind::kRange && !is_value_of(field, alternative.high.text))
    return invalid_value(text, field.path, type_name(field));
  return alternative;
}

bool Filter::matches(const std::vector<const json::value*>& values) const {
  return std::any_of(
      alternatives_.begin(), alternatives_.end(), [&](const Alternative& alternative) {
        if (values.empty()) return matches_one(alternative, nullptr);
        return std::any_of(values.begin(), values.end(), [&](const json::value* value) {
          return matches_one(alternative, value);
        });
      });
}

bool Filter::matches_one(const Alternative& alternative, const json::value* value) const {
  const bool is_set = value != nullptr && !value->is_null();
  if (alternative.kind == Kind::kNull) return is_set == alternative.negated;
  return is_set && holds(alternative, *value) != alternative.negated;
}

bool Filter::holds(const Alternative& alternative, const json::value& value) const {
  const std::string text = text_of(value);
  const int against_low =
      alternative.low.has_star() ? 0 : compare_text(type_, text, alternative.low.text);
  switch (alternative.kind) {
    case Kind::kLess:
      return against_low < 0;
    case Kind::kLessOrEqual:
      return against_low <= 0;
    case Kind::kGreater:
      return against_low > 0;
    case Kind::kGreaterOrEqual:
      return against_low >= 0;
    case Kind::kRange:
      return against_low >= 0 && compare_text(type_, text, alternative.high.text) <= 0;
    case Kind::kPattern:
      return alternative.low.has_star() ? matches_pattern(text, alternative.low) : against_low == 0;
    case Kind::kNull:
      break;
  }
  return false;
}

std::vector<const json::value*> values_at(const json::object& record, std::string_view path) {
  const std::string_view name = path.substr(0, path.find('.'));
  const json::value* value = record.if_contains(name);
  if (value == nullptr) return {};
  const std::string_view rest = path.substr(std::min(name.size() + 1, path.size()));
  if (rest.empty()) return {value};
  if (const json::object* object = value->if_object()) return values_at(*object, rest);
  std::vector<const json::value*> all;
  if (const json::array* array = value->if_array()) {
    for (const json::value& element : *array) {
      const json::object* object = element.if_object();
      if (object == nullptr) continue;
      const auto found = values_at(*object, rest);
      all.insert(all.end(), found.begin(), found.end());
    }
  }
  return all;
}

int compare_values(FieldType type, const json::value& a, const json::value& b) {
  return compare_text(type, text_of(a), text_of(b));
}

}  // namespace rewrap::ontap
