// A service for tests of the ONTAP front end: its state is plain data that a test puts into any
// condition, and every call is written down.
#ifndef REWRAP_TESTS_API_ONTAP_FAKE_H_
#define REWRAP_TESTS_API_ONTAP_FAKE_H_

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "api/ontap/backend.h"
#include "api/ontap/front_end.h"
#include "tests/api/front_fake.h"

namespace rewrap::test {

class FakeBackend : public ontap::Backend {
 public:
  // One SVM "svm1" (uuid ..01) with a configuration (..11), an admin keyset (..02), nodes ..21 and
  // ..22, and the accounts "admin", "operator" and "reader", all with the password "correct-horse".
  FakeBackend();

  std::vector<KeysetInfo> keyset_list;
  std::vector<AwsKmsConfiguration> configurations;
  AwsKmsState aws_state;
  std::vector<Node> node_list;
  std::vector<Job> job_list;
  KeystoreState store_state = KeystoreState::kActive;
  bool is_under_way = false;    // what is started is the newest job once more
  std::optional<Failure> next;  // the next operation that can fail fails so
  Status audit_status;

  // What was asked for.
  std::vector<AuditEvent> events;
  int log_ins = 0;
  int state_calls = 0;
  int root_asked = 0;
  std::string last_operation;
  std::string last_keyset;
  std::string last_key_id;
  AwsKmsSettings last_settings;
  Caller last_caller;
  std::chrono::steady_clock::time_point last_deadline;
  std::vector<Jobs::Callback> waiting;  // of jobs that have not ended

  // finish ends the newest job and calls back.
  void finish(JobState state, Reason reason = Reason::kNone, const std::string& message = "");
  // expire calls back as a deadline does: the job goes on.
  void expire();

  Answer<Account> log_in(std::string_view name, ByteView password) override;
  Answer<Account> log_in_certificate(std::string_view common_name) override;
  bool is_allowed(Role role, Permission permission) override;
  Status audit(const AuditEvent& event) override;
  Answer<Cluster> cluster() override;
  Answer<std::vector<Node>> nodes() override;
  Answer<std::vector<KeysetInfo>> keysets() override;
  Answer<KeysetInfo> keyset(const std::string& name) override;
  Answer<KeysetInfo> find_keyset(const Uuid& uuid) override;
  Answer<KeystoreState> keystore_state(const std::string& name, bool ask_root) override;
  Answer<std::vector<AwsKmsConfiguration>> aws_kms_list() override;
  Answer<AwsKmsConfiguration> aws_kms(const Uuid& uuid) override;
  Answer<AwsKmsState> aws_kms_state(const Uuid& uuid) override;
  Answer<AwsKmsConfiguration> create_aws_kms(const std::string& keyset, const std::string& key_id,
                                             AwsKmsSettings settings,
                                             const Caller& caller) override;
  Answer<AwsKmsConfiguration> modify_aws_kms(const Uuid& uuid, AwsKmsSettings settings,
                                             const Caller& caller) override;
  Answer<Done> remove_aws_kms(const Uuid& uuid, const Caller& caller) override;
  Answer<JobStart> rekey_internal(const Uuid& uuid, const Caller& caller) override;
  Answer<JobStart> rekey_external(const Uuid& uuid, const std::string& key_id,
                                  const Caller& caller) override;
  Answer<JobStart> restore(const Uuid& uuid, const Caller& caller) override;
  Answer<Job> job(const Uuid& uuid) override;
  Answer<std::vector<Job>> jobs(const JobFilter& filter) override;
  Answer<Job> pause(const Uuid& uuid, const Caller& caller) override;
  Answer<Job> resume(const Uuid& uuid, const Caller& caller) override;
  Answer<Job> cancel(const Uuid& uuid, const Caller& caller) override;
  void on_finished(const Uuid& uuid, std::chrono::steady_clock::time_point deadline,
                   Jobs::Callback callback) override;

 private:
  std::optional<Failure> take_next();
  Answer<JobStart> start(const char* operation, JobKind kind, const Uuid& uuid,
                         const Caller& caller);
  Answer<Job> act(const char* operation, const Uuid& uuid);
};

class OntapFixture {
 public:
  OntapFixture();
  // ask sends a request through the whole front end; the answer is there unless it waits for a job.
  std::optional<TestAnswer> try_ask(const TestRequest& request);
  TestAnswer ask(const TestRequest& request);
  TestAnswer get(const std::string& target);
  // answer gives what a request that waited got in the meantime.
  std::optional<TestAnswer> answer();

  FakeBackend backend;

 private:
  Workers workers_;
  ontap::FrontEnd front_end_;
  std::shared_ptr<std::optional<HttpResponse>> slot_;
};

}  // namespace rewrap::test

#endif  // REWRAP_TESTS_API_ONTAP_FAKE_H_
