// The operations: one function for each method, all of them short. They run on worker threads and may
// block for as long as the service does; none waits for a job.
#ifndef REWRAP_API_ELEMENT_HANDLERS_H_
#define REWRAP_API_ELEMENT_HANDLERS_H_

#include <boost/json/object.hpp>

#include "api/element/backend.h"
#include "api/element/errors.h"
#include "api/element/params.h"

namespace rewrap::element {

// Call is a request that was authenticated, allowed and checked against its method's parameters.
struct Call {
  Backend* backend;
  Account account;
  Params params;
  Caller caller;
  bool by_url = false;
};

using Outcome = Checked<boost::json::object>;

Outcome get_api(Call& call);
Outcome get_cluster_info(Call& call);
Outcome get_cluster_version_info(Call& call);
Outcome get_current_cluster_admin(Call& call);

Outcome get_drive_encryption(Call& call);
Outcome enable_drive_encryption(Call& call);
Outcome disable_drive_encryption(Call& call);
Outcome get_feature_status(Call& call);
Outcome enable_feature(Call& call);

Outcome rekey_master_key(Call& call);
Outcome get_software_encryption(Call& call);
Outcome get_async_result(Call& call);
Outcome list_async_results(Call& call);

Outcome create_key_pair(Call& call);
Outcome get_certificate_request(Call& call);
Outcome create_provider(Call& call);
Outcome delete_provider(Call& call);
Outcome get_provider(Call& call);
Outcome list_providers(Call& call);
Outcome test_provider(Call& call);
Outcome create_server(Call& call);
Outcome modify_server(Call& call);
Outcome delete_server(Call& call);
Outcome get_server(Call& call);
Outcome list_servers(Call& call);
Outcome test_server(Call& call);
Outcome add_server(Call& call);
Outcome remove_server(Call& call);

}  // namespace rewrap::element

#endif  // REWRAP_API_ELEMENT_HANDLERS_H_
