// What the front end asks of the service: its operations one to one, behind an interface so that tests
// can make every condition. Any thread; what may block is said in api/service.
#ifndef REWRAP_API_ELEMENT_BACKEND_H_
#define REWRAP_API_ELEMENT_BACKEND_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "api/front/accounts_backend.h"
#include "api/service/element.h"
#include "api/service/jobs.h"
#include "api/service/kmip.h"
#include "api/service/nodes.h"

namespace rewrap::element {

class Backend : public AccountsBackend {
 public:
  virtual Answer<Cluster> cluster() = 0;
  virtual Answer<std::vector<Node>> nodes() = 0;

  virtual Answer<SoftwareEncryption> encryption() = 0;
  virtual Answer<JobStart> rekey(std::optional<KeyManagement> management,
                                 std::optional<std::int64_t> provider_id, const Caller& caller) = 0;
  virtual Answer<RekeyKeys> keys_of(const Job& job) = 0;

  virtual Answer<Job> job(std::int64_t handle) = 0;
  virtual Answer<std::vector<Job>> jobs(const JobFilter& filter) = 0;
  virtual Answer<Done> purge(std::int64_t handle) = 0;

  virtual Answer<Done> create_key_pair(const CertificateSubject& subject, const Caller& caller) = 0;
  virtual Answer<std::string> certificate_request() = 0;

  virtual Answer<KmipProvider> create_provider(const std::string& name, const Caller& caller) = 0;
  virtual Answer<Done> delete_provider(std::int64_t id, const Caller& caller) = 0;
  virtual Answer<KmipProvider> provider(std::int64_t id) = 0;
  virtual Answer<std::vector<KmipProvider>> providers(std::optional<bool> is_active,
                                                      std::optional<bool> has_server) = 0;
  virtual Answer<Done> test_provider(std::int64_t id) = 0;

  virtual Answer<KmipServer> create_server(const KmipServerSettings& settings,
                                           const Caller& caller) = 0;
  virtual Answer<KmipServer> modify_server(std::int64_t id, const KmipServerSettings& settings,
                                           const Caller& caller) = 0;
  virtual Answer<Done> delete_server(std::int64_t id, const Caller& caller) = 0;
  virtual Answer<KmipServer> server(std::int64_t id) = 0;
  virtual Answer<std::vector<KmipServer>> servers(std::optional<std::int64_t> provider_id,
                                                  std::optional<bool> provider_is_active,
                                                  std::optional<bool> is_assigned) = 0;
  virtual Answer<Done> test_server(std::int64_t id) = 0;
  virtual Answer<Done> add_server(std::int64_t provider_id, std::int64_t server_id,
                                  const Caller& caller) = 0;
  virtual Answer<Done> remove_server(std::int64_t server_id, const Caller& caller) = 0;
};

}  // namespace rewrap::element

#endif  // REWRAP_API_ELEMENT_BACKEND_H_
