// The service's records as JSON of /v1: never a key, never a wrap of one. Times are seconds since 1970,
// null where there is none. Any thread.
#ifndef REWRAP_API_NATIVE_RESOURCES_H_
#define REWRAP_API_NATIVE_RESOURCES_H_

#include <boost/json/object.hpp>

#include "api/service/accounts.h"
#include "api/service/keysets.h"
#include "api/service/nodes.h"

namespace rewrap::native {

boost::json::object job_json(const Job& job);
boost::json::object keyset_json(const KeysetInfo& keyset);
boost::json::object key_json(const KeyInfo& key);
boost::json::object census_json(const Census& census);
boost::json::object dek_json(const DekInfo& dek);
boost::json::object quarantined_json(const QuarantinedDek& dek);
boost::json::object node_json(const Node& node);
boost::json::object cluster_json(const Cluster& cluster);
boost::json::object account_json(const Account& account);

}  // namespace rewrap::native

#endif  // REWRAP_API_NATIVE_RESOURCES_H_
