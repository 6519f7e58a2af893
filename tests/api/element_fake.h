// A service for tests of the Element front end: its state is plain data that a test puts into any
// condition, and every call is written down.
#ifndef REWRAP_TESTS_API_ELEMENT_FAKE_H_
#define REWRAP_TESTS_API_ELEMENT_FAKE_H_

#include <optional>
#include <string>
#include <vector>

#include "api/element/backend.h"
#include "api/element/front_end.h"
#include "tests/api/front_fake.h"

namespace rewrap::test {

class FakeElement : public element::Backend {
 public:
  // Software encryption is enabled for the keyset "volumes", with an internal master key. There is
  // provider 5 with server 11, and server 12 that nobody has. Accounts: "admin", "operator" and
  // "reader", all with the password "correct-horse".
  FakeElement();

  SoftwareEncryption state;
  RekeyKeys keys;
  bool keys_known = true;
  std::vector<Job> job_list;
  std::vector<KmipProvider> provider_list;
  std::vector<KmipServer> server_list;
  std::vector<Node> node_list;
  bool rekey_runs = false;      // a rekey gets the job of the one before
  std::optional<Failure> next;  // the next operation that can fail fails so
  Status audit_status;

  // What was asked for.
  std::vector<AuditEvent> events;
  int log_ins = 0;
  int operations = 0;  // all that change or connect
  std::string last_operation;
  std::optional<KeyManagement> last_management;
  std::optional<std::int64_t> last_provider_id;
  std::optional<std::int64_t> last_server_id;
  std::optional<bool> last_first_filter;
  std::optional<bool> last_second_filter;
  CertificateSubject last_subject;
  KmipServerSettings last_settings;
  Caller last_caller;

  // add_job records a rekey with the next handle, from 7 on.
  Job& add_job(JobState state, JobPhase phase = JobPhase::kNone);

  Answer<Account> log_in(std::string_view name, ByteView password) override;
  Answer<Account> log_in_certificate(std::string_view common_name) override;
  bool is_allowed(Role role, Permission permission) override;
  Status audit(const AuditEvent& event) override;
  Answer<Cluster> cluster() override;
  Answer<std::vector<Node>> nodes() override;
  Answer<SoftwareEncryption> encryption() override;
  Answer<JobStart> rekey(std::optional<KeyManagement> management,
                         std::optional<std::int64_t> provider_id, const Caller& caller) override;
  Answer<RekeyKeys> keys_of(const Job& job) override;
  Answer<Job> job(std::int64_t handle) override;
  Answer<std::vector<Job>> jobs(const JobFilter& filter) override;
  Answer<Done> purge(std::int64_t handle) override;
  Answer<Done> create_key_pair(const CertificateSubject& subject, const Caller& caller) override;
  Answer<std::string> certificate_request() override;
  Answer<KmipProvider> create_provider(const std::string& name, const Caller& caller) override;
  Answer<Done> delete_provider(std::int64_t id, const Caller& caller) override;
  Answer<KmipProvider> provider(std::int64_t id) override;
  Answer<std::vector<KmipProvider>> providers(std::optional<bool> is_active,
                                              std::optional<bool> has_server) override;
  Answer<Done> test_provider(std::int64_t id) override;
  Answer<KmipServer> create_server(const KmipServerSettings& settings,
                                   const Caller& caller) override;
  Answer<KmipServer> modify_server(std::int64_t id, const KmipServerSettings& settings,
                                   const Caller& caller) override;
  Answer<Done> delete_server(std::int64_t id, const Caller& caller) override;
  Answer<KmipServer> server(std::int64_t id) override;
  Answer<std::vector<KmipServer>> servers(std::optional<std::int64_t> provider_id,
                                          std::optional<bool> provider_is_active,
                                          std::optional<bool> is_assigned) override;
  Answer<Done> test_server(std::int64_t id) override;
  Answer<Done> add_server(std::int64_t provider_id, std::int64_t server_id,
                          const Caller& caller) override;
  Answer<Done> remove_server(std::int64_t server_id, const Caller& caller) override;

 private:
  // begin notes an operation, and gives the failure that it is to end with.
  std::optional<Failure> begin(const char* operation, const Caller& caller = {});
  Answer<Done> on_provider(const char* operation, std::int64_t id, const Caller& caller = {});
  Answer<Done> on_server(const char* operation, std::int64_t id, const Caller& caller = {});
};

class ElementFixture {
 public:
  ElementFixture();

  // send gives the answer to a request as it is; post is one to /json-rpc/12.3, and call puts an
  // envelope with id 1 around method and params.
  TestAnswer send(const TestRequest& request);
  TestAnswer post(const std::string& body, const std::string& user = "admin");
  TestAnswer call(const std::string& method, const std::string& params = "{}",
                  const std::string& user = "admin");
  // error_of gives the name of the error, "" if there is none; and message_of its message.
  std::string error_of(const std::string& method, const std::string& params = "{}");
  std::string message_of(const std::string& method, const std::string& params = "{}");

  FakeElement backend;

 private:
  Workers workers_;
  element::FrontEnd front_end_;
};

}  // namespace rewrap::test

#endif  // REWRAP_TESTS_API_ELEMENT_FAKE_H_
