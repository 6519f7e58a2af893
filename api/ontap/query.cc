// Queries: a table of the control parameters, everything else is a filter.
#include "api/ontap/query.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <set>
#include <utility>

#include "api/front/printable.h"
#include "api/ontap/reply.h"

namespace rewrap::ontap {
namespace {

namespace json = boost::json;

constexpr std::uint8_t bits(QueryKind kind) {
  return static_cast<std::uint8_t>(1U << static_cast<unsigned>(kind));
}
constexpr std::uint8_t kList = bits(QueryKind::kCollection);
constexpr std::uint8_t kAny = 0xff;

// Raw holds control parameters before they are understood: some need others first.
struct Raw {
  std::optional<std::string> fields, order_by, max_records, offset, return_records, return_timeout,
      query, query_fields, ignore_unknown, action, ignored;
};

struct Parameter {
  std::string_view name;
  std::uint8_t kinds;  // where it means something
  std::optional<std::string> Raw::*slot;
};
constexpr std::array kParameters = {
    Parameter{"fields", kAny, &Raw::fields},
    Parameter{"order_by", kList, &Raw::order_by},
    Parameter{"$orderBy", kList, &Raw::order_by},
    Parameter{"max_records", kList, &Raw::max_records},
    Parameter{"offset", kList, &Raw::offset},
    Parameter{"return_records", kAny, &Raw::return_records},
    Parameter{"return_timeout", kAny, &Raw::return_timeout},
    Parameter{"query", kList, &Raw::query},
    Parameter{"query_fields", kList, &Raw::query_fields},
    Parameter{"ignore_unknown_fields", kAny, &Raw::ignore_unknown},
    // How things look, and how several records are gone through: nothing here depends on them.
    Parameter{"pretty", kAny, &Raw::ignored},
    Parameter{"continue_on_failure", kAny, &Raw::ignored},
    Parameter{"serial_records", kAny, &Raw::ignored},
};

std::optional<std::uint64_t> parse_number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<Error> read_number(const std::optional<std::string>& text, std::string_view name,
                                 std::uint64_t low, std::uint64_t high, std::uint64_t* out) {
  if (!text) return std::nullopt;
  const auto value = parse_number(*text);
  if (!value || *value < low || *value > high)
    return invalid_value(*text, name, std::to_string(low) + ".." + std::to_string(high));
  *out = *value;
  return std::nullopt;
}

std::optional<Error> read_flag(const std::optional<std::string>& text, std::string_view name,
                               bool* out) {
  if (!text) return std::nullopt;
  if (*text == "true" || *text == "True") {
    *out = true;
  } else if (*text == "false" || *text == "False") {
    *out = false;
  } else {
    return invalid_value(*text, name, "true/false");
  }
  return std::nullopt;
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (!text.empty()) {
    const std::string_view part = text.substr(0, text.find(separator));
    if (!part.empty()) parts.push_back(part);
    text.remove_prefix(std::min(part.size() + 1, text.size()));
  }
  return parts;
}

std::optional<Error> read_order(FieldTable table, std::string_view text,
                                std::vector<OrderBy>* out) {
  for (const std::string_view item : split(text, ',')) {
    const std::vector<std::string_view> words = split(item, ' ');
    const Field* field = words.empty() ? nullptr : find_field(table, words[0]);
    const bool fits =
        field != nullptr && is_readable(field->access) &&
        (words.size() == 1 || (words.size() == 2 && (words[1] == "asc" || words[1] == "desc")));
    if (!fits)
      return simple_error(400, 262268, "\"" + printable(item) + "\" cannot be ordered by.",
                          "order_by");
    out->push_back({field, words.size() == 2 && words[1] == "desc"});
  }
  return std::nullopt;
}

// read_search reads query= and query_fields=.
std::optional<Error> read_search(FieldTable table, const Raw& raw, std::vector<FieldFilter>* out) {
  if (!raw.query && !raw.query_fields) return std::nullopt;
  if (!raw.query_fields)
    return simple_error(400, 262272, "\"query\" needs \"query_fields\".", "query_fields");
  if (!raw.query) return simple_error(400, 262273, "\"query_fields\" needs \"query\".", "query");
  for (const std::string_view name : split(*raw.query_fields, ',')) {
    bool any = false;
    for (const Field& field : table) {
      const bool named = name == "*" ? field.shown != Shown::kAdvanced : is_below(field.path, name);
      if (!named || !is_readable(field.access)) continue;
      any = true;
      // The same text is sought in numbers and words alike, so it is no error where it cannot be.
      auto filter = Filter::parse(field, *raw.query);
      if (filter.ok()) out->push_back({&field, std::move(filter).value()});
    }
    if (!any)
      return simple_error(400, 262274, "\"" + printable(name) + "\" cannot be searched.",
                          "query_fields");
  }
  if (!out->empty()) return std::nullopt;
  return invalid_value(*raw.query, "query", "query");
}

// read_filter takes what is no control parameter.
std::optional<Error> read_filter(FieldTable table, const HttpQueryItem& item, QueryKind kind,
                                 bool ignore_unknown, std::vector<FieldFilter>* out) {
  const Field* field = find_field(table, item.key);
  if (field == nullptr) {
    if (ignore_unknown) return std::nullopt;
    return unexpected_argument(item.key);
  }
  if (!is_readable(field->access)) return secret_in_url(item.key);
  if (kind == QueryKind::kPost)
    return simple_error(400, 262211,
                        "POST does not filter: put \"" + printable(item.key) + "\" into the body.",
                        item.key);
  if (kind != QueryKind::kCollection) return unexpected_argument(item.key);
  REWRAP_ASSIGN(auto filter, Filter::parse(*field, item.value));
  out->push_back({field, std::move(filter)});
  return std::nullopt;
}

// take_parameter stores a control parameter; false if it is none.
Checked<bool> take_parameter(const HttpQueryItem& item, QueryKind kind, bool takes_action,
                             Raw* raw) {
  const auto* parameter =
      std::find_if(kParameters.begin(), kParameters.end(),
                   [&](const Parameter& candidate) { return candidate.name == item.key; });
  std::optional<std::string> Raw::*slot = nullptr;
  if (parameter != kParameters.end()) {
    if ((parameter->kinds & bits(kind)) == 0) return unexpected_argument(item.key);
    slot = parameter->slot;
  } else if (takes_action && item.key == "action") {
    slot = &Raw::action;
  } else {
    return false;
  }
  if (raw->*slot && slot != &Raw::ignored) return given_twice(item.key);
  raw->*slot = item.value;
  return true;
}

std::optional<Error> read_controls(FieldTable table, const Raw& raw, Query* query) {
  std::uint64_t max_records = query->max_records;
  std::uint64_t offset = 0;
  std::uint64_t timeout = 0;
  constexpr std::uint64_t kMany = 1'000'000'000;
  if (auto error = read_number(raw.max_records, "max_records", 1, kMany, &max_records))
    return error;
  if (auto error = read_number(raw.offset, "offset", 0, kMany, &offset)) return error;
  if (auto error =
          read_number(raw.return_timeout, "return_timeout", 0, kMaxReturnTimeout, &timeout))
    return error;
  if (auto error = read_flag(raw.return_records, "return_records", &query->return_records))
    return error;
  if (raw.order_by)
    if (auto error = read_order(table, *raw.order_by, &query->order_by)) return error;
  query->max_records = std::min<std::size_t>(max_records, kMaxRecords);
  query->offset = offset;
  query->return_timeout = static_cast<std::uint32_t>(timeout);
  query->fields = raw.fields.value_or("");
  query->action = raw.action.value_or("");
  return read_search(table, raw, &query->any_of);
}

bool matches(const FieldFilter& filter, const json::object& record) {
  return filter.filter.matches(values_at(record, filter.field->path));
}

bool is_chosen(const Query& query, const json::object& record) {
  const auto holds = [&](const FieldFilter& filter) { return matches(filter, record); };
  return std::all_of(query.filters.begin(), query.filters.end(), holds) &&
         (query.any_of.empty() || std::any_of(query.any_of.begin(), query.any_of.end(), holds));
}

// is_before orders two records; what is not set comes last, whatever the direction. Of several values
// (an array) the first counts.
bool is_before(const Query& query, const json::object& a, const json::object& b) {
  for (const OrderBy& order : query.order_by) {
    const auto x = values_at(a, order.field->path);
    const auto y = values_at(b, order.field->path);
    if (x.empty() || y.empty()) {
      if (x.empty() == y.empty()) continue;
      return y.empty();
    }
    const int compared = compare_values(order.field->type, *x[0], *y[0]);
    if (compared != 0) return order.descending ? compared > 0 : compared < 0;
  }
  return false;
}

}  // namespace

Checked<Query> parse_query(FieldTable table, const std::vector<HttpQueryItem>& items,
                           QueryKind kind, bool takes_action) {
  Raw raw;
  std::vector<const HttpQueryItem*> others;
  for (const HttpQueryItem& item : items) {
    REWRAP_ASSIGN(const bool taken, take_parameter(item, kind, takes_action, &raw));
    if (!taken) others.push_back(&item);
  }
  bool ignore_unknown = false;
  if (auto error = read_flag(raw.ignore_unknown, "ignore_unknown_fields", &ignore_unknown))
    return *error;
  const auto what = kind == QueryKind::kCollection ? Selection::Default::kIdentity
                                                   : Selection::Default::kStandard;
  REWRAP_ASSIGN(auto selection,
                Selection::parse(table, raw.fields.value_or(""), what, ignore_unknown));
  Query query(std::move(selection));
  query.return_records = kind == QueryKind::kCollection || kind == QueryKind::kInstance;
  if (auto error = read_controls(table, raw, &query)) return *error;

  std::set<std::string_view> seen;
  for (const HttpQueryItem* item : others) {
    if (!seen.insert(item->key).second) return given_twice(item->key);
    if (auto error = read_filter(table, *item, kind, ignore_unknown, &query.filters)) return *error;
  }
  return query;
}

Selection needed_fields(const Query& query) {
  Selection needed = query.selection;
  for (const FieldFilter& filter : query.filters) needed.add(filter.field->path);
  for (const FieldFilter& filter : query.any_of) needed.add(filter.field->path);
  for (const OrderBy& order : query.order_by) needed.add(order.field->path);
  return needed;
}

Page make_page(const Query& query, std::vector<json::object> records, bool hal) {
  const auto end = std::remove_if(records.begin(), records.end(), [&](const json::object& record) {
    return !is_chosen(query, record);
  });
  records.erase(end, records.end());
  std::stable_sort(
      records.begin(), records.end(),
      [&](const json::object& a, const json::object& b) { return is_before(query, a, b); });
  Page page;
  const std::size_t begin = std::min(query.offset, records.size());
  page.num_records = std::min(query.max_records, records.size() - begin);
  page.has_more = begin + page.num_records < records.size();
  if (!query.return_records) return page;
  for (std::size_t i = begin; i < begin + page.num_records; ++i)
    page.records.push_back(query.selection.project(records[i], hal));
  return page;
}

std::string target_of(std::string_view path, const std::vector<HttpQueryItem>& items) {
  std::string target(path);
  char separator = '?';
  for (const HttpQueryItem& item : items) {
    target += separator + encode_percent(item.key) + "=" + encode_percent(item.value);
    separator = '&';
  }
  return target;
}

std::string next_target(std::string_view path, const std::vector<HttpQueryItem>& items,
                        std::size_t offset) {
  std::vector<HttpQueryItem> kept;
  std::copy_if(items.begin(), items.end(), std::back_inserter(kept),
               [](const HttpQueryItem& item) { return item.key != "offset"; });
  kept.push_back({"offset", std::to_string(offset)});
  return target_of(path, kept);
}

}  // namespace rewrap::ontap
