// fields=: its grammar is expanded into a flat list of paths first, then applied from left to right.
#include "api/ontap/fields.h"

#include <algorithm>
#include <utility>

#include "api/front/printable.h"

namespace rewrap::ontap {
namespace {

namespace json = boost::json;

constexpr std::size_t kMaxNesting = 8;
constexpr std::size_t kMaxItems = 1024;

// Expander turns "a,!b.{c,d}" into "a", "!b.c", "!b.d".
class Expander {
 public:
  explicit Expander(std::string_view text) : text_(text) {}

  // False if the braces do not match, or there is too much of it.
  bool expand(std::vector<std::string>* out) { return list("", 0, out) && at_ == text_.size(); }

 private:
  bool list(const std::string& prefix, std::size_t depth, std::vector<std::string>* out) {
    if (depth > kMaxNesting) return false;
    for (;;) {
      if (!item(prefix, depth, out)) return false;
      if (at_ == text_.size() || text_[at_] == '}') return true;
      ++at_;  // the comma
    }
  }

  bool item(const std::string& prefix, std::size_t depth, std::vector<std::string>* out) {
    const std::size_t end = std::min(text_.find_first_of(",{}", at_), text_.size());
    std::string name(text_.substr(at_, end - at_));
    at_ = end;
    // "!" may stand before any part, and counts for the whole.
    std::string path = prefix;
    if (name.starts_with('!')) {
      name.erase(0, 1);
      if (!path.starts_with('!')) path.insert(0, "!");
    }
    path += name;
    if (at_ < text_.size() && text_[at_] == '{') {
      ++at_;
      if (!list(path, depth + 1, out)) return false;
      if (at_ == text_.size()) return false;
      ++at_;  // the closing brace
      return at_ == text_.size() || text_[at_] == ',' || text_[at_] == '}';
    }
    if (!name.empty()) out->push_back(std::move(path));
    return out->size() <= kMaxItems;
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

bool is_link(std::string_view path) {
  return path.find("_links") != std::string_view::npos &&
         (path.starts_with("_links") || path.find("._links") != std::string_view::npos);
}

// without_star turns "*" and "**" into "", and "a.*" and "a.**" into "a".
std::string_view without_star(std::string_view path) {
  if (path == "*" || path == "**") return {};
  if (path.ends_with(".**")) return path.substr(0, path.size() - 3);
  if (path.ends_with(".*")) return path.substr(0, path.size() - 2);
  return path;
}

}  // namespace

const Field* find_field(FieldTable table, std::string_view path) {
  const auto field = std::find_if(table.begin(), table.end(),
                                  [&](const Field& candidate) { return candidate.path == path; });
  return field == table.end() ? nullptr : &*field;
}

bool is_below(std::string_view path, std::string_view name) {
  return path.starts_with(name) && (path.size() == name.size() || path[name.size()] == '.');
}

std::string_view type_name(const Field& field) {
  switch (field.type) {
    case FieldType::kString:
      return "string";
    case FieldType::kUuid:
      return "UUID";
    case FieldType::kInteger:
      return "integer";
    case FieldType::kBoolean:
      return "true/false";
    case FieldType::kTime:
      return "datetime";
    case FieldType::kEnum:
      return field.values;
  }
  return "string";
}

bool is_one_of(std::string_view values, std::string_view value) {
  while (!values.empty()) {
    const std::string_view one = values.substr(0, values.find(','));
    if (one == value) return true;
    values.remove_prefix(std::min(one.size() + 1, values.size()));
  }
  return false;
}

Selection::Selection(FieldTable table, Default what) : table_(table), selected_(table.size()) {
  for (std::size_t i = 0; i < table_.size(); ++i) {
    const Shown shown = table_[i].shown;
    selected_[i] =
        is_readable(table_[i].access) &&
        (shown == Shown::kAlways || (what == Default::kStandard && shown == Shown::kStandard));
  }
}

Checked<Selection> Selection::parse(FieldTable table, std::string_view text, Default what,
                                    bool ignore_unknown) {
  std::vector<std::string> items;
  if (!Expander(text).expand(&items))
    return simple_error(400, 262286, "The braces in \"fields\" do not match.", "fields");
  if (items.empty()) return Selection(table, what);

  // A list that begins with what it leaves out leaves it out of what is standard.
  const bool begins_with_all = items.front().starts_with('!');
  Selection selection(table, begins_with_all ? Default::kStandard : Default::kIdentity);
  for (const std::string& item : items)
    if (auto error = selection.apply(item, ignore_unknown)) return *error;
  for (std::size_t i = 0; i < table.size(); ++i)
    if (table[i].path == "uuid") selection.selected_[i] = true;
  return selection;
}

std::optional<Error> Selection::apply(const std::string& item, bool ignore_unknown) {
  const bool selected = !item.starts_with('!');
  const std::string_view path = std::string_view(item).substr(selected ? 0 : 1);
  const std::string_view base = without_star(path);

  if (const Field* field = find_field(table_, base);
      field != nullptr && !is_readable(field->access))
    return simple_error(400, 262249, "Field \"" + printable(base) + "\" is not readable.", base);
  // Naming a field or an object gives all of it; only a lone star leaves out what is dear.
  if (set(base, selected, !selected || path != "*")) return std::nullopt;
  if (is_link(base) || ignore_unknown) return std::nullopt;
  return invalid_value(base, "fields", "field");
}

bool Selection::set(std::string_view path, bool selected, bool with_advanced) {
  bool any = path.empty();
  for (std::size_t i = 0; i < table_.size(); ++i) {
    const Field& field = table_[i];
    if (!path.empty() && !is_below(field.path, path)) continue;
    if (!is_readable(field.access)) continue;
    any = true;
    if (field.shown != Shown::kAdvanced || with_advanced) selected_[i] = selected;
  }
  return any;
}

bool Selection::wants(std::string_view path) const {
  for (std::size_t i = 0; i < table_.size(); ++i)
    if (selected_[i] && is_below(table_[i].path, path)) return true;
  return false;
}

void Selection::add(std::string_view path) { set(path, true, true); }

json::object Selection::project(const json::object& record, bool links) const {
  return project_below(record, "", links);
}

json::object Selection::project_below(const json::object& record, const std::string& prefix,
                                      bool links) const {
  json::object kept;
  for (const auto& [name, value] : record) {
    if (name == "_links") {
      if (links) kept.emplace(name, value);
      continue;
    }
    const std::string path = prefix + std::string(name.data(), name.size());
    if (!wants(path)) continue;
    if (auto projected = project_value(value, path, links))
      kept.emplace(name, std::move(*projected));
  }
  return kept;
}

std::optional<json::value> Selection::project_value(const json::value& value,
                                                    const std::string& path, bool links) const {
  if (const json::object* object = value.if_object())
    return project_below(*object, path + ".", links);
  if (const json::array* array = value.if_array()) {
    json::array kept;
    for (const json::value& element : *array)
      if (auto projected = project_value(element, path, links)) kept.push_back(*projected);
    return kept;
  }
  return value;
}

}  // namespace rewrap::ontap
