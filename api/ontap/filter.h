// Filters: the right side of `field=...` in a query, and its match against a record. Pure functions,
// any thread.
//
//   expression  = alternative *( "|" alternative )
//   alternative = [ "!" ] ( "null" / "<" v / "<=" v / ">" v / ">=" v / v ".." v / pattern )
//   pattern     = any text; "*" stands for any number of characters
//   "..." and {...} are literal: nothing in them is special; braces nest
#ifndef REWRAP_API_ONTAP_FILTER_H_
#define REWRAP_API_ONTAP_FILTER_H_

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/ontap/errors.h"
#include "api/ontap/fields.h"

namespace rewrap::ontap {

// Text of a filter, and which of its characters stars stand for.
struct Pattern {
  std::string text;
  std::vector<bool> is_star;  // as long as text; a star that stands for itself is false
  [[nodiscard]] bool has_star() const;
};

// matches_pattern takes time of at most the product of the lengths, whatever the pattern.
bool matches_pattern(std::string_view text, const Pattern& pattern);

class Filter {
 public:
  // parse reads an expression for a field: values that are no value of its type are refused.
  // Errors: 262197 not a value of that type, or malformed; 262185 too many alternatives
  static Checked<Filter> parse(const Field& field, std::string_view expression);

  // matches takes the value of the field, or null where it is not set. Of several (an array) one is
  // enough. A field that is not set matches `null` only.
  [[nodiscard]] bool matches(const std::vector<const boost::json::value*>& values) const;

 private:
  enum class Kind : std::uint8_t {
    kNull,
    kPattern,
    kLess,
    kLessOrEqual,
    kGreater,
    kGreaterOrEqual,
    kRange
  };
  struct Alternative {
    Kind kind = Kind::kPattern;
    bool negated = false;
    Pattern low;  // or the one value
    Pattern high;
  };

  static Checked<Alternative> parse_alternative(const Field& field, std::string_view text);
  [[nodiscard]] bool matches_one(const Alternative& alternative,
                                 const boost::json::value* value) const;
  [[nodiscard]] bool holds(const Alternative& alternative, const boost::json::value& value) const;

  FieldType type_ = FieldType::kString;
  std::vector<Alternative> alternatives_;
};

// values_at gives what `path` leads to in a record, through arrays too; empty if it is not set.
std::vector<const boost::json::value*> values_at(const boost::json::object& record,
                                                 std::string_view path);

// compare_values orders two values of a field: numbers by number, times by time, all else as text;
// below, at or above zero.
int compare_values(FieldType type, const boost::json::value& a, const boost::json::value& b);

}  // namespace rewrap::ontap

#endif  // REWRAP_API_ONTAP_FILTER_H_
