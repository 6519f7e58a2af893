// The query of a request: control parameters and filters, checked against the table of the resource;
// and what they make of a list of records. Pure functions, any thread.
#ifndef REWRAP_API_ONTAP_QUERY_H_
#define REWRAP_API_ONTAP_QUERY_H_

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/http/message.h"
#include "api/ontap/choices.h"
#include "api/ontap/errors.h"
#include "api/ontap/fields.h"
#include "api/ontap/filter.h"

namespace rewrap::ontap {

// What a query may hold depends on what is asked: only lists are filtered, ordered and paged.
enum class QueryKind : std::uint8_t { kCollection, kInstance, kPost, kPatch, kDelete };

struct OrderBy {
  const Field* field = nullptr;
  bool descending = false;
};

struct FieldFilter {
  const Field* field = nullptr;
  Filter filter;
};

struct Query {
  explicit Query(Selection selected) : selection(std::move(selected)) {}

  Selection selection;  // what is shown
  std::string fields;   // as given; empty: not
  std::vector<FieldFilter> filters;
  std::vector<FieldFilter> any_of;  // of query and query_fields: one of them has to match
  std::vector<OrderBy> order_by;
  std::size_t max_records = kMaxRecords;
  std::size_t offset = 0;
  bool return_records = true;  // of a change: false unless asked for
  std::uint32_t return_timeout = 0;
  std::string action;  // of PATCH on a job
};

// parse_query checks every parameter. `takes_action` allows action=.
// Errors: 262179 unknown; 262188 twice; 262197 a value; 262202 a secret; 262211 a filter with POST;
//         262268 order_by; 262272, 262273, 262274 query and query_fields; those of Selection and Filter
Checked<Query> parse_query(FieldTable table, const std::vector<HttpQueryItem>& items,
                           QueryKind kind, bool takes_action = false);

// needed_fields gives what records must hold for the query: what is shown, filtered and ordered by.
Selection needed_fields(const Query& query);

// Page is what goes out of a list.
struct Page {
  boost::json::array records;
  std::size_t num_records = 0;
  bool has_more = false;
};

// make_page filters, orders, skips, cuts and projects, in that order.
Page make_page(const Query& query, std::vector<boost::json::object> records, bool hal);

// next_target gives `path` with the query it came with, but for the offset of the next page.
std::string next_target(std::string_view path, const std::vector<HttpQueryItem>& items,
                        std::size_t offset);

// target_of gives `path` with its query, percent-encoded.
std::string target_of(std::string_view path, const std::vector<HttpQueryItem>& items);

}  // namespace rewrap::ontap

#endif  // REWRAP_API_ONTAP_QUERY_H_
