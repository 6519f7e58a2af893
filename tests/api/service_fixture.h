// A service over a store in a private directory, with a keyset of some DEKs under a file root.
#ifndef REWRAP_TESTS_API_SERVICE_FIXTURE_H_
#define REWRAP_TESTS_API_SERVICE_FIXTURE_H_

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "api/service/service.h"
#include "api/service/service_db.h"
#include "tests/rekey/fixture.h"

namespace rewrap {

// The value of an Answer that must be there.
template <typename T>
T ok_value(Answer<T> answer) {
  if (!answer.ok()) {
    ADD_FAILURE() << reason_name(answer.reason()) << ": " << answer.status().describe();
    std::abort();
  }
  return std::move(answer).value();
}

class ServiceFixture : public RekeyFixture {
 protected:
  static constexpr std::uint64_t kNumDeks = 10'000;
  // Slow enough that a job of kNumDeks is under way for seconds, on any machine.
  static constexpr double kSlow = 2'500;

  void SetUp() override;
  void TearDown() override { stop(); }

  // options are those of the next start; a test may change them.
  ServiceOptions options_;
  std::unique_ptr<Service> service_;

  void start();
  void stop() { service_.reset(); }
  void restart();

  static Caller caller(JobOrigin origin = JobOrigin::kNative);
  JobStart rekey(double rate = 0);
  [[nodiscard]] Job job(const Uuid& uuid) { return ok_value(service_->jobs().get(uuid)); }

  // wait_for polls until the job is as wanted, for a minute at most, and gives it.
  Job wait_for(const Uuid& uuid, const std::function<bool(const Job&)>& wanted);
  Job wait_for_state(const Uuid& uuid, JobState state);
  Job wait_for_progress(const Uuid& uuid);
  // finish waits for the end by on_finished.
  Job finish(const Uuid& uuid);

  // with_store stops the service, and opens the store for what the fixtures of rekey/ offer.
  void with_store(const std::function<void()>& body);
  // expect_keyset checks that every DEK of SetUp opens and is what it was, all of them under
  // `version`, which is the current one.
  void expect_keyset(KekVersion version);

  std::vector<DekId> ids_;
  std::map<DekId, Bytes> keys_;  // of the first few ids
};

}  // namespace rewrap

#endif  // REWRAP_TESTS_API_SERVICE_FIXTURE_H_
