// The fixture of the service tests.
#include "tests/api/service_fixture.h"

#include <condition_variable>
#include <mutex>
#include <thread>

namespace rewrap {

void ServiceFixture::SetUp() {
  RekeyFixture::SetUp();
  ids_ = generate(kNumDeks);
  keys_ = open_all({ids_.front(), ids_[ids_.size() / 2], ids_.back()});
  store_.reset();  // one environment of LMDB per process
  options_.store_directory = directory_.path() + "/store";
  options_.root = root_options();
  options_.threads = 2;
}

void ServiceFixture::start() { service_ = ok_value(Service::open(options_)); }

void ServiceFixture::restart() {
  stop();
  start();
}

Caller ServiceFixture::caller(JobOrigin origin) { return {origin, "tester", "a test"}; }

JobStart ServiceFixture::rekey(double rate) {
  RekeyRequest request;
  request.keyset = kName;
  request.rate_limit = rate;
  return ok_value(service_->jobs().start_rekey(request, caller()));
}

Job ServiceFixture::wait_for(const Uuid& uuid, const std::function<bool(const Job&)>& wanted) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  for (;;) {
    Job now = job(uuid);
    if (wanted(now)) return now;
    if (std::chrono::steady_clock::now() > deadline) {
      ADD_FAILURE() << "the job is still " << job_state_name(now.state) << ", "
                    << now.error.message;
      return now;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
}

Job ServiceFixture::wait_for_state(const Uuid& uuid, JobState state) {
  return wait_for(uuid, [&](const Job& now) { return now.state == state; });
}

Job ServiceFixture::wait_for_progress(const Uuid& uuid) {
  return wait_for(uuid, [](const Job& now) {
    return now.state == JobState::kRunning && now.progress.done != 0;
  });
}

Job ServiceFixture::finish(const Uuid& uuid) {
  std::mutex mutex;
  std::condition_variable arrived;
  std::optional<Answer<Job>> answer;
  service_->jobs().on_finished(uuid, std::chrono::steady_clock::now() + std::chrono::minutes(1),
                               [&](const Answer<Job>& job) {
                                 const std::lock_guard lock(mutex);
                                 answer.emplace(job);
                                 arrived.notify_all();
                               });
  std::unique_lock lock(mutex);
  arrived.wait(lock, [&] { return answer.has_value(); });
  return ok_value(*answer);
}

void ServiceFixture::with_store(const std::function<void()>& body) {
  stop();
  store_ = ok_value(open_store(options_.store_directory, OpenMode::kMustExist));
  body();
  store_.reset();
}

void ServiceFixture::expect_keyset(KekVersion version) {
  with_store([&] {
    const VerifyReport report = verify_all();
    EXPECT_TRUE(report.findings.empty());
    EXPECT_TRUE(report.certified);
    EXPECT_EQ(report.ok, ids_.size());
    const Census counted = census();
    EXPECT_EQ(counted.keyset.current_version, version);
    EXPECT_EQ(counted.keyset.rekey_target, 0U);
    std::vector<DekId> some;
    for (const auto& [id, key] : keys_) some.push_back(id);
    EXPECT_EQ(open_all(some), keys_);
  });
}

}  // namespace rewrap
