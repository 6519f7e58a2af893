// The service of the tests.
#include "tests/api/element_fake.h"

#include <algorithm>
#include <utility>

namespace rewrap::test {
namespace {

Failure failure_of(Reason reason) { return {reason, Status(Errc::kNotFound, "none of that name")}; }

std::string unquoted(const std::string& text) {
  return text.size() < 2 ? text : text.substr(1, text.size() - 2);
}

}  // namespace

FakeElement::FakeElement() {
  keys.key_to_decommission.uuid = test_uuid(0x01);
  keys.key_to_decommission.version = 1;
  keys.key_to_decommission.created_at = 1'700'000'000;
  state.enabled = true;
  state.keyset = "volumes";
  state.master_key = keys.key_to_decommission;

  KmipProvider provider;
  provider.id = 5;
  provider.name = "provider";
  provider.server_ids = {11};
  provider_list = {provider};
  KmipServer assigned;
  assigned.id = 11;
  assigned.name = "server";
  assigned.provider_id = 5;
  assigned.provider_is_active = false;
  assigned.hosts = {"kmip.example"};
  assigned.ca_pem = "ca\n";
  assigned.certificate_pem = "certificate\n";
  KmipServer spare = assigned;
  spare.id = 12;
  spare.provider_id.reset();
  spare.provider_is_active.reset();
  server_list = {assigned, spare};
  node_list = {{test_uuid(0x21), "node-01", 1, 1, true, true}};
}

Job& FakeElement::add_job(JobState job_state, JobPhase phase) {
  Job job;
  job.handle = 7 + static_cast<std::int64_t>(job_list.size());
  job.kind = JobKind::kRekey;
  job.state = job_state;
  job.phase = phase;
  job.keyset = "volumes";
  job.created_at = 1'700'000'000;
  job.updated_at = 1'700'000'060;
  job_list.push_back(job);
  state.rekey_handle = job.handle;
  return job_list.back();
}

std::optional<Failure> FakeElement::begin(const char* operation, const Caller& caller) {
  ++operations;
  last_operation = operation;
  last_caller = caller;
  return std::exchange(next, std::nullopt);
}

Answer<Account> FakeElement::log_in(std::string_view name, ByteView password) {
  ++log_ins;
  if ((name != "admin" && name != "operator" && name != "reader") || !is_test_password(password))
    return Failure{Reason::kOther, Status(Errc::kDenied, "no")};
  Account account;
  account.id = 3;
  account.name = name;
  account.role = name == "admin"      ? Role::kAdmin
                 : name == "operator" ? Role::kRekeyOperator
                                      : Role::kReadOnly;
  return account;
}
Answer<Account> FakeElement::log_in_certificate(std::string_view /*common_name*/) {
  return Failure{Reason::kOther, Status(Errc::kDenied, "no")};
}
bool FakeElement::is_allowed(Role role, Permission permission) { return may(role, permission); }
Status FakeElement::audit(const AuditEvent& event) {
  events.push_back(event);
  return audit_status;
}

Answer<Cluster> FakeElement::cluster() { return Cluster{test_uuid(0x31), "cluster1"}; }
Answer<std::vector<Node>> FakeElement::nodes() { return node_list; }
Answer<SoftwareEncryption> FakeElement::encryption() { return state; }

Answer<JobStart> FakeElement::rekey(std::optional<KeyManagement> management,
                                    std::optional<std::int64_t> provider_id, const Caller& caller) {
  last_management = management;
  last_provider_id = provider_id;
  if (auto failure = begin("rekey", caller)) return *failure;
  if (!state.enabled) return failure_of(Reason::kNotEnabled);
  if (provider_id && !provider(*provider_id).ok()) return failure_of(Reason::kNoSuchProvider);
  if (rekey_runs) return JobStart{job_list.back(), false};
  return JobStart{add_job(JobState::kQueued), true};
}
Answer<RekeyKeys> FakeElement::keys_of(const Job& /*job*/) {
  if (!keys_known) return failure_of(Reason::kNoSuchKey);
  return keys;
}

Answer<Job> FakeElement::job(std::int64_t handle) {
  for (const Job& job : job_list)
    if (job.handle == handle && !job.purged) return job;
  return failure_of(Reason::kNoSuchJob);
}
Answer<std::vector<Job>> FakeElement::jobs(const JobFilter& filter) {
  std::vector<Job> found;
  for (const Job& job : job_list)
    if (!(filter.leave_out_purged && job.purged)) found.insert(found.begin(), job);
  return found;
}
Answer<Done> FakeElement::purge(std::int64_t handle) {
  if (auto failure = std::exchange(next, std::nullopt)) return *failure;
  for (Job& job : job_list)
    if (job.handle == handle) job.purged = true;
  if (state.rekey_handle == handle) state.rekey_handle.reset();
  return Done{};
}

Answer<Done> FakeElement::create_key_pair(const CertificateSubject& subject, const Caller& caller) {
  last_subject = subject;
  if (auto failure = begin("create key pair", caller)) return *failure;
  return Done{};
}
Answer<std::string> FakeElement::certificate_request() {
  if (auto failure = std::exchange(next, std::nullopt)) return *failure;
  return std::string("-----BEGIN CERTIFICATE REQUEST-----\nMII=\n");
}

Answer<Done> FakeElement::on_provider(const char* operation, std::int64_t id,
                                      const Caller& caller) {
  last_provider_id = id;
  if (auto failure = begin(operation, caller)) return *failure;
  if (!provider(id).ok()) return failure_of(Reason::kNoSuchProvider);
  return Done{};
}
Answer<Done> FakeElement::on_server(const char* operation, std::int64_t id, const Caller& caller) {
  last_server_id = id;
  if (auto failure = begin(operation, caller)) return *failure;
  if (!server(id).ok()) return failure_of(Reason::kNoSuchServer);
  return Done{};
}

Answer<KmipProvider> FakeElement::create_provider(const std::string& name, const Caller& caller) {
  if (auto failure = begin("create provider", caller)) return *failure;
  KmipProvider provider;
  provider.id = 6;
  provider.name = name;
  return provider;
}
Answer<Done> FakeElement::delete_provider(std::int64_t id, const Caller& caller) {
  return on_provider("delete provider", id, caller);
}
Answer<KmipProvider> FakeElement::provider(std::int64_t id) {
  for (const KmipProvider& provider : provider_list)
    if (provider.id == id) return provider;
  return failure_of(Reason::kNoSuchProvider);
}
Answer<std::vector<KmipProvider>> FakeElement::providers(std::optional<bool> is_active,
                                                         std::optional<bool> has_server) {
  last_first_filter = is_active;
  last_second_filter = has_server;
  return provider_list;
}
Answer<Done> FakeElement::test_provider(std::int64_t id) {
  return on_provider("test provider", id);
}

Answer<KmipServer> FakeElement::create_server(const KmipServerSettings& settings,
                                              const Caller& caller) {
  last_settings = settings;
  if (auto failure = begin("create server", caller)) return *failure;
  return server_list.back();
}
Answer<KmipServer> FakeElement::modify_server(std::int64_t id, const KmipServerSettings& settings,
                                              const Caller& caller) {
  last_settings = settings;
  REWRAP_ANSWER([[maybe_unused]] const Done done, on_server("modify server", id, caller));
  return server(id);
}
Answer<Done> FakeElement::delete_server(std::int64_t id, const Caller& caller) {
  return on_server("delete server", id, caller);
}
Answer<KmipServer> FakeElement::server(std::int64_t id) {
  for (const KmipServer& server : server_list)
    if (server.id == id) return server;
  return failure_of(Reason::kNoSuchServer);
}
Answer<std::vector<KmipServer>> FakeElement::servers(std::optional<std::int64_t> provider_id,
                                                     std::optional<bool> provider_is_active,
                                                     std::optional<bool> is_assigned) {
  last_provider_id = provider_id;
  last_first_filter = provider_is_active;
  last_second_filter = is_assigned;
  return server_list;
}
Answer<Done> FakeElement::test_server(std::int64_t id) { return on_server("test server", id); }
Answer<Done> FakeElement::add_server(std::int64_t provider_id, std::int64_t server_id,
                                     const Caller& caller) {
  REWRAP_ANSWER([[maybe_unused]] const Done done, on_server("add server", server_id, caller));
  last_provider_id = provider_id;
  if (!provider(provider_id).ok()) return failure_of(Reason::kNoSuchProvider);
  return Done{};
}
Answer<Done> FakeElement::remove_server(std::int64_t server_id, const Caller& caller) {
  return on_server("remove server", server_id, caller);
}

ElementFixture::ElementFixture() : workers_(1, 16), front_end_(&backend, &workers_) {}

TestAnswer ElementFixture::send(const TestRequest& request) {
  return test_answer(front_end_.handle(*make_request(request)));
}
TestAnswer ElementFixture::post(const std::string& body, const std::string& user) {
  return send({"POST", "/json-rpc/12.3", body, user});
}
TestAnswer ElementFixture::call(const std::string& method, const std::string& params,
                                const std::string& user) {
  return post(R"({"method":")" + method + R"(","id":1,"params":)" + params + "}", user);
}
std::string ElementFixture::error_of(const std::string& method, const std::string& params) {
  return unquoted(call(method, params).at("error.name"));
}
std::string ElementFixture::message_of(const std::string& method, const std::string& params) {
  return unquoted(call(method, params).at("error.message"));
}

}  // namespace rewrap::test
