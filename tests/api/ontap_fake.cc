// The service of the tests, and requests to it.
#include "tests/api/ontap_fake.h"

#include <algorithm>
#include <utility>

namespace rewrap::test {
namespace {

constexpr std::uint64_t kFarAway = 32'503'680'000;  // the year 3000

Failure failure_of(Reason reason) { return {reason, Status(Errc::kNotFound, "none of that name")}; }

std::optional<Role> role_of(std::string_view name) {
  if (name == "admin") return Role::kAdmin;
  if (name == "operator") return Role::kRekeyOperator;
  if (name == "reader") return Role::kReadOnly;
  return std::nullopt;
}

}  // namespace

FakeBackend::FakeBackend() {
  KeysetInfo svm;
  svm.uuid = test_uuid(0x01);
  svm.name = "svm1";
  svm.deks = 100;
  KeysetInfo admin;
  admin.uuid = test_uuid(0x02);
  admin.name = "admin";
  admin.is_admin = true;
  keyset_list = {svm, admin};

  AwsKmsConfiguration configuration;
  configuration.uuid = test_uuid(0x11);
  configuration.keyset_uuid = svm.uuid;
  configuration.keyset = svm.name;
  configuration.region = "us-east-1";
  configuration.key_id = "key-1";
  configuration.access_key_id = "AKIDTEST";
  configurations = {configuration};

  node_list = {{test_uuid(0x21), "node-01", 1, 1, true, true},
               {test_uuid(0x22), "node-02", 1, 0, false, false}};
  aws_state.amazon.reachable = true;
  aws_state.nodes = {{"node-01", test_uuid(0x21), {true, Reason::kNone, ""}},
                     {"node-02", test_uuid(0x22), {false, Reason::kNodeMissing, "no heartbeat"}}};
  aws_state.protected_everywhere = false;
  aws_state.message = "node-02 is missing";
}

std::optional<Failure> FakeBackend::take_next() { return std::exchange(next, std::nullopt); }

Answer<Account> FakeBackend::log_in(std::string_view name, ByteView password) {
  ++log_ins;
  const auto role = role_of(name);
  if (!role || !is_test_password(password))
    return Failure{Reason::kOther, Status(Errc::kDenied, "no")};
  Account account;
  account.name = name;
  account.role = *role;
  return account;
}

Answer<Account> FakeBackend::log_in_certificate(std::string_view common_name) {
  ++log_ins;
  if (common_name != "robot") return Failure{Reason::kOther, Status(Errc::kDenied, "no")};
  Account account;
  account.name = "robot";
  account.role = Role::kRekeyOperator;
  return account;
}

bool FakeBackend::is_allowed(Role role, Permission permission) {
  if (role == Role::kAdmin || permission == Permission::kRead) return true;
  return role == Role::kRekeyOperator && permission == Permission::kRekey;
}

Status FakeBackend::audit(const AuditEvent& event) {
  events.push_back(event);
  return audit_status;
}

Answer<Cluster> FakeBackend::cluster() {
  if (auto failure = take_next()) return *failure;
  return Cluster{test_uuid(0x31), "cluster1"};
}
Answer<std::vector<Node>> FakeBackend::nodes() { return node_list; }

Answer<std::vector<KeysetInfo>> FakeBackend::keysets() { return keyset_list; }
Answer<KeysetInfo> FakeBackend::keyset(const std::string& name) {
  for (const KeysetInfo& keyset : keyset_list)
    if (keyset.name == name) return keyset;
  return failure_of(Reason::kNoSuchKeyset);
}
Answer<KeysetInfo> FakeBackend::find_keyset(const Uuid& uuid) {
  for (const KeysetInfo& keyset : keyset_list)
    if (keyset.uuid == uuid) return keyset;
  return failure_of(Reason::kNoSuchKeyset);
}
Answer<KeystoreState> FakeBackend::keystore_state(const std::string& /*name*/, bool ask_root) {
  root_asked += ask_root ? 1 : 0;
  if (store_state == KeystoreState::kBlocked && !ask_root) return KeystoreState::kActive;
  return store_state;
}

Answer<std::vector<AwsKmsConfiguration>> FakeBackend::aws_kms_list() {
  if (auto failure = take_next()) return *failure;
  return configurations;
}
Answer<AwsKmsConfiguration> FakeBackend::aws_kms(const Uuid& uuid) {
  for (const AwsKmsConfiguration& configuration : configurations)
    if (configuration.uuid == uuid) return configuration;
  return failure_of(Reason::kNoAwsKms);
}
Answer<AwsKmsState> FakeBackend::aws_kms_state(const Uuid& /*uuid*/) {
  ++state_calls;
  if (auto failure = take_next()) return *failure;
  return aws_state;
}

Answer<AwsKmsConfiguration> FakeBackend::create_aws_kms(const std::string& keyset,
                                                        const std::string& key_id,
                                                        AwsKmsSettings settings,
                                                        const Caller& caller) {
  last_operation = "create";
  last_keyset = keyset;
  last_key_id = key_id;
  last_settings = std::move(settings);
  last_caller = caller;
  if (auto failure = take_next()) return *failure;
  AwsKmsConfiguration made;
  made.uuid = test_uuid(0x12);
  made.keyset = keyset;
  made.keyset_uuid = test_uuid(0x01);
  made.key_id = key_id;
  made.region = last_settings.region.value_or("");
  made.access_key_id = last_settings.access_key_id.value_or("");
  return made;
}

Answer<AwsKmsConfiguration> FakeBackend::modify_aws_kms(const Uuid& uuid, AwsKmsSettings settings,
                                                        const Caller& caller) {
  last_operation = "modify";
  last_settings = std::move(settings);
  last_caller = caller;
  if (auto failure = take_next()) return *failure;
  return aws_kms(uuid);
}

Answer<Done> FakeBackend::remove_aws_kms(const Uuid& uuid, const Caller& caller) {
  last_operation = "remove";
  last_caller = caller;
  if (auto failure = take_next()) return *failure;
  std::erase_if(configurations, [&](const auto& one) { return one.uuid == uuid; });
  return Done{};
}

Answer<JobStart> FakeBackend::start(const char* operation, JobKind kind, const Uuid& /*uuid*/,
                                    const Caller& caller) {
  last_operation = operation;
  last_caller = caller;
  if (auto failure = take_next()) return *failure;
  if (is_under_way) return JobStart{job_list.back(), false};
  Job job;
  job.uuid = test_uuid(static_cast<std::uint8_t>(0x80 + job_list.size()));
  job.kind = kind;
  job.state = JobState::kRunning;
  job.description = caller.description;
  job.keyset = "svm1";
  job.keyset_uuid = test_uuid(0x01);
  job.created_at = 1'700'000'000;
  job.started_at = 1'700'000'001;
  job.keep_until = kFarAway;
  job.progress.done = 10;
  job.progress.total = 100;
  job_list.push_back(job);
  return JobStart{job, true};
}
Answer<JobStart> FakeBackend::rekey_internal(const Uuid& uuid, const Caller& caller) {
  return start("rekey-internal", JobKind::kRekey, uuid, caller);
}
Answer<JobStart> FakeBackend::rekey_external(const Uuid& uuid, const std::string& key_id,
                                             const Caller& caller) {
  last_key_id = key_id;
  return start("rekey-external", JobKind::kReprotect, uuid, caller);
}
Answer<JobStart> FakeBackend::restore(const Uuid& uuid, const Caller& caller) {
  return start("restore", JobKind::kRestore, uuid, caller);
}

Answer<Job> FakeBackend::job(const Uuid& uuid) {
  for (const Job& job : job_list)
    if (job.uuid == uuid) return job;
  return failure_of(Reason::kNoSuchJob);
}
Answer<std::vector<Job>> FakeBackend::jobs(const JobFilter& filter) {
  if (!filter.only_kept) return Failure{Reason::kInternal, Status(Errc::kInternal, "kept ones")};
  return job_list;
}
Answer<Job> FakeBackend::act(const char* operation, const Uuid& uuid) {
  last_operation = operation;
  if (auto failure = take_next()) return *failure;
  return job(uuid);
}
Answer<Job> FakeBackend::pause(const Uuid& uuid, const Caller& /*caller*/) {
  return act("pause", uuid);
}
Answer<Job> FakeBackend::resume(const Uuid& uuid, const Caller& /*caller*/) {
  return act("resume", uuid);
}
Answer<Job> FakeBackend::cancel(const Uuid& uuid, const Caller& /*caller*/) {
  return act("cancel", uuid);
}

void FakeBackend::on_finished(const Uuid& uuid, std::chrono::steady_clock::time_point deadline,
                              Jobs::Callback callback) {
  last_deadline = deadline;
  const auto found = job(uuid);
  if (!found.ok() || has_ended(found->state)) return callback(found);
  waiting.push_back(std::move(callback));
}

void FakeBackend::finish(JobState state, Reason reason, const std::string& message) {
  Job& job = job_list.back();
  job.state = state;
  job.ended_at = 1'700'000'100;
  job.error.reason = reason;
  job.error.message = message;
  for (const auto& callback : std::exchange(waiting, {})) callback(job);
}
void FakeBackend::expire() {
  for (const auto& callback : std::exchange(waiting, {})) callback(job_list.back());
}

OntapFixture::OntapFixture() : workers_(1, 16), front_end_(&backend, &workers_) {}

std::optional<TestAnswer> OntapFixture::try_ask(const TestRequest& request) {
  slot_ = std::make_shared<std::optional<HttpResponse>>();
  front_end_.handle(make_request(request),
                    [slot = slot_](HttpResponse response) { slot->emplace(std::move(response)); });
  return answer();
}

std::optional<TestAnswer> OntapFixture::answer() {
  if (!*slot_) return std::nullopt;
  return test_answer(**slot_);
}

TestAnswer OntapFixture::ask(const TestRequest& request) {
  auto answer = try_ask(request);
  return answer ? *answer : TestAnswer{};
}

TestAnswer OntapFixture::get(const std::string& target) { return ask({"GET", target}); }

}  // namespace rewrap::test
