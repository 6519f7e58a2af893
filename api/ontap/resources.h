// The resources: their tables of fields, and records made of what the service knows. A record holds
// every field that is set, links included; Selection::project makes the answer of it. Pure functions.
#ifndef REWRAP_API_ONTAP_RESOURCES_H_
#define REWRAP_API_ONTAP_RESOURCES_H_

#include <boost/json/object.hpp>
#include <string>
#include <string_view>

#include "api/ontap/fields.h"
#include "api/service/aws_kms.h"
#include "api/service/job.h"
#include "api/service/keysets.h"
#include "api/service/nodes.h"

namespace rewrap::ontap {

FieldTable aws_kms_fields();
FieldTable rekey_external_fields();  // of its body
FieldTable job_fields();
FieldTable cluster_fields();
FieldTable node_fields();
FieldTable svm_fields();
FieldTable key_store_fields();

// `state` is null where the advanced properties are not asked for.
boost::json::object aws_kms_record(const AwsKmsConfiguration& configuration,
                                   const AwsKmsState* state);
boost::json::object job_record(const Job& job, const std::string& node);
boost::json::object cluster_record(const Cluster& cluster);
boost::json::object node_record(const Node& node);
boost::json::object svm_record(const KeysetInfo& keyset);
// `configuration` is null for a keyset that AWS KMS does not guard.
boost::json::object key_store_record(const KeysetInfo& keyset, KeystoreState state,
                                     const AwsKmsConfiguration* configuration);

// job_state gives ONTAP's word: queued, running, paused, success, failure, and never another.
std::string_view job_state(const Job& job);

}  // namespace rewrap::ontap

#endif  // REWRAP_API_ONTAP_RESOURCES_H_
