// What the handlers of /v1 get and give, and all of them by name: each translates one request to the
// service, and no more. For the files of api/native only.
#ifndef REWRAP_API_NATIVE_HANDLERS_H_
#define REWRAP_API_NATIVE_HANDLERS_H_

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/http/message.h"
#include "api/service/service.h"

namespace rewrap::native {

struct Call {
  Service* service;
  const HttpRequest* request;
  const Account* account;
  std::vector<std::string> holes;  // what stands in the path for each {...}
  boost::json::object body;        // checked against the route's fields
  Caller caller;
};

struct Reply {
  int status = 200;
  boost::json::object body;
};

using Handler = Answer<Reply> (*)(Call&);

Failure invalid(Literal message, Literal hint = "/v1/openapi.json says what can be sent");

// Members of the body; their types are right already.
std::string text_in(const Call& call, std::string_view name, std::string_view otherwise = {});
double number_in(const Call& call, std::string_view name);
bool flag_in(const Call& call, std::string_view name, bool otherwise);
// count_in gives an integer from 0 to `max`.
Answer<std::uint64_t> count_in(const Call& call, std::string_view name, std::uint64_t otherwise,
                               std::uint64_t max);

// What stands in the path or in the query.
Answer<Uuid> uuid_in(const Call& call, std::size_t hole);
Answer<KekVersion> version_in(const Call& call, std::size_t hole);
// limit_in gives the query's `limit`, 1 to 1000; 100 if there is none.
inline constexpr std::size_t kMaxLimit = 1000;
Answer<std::size_t> limit_in(const Call& call);

template <typename Items, typename ToJson>
boost::json::array array_of(const Items& items, ToJson to_json) {
  boost::json::array array;
  for (const auto& item : items) array.push_back(to_json(item));
  return array;
}

// keyset_handlers.cc
Answer<Reply> list_keysets(Call& call);
Answer<Reply> create_keyset(Call& call);
Answer<Reply> get_keyset(Call& call);
Answer<Reply> list_keys(Call& call);
Answer<Reply> get_key(Call& call);
Answer<Reply> get_census(Call& call);
Answer<Reply> list_quarantine(Call& call);
Answer<Reply> list_deks(Call& call);
Answer<Reply> generate_deks(Call& call);
Answer<Reply> get_dek(Call& call);
Answer<Reply> tag_admin_dek(Call& call);
Answer<Reply> untag_admin_dek(Call& call);

// job_handlers.cc
Answer<Reply> start_rekey(Call& call);
Answer<Reply> start_reprotect(Call& call);
Answer<Reply> start_verify(Call& call);
Answer<Reply> start_restore(Call& call);
Answer<Reply> start_decommission(Call& call);
Answer<Reply> list_jobs(Call& call);
Answer<Reply> get_job(Call& call);
Answer<Reply> set_rate(Call& call);
Answer<Reply> pause_job(Call& call);
Answer<Reply> resume_job(Call& call);
Answer<Reply> cancel_job(Call& call);

// cluster_handlers.cc
Answer<Reply> get_account(Call& call);
Answer<Reply> get_cluster(Call& call);
Answer<Reply> list_nodes(Call& call);
Answer<Reply> add_node(Call& call);
Answer<Reply> remove_node(Call& call);
Answer<Reply> node_heartbeat(Call& call);

}  // namespace rewrap::native

#endif  // REWRAP_API_NATIVE_HANDLERS_H_
