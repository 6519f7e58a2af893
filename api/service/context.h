// What the parts of the service share. Made by Service::open; the parts hold a pointer to it.
#ifndef REWRAP_API_SERVICE_CONTEXT_H_
#define REWRAP_API_SERVICE_CONTEXT_H_

#include <memory>
#include <mutex>
#include <optional>

#include "api/service/job_runner.h"
#include "api/service/root_resolver.h"
#include "api/service/secret_box.h"
#include "api/service/service.h"
#include "api/service/service_db.h"
#include "engine/implementation.h"
#include "rekey/store.h"

namespace rewrap {

struct ServiceContext {
  ServiceOptions options;
  std::unique_ptr<Store> store;
  std::unique_ptr<ServiceDb> db;
  const Implementation* implementation = nullptr;
  std::unique_ptr<SecretBox> box;  // null if no root guards the service key
  std::unique_ptr<AuditLog> audit_log;
  std::unique_ptr<RootResolver> roots;
  std::unique_ptr<JobRunner> runner;
  std::mutex aws_kms_changes;  // one change of an AWS KMS configuration at a time

  Jobs jobs{this};
  Keysets keysets{this};
  AwsKms aws_kms{this};
  Kmip kmip{this};
  Element element{this};
  Nodes nodes{this};
  Accounts accounts{this};
};

// keyset_record reads a keyset without any key. Reasons: kNoSuchKeyset
Answer<KeysetRecord> keyset_record(ServiceContext* context, const std::string& name);

// start_job is what every start ends with: the record is made durable, the runner is told, and the
// audit log. Reasons: kTooMany; kNameTaken if the keyset has a rekey that has not ended
Answer<JobStart> start_job(ServiceContext* context, Job job, const JobPlan& plan,
                           const Caller& caller);

// start_reprotect_job is Jobs::start_reprotect with a plan of one's own.
Answer<JobStart> start_reprotect_job(ServiceContext* context, const std::string& keyset,
                                     const JobPlan& plan, const Caller& caller);

// audit writes what a caller has changed. Errors: the audit log's
Status audit(ServiceContext* context, const Caller& caller, const char* action,
             const std::string& object, const char* outcome, const std::string& detail = {});

}  // namespace rewrap

#endif  // REWRAP_API_SERVICE_CONTEXT_H_
