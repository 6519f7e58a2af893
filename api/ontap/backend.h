// What the front end asks of the service: its operations one to one, behind an interface so that tests
// can make every condition. Any thread; what may block is said in api/service.
#ifndef REWRAP_API_ONTAP_BACKEND_H_
#define REWRAP_API_ONTAP_BACKEND_H_

#include <chrono>
#include <string>
#include <vector>

#include "api/front/accounts_backend.h"
#include "api/service/aws_kms.h"
#include "api/service/jobs.h"
#include "api/service/keysets.h"
#include "api/service/nodes.h"

namespace rewrap::ontap {

class Backend : public AccountsBackend {
 public:
  virtual Answer<Cluster> cluster() = 0;
  virtual Answer<std::vector<Node>> nodes() = 0;

  virtual Answer<std::vector<KeysetInfo>> keysets() = 0;
  virtual Answer<KeysetInfo> keyset(const std::string& name) = 0;
  virtual Answer<KeysetInfo> find_keyset(const Uuid& uuid) = 0;
  virtual Answer<KeystoreState> keystore_state(const std::string& name, bool ask_root) = 0;

  virtual Answer<std::vector<AwsKmsConfiguration>> aws_kms_list() = 0;
  virtual Answer<AwsKmsConfiguration> aws_kms(const Uuid& uuid) = 0;
  virtual Answer<AwsKmsState> aws_kms_state(const Uuid& uuid) = 0;
  virtual Answer<AwsKmsConfiguration> create_aws_kms(const std::string& keyset,
                                                     const std::string& key_id,
                                                     AwsKmsSettings settings,
                                                     const Caller& caller) = 0;
  virtual Answer<AwsKmsConfiguration> modify_aws_kms(const Uuid& uuid, AwsKmsSettings settings,
                                                     const Caller& caller) = 0;
  virtual Answer<Done> remove_aws_kms(const Uuid& uuid, const Caller& caller) = 0;
  virtual Answer<JobStart> rekey_internal(const Uuid& uuid, const Caller& caller) = 0;
  virtual Answer<JobStart> rekey_external(const Uuid& uuid, const std::string& key_id,
                                          const Caller& caller) = 0;
  virtual Answer<JobStart> restore(const Uuid& uuid, const Caller& caller) = 0;

  virtual Answer<Job> job(const Uuid& uuid) = 0;
  virtual Answer<std::vector<Job>> jobs(const JobFilter& filter) = 0;
  virtual Answer<Job> pause(const Uuid& uuid, const Caller& caller) = 0;
  virtual Answer<Job> resume(const Uuid& uuid, const Caller& caller) = 0;
  virtual Answer<Job> cancel(const Uuid& uuid, const Caller& caller) = 0;
  virtual void on_finished(const Uuid& uuid, std::chrono::steady_clock::time_point deadline,
                           Jobs::Callback callback) = 0;
};

}  // namespace rewrap::ontap

#endif  // REWRAP_API_ONTAP_BACKEND_H_
