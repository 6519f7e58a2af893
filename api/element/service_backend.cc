// Forwarding to the service.
#include "api/element/service_backend.h"

#include "api/front/service_accounts.h"

namespace rewrap::element {
namespace {

class ServiceBackend : public ServiceAccounts<Backend> {
 public:
  using ServiceAccounts::ServiceAccounts;

  Answer<Cluster> cluster() override { return service_->nodes().cluster(); }
  Answer<std::vector<Node>> nodes() override { return service_->nodes().list(); }

  Answer<SoftwareEncryption> encryption() override { return service_->element().info(); }
  Answer<JobStart> rekey(std::optional<KeyManagement> management,
                         std::optional<std::int64_t> provider_id, const Caller& caller) override {
    return service_->element().rekey(management, provider_id, caller);
  }
  Answer<RekeyKeys> keys_of(const Job& job) override { return service_->element().keys_of(job); }

  Answer<Job> job(std::int64_t handle) override { return service_->jobs().get_handle(handle); }
  Answer<std::vector<Job>> jobs(const JobFilter& filter) override {
    return service_->jobs().list(filter);
  }
  Answer<Done> purge(std::int64_t handle) override { return service_->jobs().purge(handle); }

  Answer<Done> create_key_pair(const CertificateSubject& subject, const Caller& caller) override {
    return service_->kmip().create_key_pair(subject, caller);
  }
  Answer<std::string> certificate_request() override {
    return service_->kmip().certificate_request();
  }

  Answer<KmipProvider> create_provider(const std::string& name, const Caller& caller) override {
    return service_->kmip().create_provider(name, caller);
  }
  Answer<Done> delete_provider(std::int64_t id, const Caller& caller) override {
    return service_->kmip().delete_provider(id, caller);
  }
  Answer<KmipProvider> provider(std::int64_t id) override { return service_->kmip().provider(id); }
  Answer<std::vector<KmipProvider>> providers(std::optional<bool> is_active,
                                              std::optional<bool> has_server) override {
    return service_->kmip().providers(is_active, has_server);
  }
  Answer<Done> test_provider(std::int64_t id) override {
    return service_->kmip().test_provider(id);
  }

  Answer<KmipServer> create_server(const KmipServerSettings& settings,
                                   const Caller& caller) override {
    return service_->kmip().create_server(settings, caller);
  }
  Answer<KmipServer> modify_server(std::int64_t id, const KmipServerSettings& settings,
                                   const Caller& caller) override {
    return service_->kmip().modify_server(id, settings, caller);
  }
  Answer<Done> delete_server(std::int64_t id, const Caller& caller) override {
    return service_->kmip().delete_server(id, caller);
  }
  Answer<KmipServer> server(std::int64_t id) override { return service_->kmip().server(id); }
  Answer<std::vector<KmipServer>> servers(std::optional<std::int64_t> provider_id,
                                          std::optional<bool> provider_is_active,
                                          std::optional<bool> is_assigned) override {
    return service_->kmip().servers(provider_id, provider_is_active, is_assigned);
  }
  Answer<Done> test_server(std::int64_t id) override { return service_->kmip().test_server(id); }
  Answer<Done> add_server(std::int64_t provider_id, std::int64_t server_id,
                          const Caller& caller) override {
    return service_->kmip().add_server(provider_id, server_id, caller);
  }
  Answer<Done> remove_server(std::int64_t server_id, const Caller& caller) override {
    return service_->kmip().remove_server(server_id, caller);
  }
};

}  // namespace

std::unique_ptr<Backend> service_backend(Service* service) {
  return std::make_unique<ServiceBackend>(service);
}

}  // namespace rewrap::element
