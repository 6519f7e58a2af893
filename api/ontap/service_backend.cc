// Forwarding to the service.
#include "api/ontap/service_backend.h"

#include <utility>

#include "api/front/service_accounts.h"

namespace rewrap::ontap {
namespace {

class ServiceBackend : public ServiceAccounts<Backend> {
 public:
  using ServiceAccounts::ServiceAccounts;

  Answer<Cluster> cluster() override { return service_->nodes().cluster(); }
  Answer<std::vector<Node>> nodes() override { return service_->nodes().list(); }

  Answer<std::vector<KeysetInfo>> keysets() override { return service_->keysets().list(); }
  Answer<KeysetInfo> keyset(const std::string& name) override {
    return service_->keysets().get(name);
  }
  Answer<KeysetInfo> find_keyset(const Uuid& uuid) override {
    return service_->keysets().find(uuid);
  }
  Answer<KeystoreState> keystore_state(const std::string& name, bool ask_root) override {
    return service_->keysets().state(name, ask_root);
  }

  Answer<std::vector<AwsKmsConfiguration>> aws_kms_list() override {
    return service_->aws_kms().list();
  }
  Answer<AwsKmsConfiguration> aws_kms(const Uuid& uuid) override {
    return service_->aws_kms().get(uuid);
  }
  Answer<AwsKmsState> aws_kms_state(const Uuid& uuid) override {
    return service_->aws_kms().state(uuid);
  }
  Answer<AwsKmsConfiguration> create_aws_kms(const std::string& keyset, const std::string& key_id,
                                             AwsKmsSettings settings,
                                             const Caller& caller) override {
    return service_->aws_kms().create(keyset, key_id, std::move(settings), caller);
  }
  Answer<AwsKmsConfiguration> modify_aws_kms(const Uuid& uuid, AwsKmsSettings settings,
                                             const Caller& caller) override {
    return service_->aws_kms().modify(uuid, std::move(settings), caller);
  }
  Answer<Done> remove_aws_kms(const Uuid& uuid, const Caller& caller) override {
    return service_->aws_kms().remove(uuid, caller);
  }
  Answer<JobStart> rekey_internal(const Uuid& uuid, const Caller& caller) override {
    return service_->aws_kms().rekey_internal(uuid, caller);
  }
  Answer<JobStart> rekey_external(const Uuid& uuid, const std::string& key_id,
                                  const Caller& caller) override {
    return service_->aws_kms().rekey_external(uuid, key_id, caller);
  }
  Answer<JobStart> restore(const Uuid& uuid, const Caller& caller) override {
    return service_->aws_kms().restore(uuid, caller);
  }

  Answer<Job> job(const Uuid& uuid) override { return service_->jobs().get(uuid); }
  Answer<std::vector<Job>> jobs(const JobFilter& filter) override {
    return service_->jobs().list(filter);
  }
  Answer<Job> pause(const Uuid& uuid, const Caller& caller) override {
    return service_->jobs().pause(uuid, caller);
  }
  Answer<Job> resume(const Uuid& uuid, const Caller& caller) override {
    return service_->jobs().resume(uuid, caller);
  }
  Answer<Job> cancel(const Uuid& uuid, const Caller& caller) override {
    return service_->jobs().cancel(uuid, caller);
  }
  void on_finished(const Uuid& uuid, std::chrono::steady_clock::time_point deadline,
                   Jobs::Callback callback) override {
    service_->jobs().on_finished(uuid, deadline, std::move(callback));
  }
};

}  // namespace

std::unique_ptr<Backend> service_backend(Service* service) {
  return std::make_unique<ServiceBackend>(service);
}

}  // namespace rewrap::ontap
