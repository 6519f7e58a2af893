// The operations: one function for each route, all of them short. They run on worker threads and may
// block for as long as the service does; none waits for a job.
#ifndef REWRAP_API_ONTAP_HANDLERS_H_
#define REWRAP_API_ONTAP_HANDLERS_H_

#include <boost/json/object.hpp>
#include <optional>
#include <string>
#include <vector>

#include "api/http/message.h"
#include "api/ontap/backend.h"
#include "api/ontap/body.h"
#include "api/ontap/errors.h"
#include "api/ontap/query.h"

namespace rewrap::ontap {

// Call is a request that was authenticated, allowed and checked against its route's tables.
struct Call {
  Backend* backend;
  const HttpRequest* request;
  std::string path;  // normal form, with /api
  Uuid uuid{};       // of the path, if its pattern has one
  bool hal = true;
  Query query;
  Body body;
  Caller caller;
};

// A job that was started, and what is to be said once it has succeeded.
struct StartedJob {
  Job job;
  std::string location;        // empty: none
  boost::json::object record;  // of the configuration; shown with return_records
};

struct Reply {
  int status = 200;
  boost::json::object body;
  std::vector<HttpHeader> headers;
  std::optional<StartedJob> job;  // if set, the three above count for nothing
};

Checked<Reply> get_cluster(Call& call);
Checked<Reply> list_nodes(Call& call);
Checked<Reply> get_node(Call& call);
Checked<Reply> list_svms(Call& call);
Checked<Reply> get_svm(Call& call);
Checked<Reply> list_key_stores(Call& call);
Checked<Reply> get_key_store(Call& call);

Checked<Reply> list_jobs(Call& call);
Checked<Reply> get_job(Call& call);
Checked<Reply> patch_job(Call& call);

Checked<Reply> list_aws_kms(Call& call);
Checked<Reply> create_aws_kms(Call& call);
Checked<Reply> get_aws_kms(Call& call);
Checked<Reply> patch_aws_kms(Call& call);
Checked<Reply> delete_aws_kms(Call& call);
Checked<Reply> rekey_internal(Call& call);
Checked<Reply> rekey_external(Call& call);
Checked<Reply> restore_keys(Call& call);

// collection_reply and instance_reply make the answers to GET.
Reply collection_reply(const Call& call, std::vector<boost::json::object> records);
Reply instance_reply(const Call& call, const boost::json::object& record);

}  // namespace rewrap::ontap

#endif  // REWRAP_API_ONTAP_HANDLERS_H_
