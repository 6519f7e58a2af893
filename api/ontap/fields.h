// The fields of a resource as a table, and what `fields=` selects of them. Pure functions, any thread.
#ifndef REWRAP_API_ONTAP_FIELDS_H_
#define REWRAP_API_ONTAP_FIELDS_H_

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "api/ontap/errors.h"

namespace rewrap::ontap {

enum class FieldType : std::uint8_t { kString, kUuid, kInteger, kBoolean, kTime, kEnum };

// Who may do what with a field, in the documents' words: read only, read and create, read and modify,
// all of these, write only.
enum class Access : std::uint8_t { kRo, kRc, kRm, kRw, kWo };
constexpr bool is_readable(Access access) { return access != Access::kWo; }
constexpr bool is_creatable(Access access) {
  return access == Access::kRc || access == Access::kRw || access == Access::kWo;
}
constexpr bool is_modifiable(Access access) {
  return access == Access::kRm || access == Access::kRw || access == Access::kWo;
}

// When a field comes back: also where nothing was asked for in a list; normally; or only when it is
// named or `**` is given, because it is dear.
enum class Shown : std::uint8_t { kAlways, kStandard, kAdvanced };

struct Field {
  std::string_view path;  // dotted; elements of arrays are gone through without an index
  FieldType type = FieldType::kString;
  Access access = Access::kRo;
  Shown shown = Shown::kStandard;
  bool required = false;         // by POST
  std::string_view values = {};  // of an enum, with commas
  std::int64_t min = 0;          // of an integer
  std::int64_t max = std::numeric_limits<std::int64_t>::max();
};
using FieldTable = std::span<const Field>;

// find_field gives the field of that path, or null.
const Field* find_field(FieldTable table, std::string_view path);

// is_below says whether `path` is `name` or lies below it: a.b below a, but not ab.
bool is_below(std::string_view path, std::string_view name);

// type_name is for messages, e.g. "integer".
std::string_view type_name(const Field& field);

// is_one_of looks `value` up in a list with commas.
bool is_one_of(std::string_view values, std::string_view value);

// Selection is a set of fields of one table.
class Selection {
 public:
  // What no `fields` or an empty one stands for.
  enum class Default : std::uint8_t { kIdentity, kStandard };

  Selection(FieldTable table, Default what);

  // parse reads fields=: "a,b.c", "*", "**", "b,!b.c", "b.{c,d}", nested; the name of an object stands
  // for all of it. What is shown always comes along. With `ignore_unknown` names that do not exist
  // count for nothing.
  // Errors: 262286 braces; 262197 an unknown name; 262249 a name that cannot be read
  static Checked<Selection> parse(FieldTable table, std::string_view text, Default what,
                                  bool ignore_unknown);

  // wants says whether the field `path`, or any field below it, is selected.
  [[nodiscard]] bool wants(std::string_view path) const;

  // add selects one more; used for what filters and order need to see.
  void add(std::string_view path);

  // project keeps of `record` what is selected. `_links` stay where `links` says so, and the object
  // that holds them stays or is the record itself.
  [[nodiscard]] boost::json::object project(const boost::json::object& record, bool links) const;

 private:
  // set selects or drops what `path` stands for; false if it stands for nothing.
  bool set(std::string_view path, bool selected, bool with_advanced);
  std::optional<Error> apply(const std::string& item, bool ignore_unknown);
  [[nodiscard]] boost::json::object project_below(const boost::json::object& record,
                                                  const std::string& prefix, bool links) const;
  [[nodiscard]] std::optional<boost::json::value> project_value(const boost::json::value& value,
                                                                const std::string& path,
                                                                bool links) const;

  FieldTable table_;
  std::vector<bool> selected_;  // by index in the table
};

}  // namespace rewrap::ontap

#endif  // REWRAP_API_ONTAP_FIELDS_H_
