// Jobs: what they do, what can be asked of them, and that their records tell the truth.
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <limits>
#include <thread>

#include "api/service/job_store.h"
#include "tests/api/service_fixture.h"

namespace rewrap {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

class JobsThreads : public ServiceFixture {};

TEST_F(JobsThreads, ARekeyReWrapsVerifiesAndDecommissions) {
  start();
  const JobStart begun = rekey();
  EXPECT_TRUE(begun.is_new);
  const Job ended = finish(begun.job.uuid);
  EXPECT_EQ(ended.state, JobState::kSucceeded) << ended.error.message;
  EXPECT_EQ(ended.phase, JobPhase::kNone);
  EXPECT_EQ(ended.handle, 1);
  EXPECT_EQ(ended.from_version, 1U);
  EXPECT_EQ(ended.to_version, 2U);
  EXPECT_EQ(ended.from_key, key_uuid(ended.keyset_uuid, 1));
  EXPECT_EQ(ended.to_key, key_uuid(ended.keyset_uuid, 2));
  EXPECT_EQ(ended.progress.done, kNumDeks);
  EXPECT_EQ(ended.progress.total, kNumDeks);
  EXPECT_EQ(ended.user, "tester");
  EXPECT_EQ(ended.description, "a test");
  EXPECT_GE(ended.ended_at, ended.started_at);
  EXPECT_EQ(ended.keep_until, ended.ended_at + kKeepJobs);
  const std::vector<KeyInfo> keys = ok_value(service_->keysets().keys(kName));
  ASSERT_EQ(keys.size(), 2U);
  EXPECT_EQ(keys[0].state, KekState::kDestroyed);
  EXPECT_EQ(keys[1].state, KekState::kUsable);
  expect_keyset(2);
}

TEST_F(JobsThreads, TheOldVersionIsKeptIfAsked) {
  start();
  RekeyRequest request;
  request.keyset = kName;
  request.decommission = false;
  const JobStart begun = ok_value(service_->jobs().start_rekey(request, caller()));
  EXPECT_EQ(finish(begun.job.uuid).state, JobState::kSucceeded);
  EXPECT_EQ(ok_value(service_->keysets().key(kName, 1)).state, KekState::kUsable);
  // A later rekey destroys what it has moved DEKs away from, and not what was kept on purpose.
  EXPECT_EQ(finish(rekey().job.uuid).state, JobState::kSucceeded);
  EXPECT_EQ(ok_value(service_->keysets().key(kName, 1)).state, KekState::kUsable);
  EXPECT_EQ(ok_value(service_->keysets().key(kName, 2)).state, KekState::kDestroyed);
}

TEST_F(JobsThreads, ASecondRekeyGetsTheRunningOne) {
  start();
  const JobStart first = rekey(kSlow);
  std::vector<std::jthread> threads;
  std::atomic<int> num_new{0};
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      const JobStart second = rekey();
      if (second.is_new) ++num_new;
      EXPECT_EQ(second.job.uuid, first.job.uuid);
    });
  }
  threads.clear();
  EXPECT_EQ(num_new, 0);
  EXPECT_EQ(ok_value(service_->jobs().list({})).size(), 1U);
}

TEST_F(JobsThreads, ManyRekeysAtOnceMakeOneJob) {
  start();
  std::vector<std::jthread> threads;
  std::atomic<int> num_new{0};
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      if (rekey(kSlow).is_new) ++num_new;
    });
  }
  threads.clear();
  EXPECT_EQ(num_new, 1);
}

TEST_F(JobsThreads, PauseResumeAndRate) {
  start();
  const Uuid uuid = rekey(kSlow).job.uuid;
  wait_for_progress(uuid);
  EXPECT_EQ(service_->jobs().resume(uuid, caller()).reason(), Reason::kJobRunning);
  ok_value(service_->jobs().pause(uuid, caller()));
  const Job paused = wait_for_state(uuid, JobState::kPaused);
  EXPECT_EQ(paused.error.reason, Reason::kNone);
  EXPECT_GT(paused.progress.done, 0U);
  EXPECT_LT(paused.progress.done, kNumDeks);
  EXPECT_EQ(service_->jobs().pause(uuid, caller()).reason(), Reason::kJobNotRunning);

  // It stays paused in a new process, and its rate can be changed.
  restart();
  EXPECT_EQ(job(uuid).state, JobState::kPaused);
  EXPECT_EQ(ok_value(service_->jobs().set_rate(uuid, 0, caller())).rate_limit, 0);
  std::this_thread::sleep_for(milliseconds(300));
  EXPECT_EQ(job(uuid).state, JobState::kPaused);
  ok_value(service_->jobs().resume(uuid, caller()));
  const Job ended = finish(uuid);
  EXPECT_EQ(ended.state, JobState::kSucceeded) << ended.error.message;
  EXPECT_EQ(service_->jobs().pause(uuid, caller()).reason(), Reason::kJobEnded);
  EXPECT_EQ(service_->jobs().cancel(uuid, caller()).reason(), Reason::kJobEnded);
  expect_keyset(2);
}

TEST_F(JobsThreads, TheRateOfARunningJobChanges) {
  start();
  // At one DEK per second it would take hours.
  const Uuid uuid = rekey(1).job.uuid;
  wait_for_progress(uuid);
  ok_value(service_->jobs().set_rate(uuid, 0, caller()));
  EXPECT_EQ(finish(uuid).state, JobState::kSucceeded);
  for (const double wrong : {-1.0, std::numeric_limits<double>::quiet_NaN()}) {
    RekeyRequest request;
    request.keyset = kName;
    request.rate_limit = wrong;
    EXPECT_EQ(service_->jobs().start_rekey(request, caller()).reason(), Reason::kInvalidInput);
  }
}

TEST_F(JobsThreads, ACancelledRekeyLeavesAValidKeysetThatGoesForward) {
  start();
  const Uuid uuid = rekey(kSlow).job.uuid;
  wait_for_progress(uuid);
  ok_value(service_->jobs().cancel(uuid, caller()));
  const Job ended = finish(uuid);
  EXPECT_EQ(ended.state, JobState::kCancelled);
  EXPECT_EQ(ended.error.reason, Reason::kJobCancelled);
  EXPECT_EQ(ok_value(service_->keysets().state(kName, true)), KeystoreState::kMixed);
  with_store([&] {
    EXPECT_TRUE(verify_all().findings.empty());
    const Census counted = census();
    EXPECT_EQ(counted.keyset.rekey_target, 2U);
    EXPECT_GT(counted.versions[0].deks, 0U);
    EXPECT_GT(counted.versions[1].deks, 0U);
  });
  start();
  const JobStart next = rekey();
  EXPECT_TRUE(next.is_new);
  const Job done = finish(next.job.uuid);
  EXPECT_EQ(done.state, JobState::kSucceeded) << done.error.message;
  EXPECT_EQ(done.from_version, 1U);
  EXPECT_EQ(done.to_version, 2U);
  EXPECT_EQ(ok_value(service_->keysets().key(kName, 1)).state, KekState::kDestroyed);
  expect_keyset(2);
}

// An unfinished rekey has its new KEK already; another root asks for one more.
TEST_F(JobsThreads, AnotherRootAfterACancelledRekeyMakesTwoSteps) {
  const std::string other = "file:" + directory_.path() + "/other.key";
  ASSERT_TRUE(create_root_key(other, root_options()).ok());
  start();
  const Uuid uuid = rekey(kSlow).job.uuid;
  wait_for_progress(uuid);
  ok_value(service_->jobs().cancel(uuid, caller()));
  finish(uuid);
  RekeyRequest request;
  request.keyset = kName;
  request.root_uri = other;
  const Job ended = finish(ok_value(service_->jobs().start_rekey(request, caller())).job.uuid);
  EXPECT_EQ(ended.state, JobState::kSucceeded) << ended.error.message;
  EXPECT_EQ(ended.to_version, 3U);
  EXPECT_EQ(ok_value(service_->keysets().key(kName, 2)).state, KekState::kDestroyed);
  expect_keyset(3);
}

TEST_F(JobsThreads, QueuedJobsAreCancelledAndPausedAtOnce) {
  options_.max_running_jobs = 1;
  start();
  const Uuid running = rekey(kSlow).job.uuid;
  wait_for_progress(running);
  const Job queued = ok_value(service_->jobs().start_verify(kName, caller())).job;
  EXPECT_EQ(queued.state, JobState::kQueued);
  EXPECT_EQ(ok_value(service_->jobs().pause(queued.uuid, caller())).state, JobState::kPaused);
  EXPECT_EQ(ok_value(service_->jobs().resume(queued.uuid, caller())).state, JobState::kQueued);
  EXPECT_EQ(ok_value(service_->jobs().cancel(queued.uuid, caller())).state, JobState::kCancelled);
  EXPECT_EQ(finish(queued.uuid).state, JobState::kCancelled);
}

TEST_F(JobsThreads, AnOrderlyStopLeavesAJobThatGoesOn) {
  start();
  const Uuid uuid = rekey(kSlow).job.uuid;
  wait_for_progress(uuid);
  std::atomic<int> called{0};
  service_->jobs().on_finished(uuid, steady_clock::now() + std::chrono::hours(1),
                               [&](const Answer<Job>& answer) {
                                 EXPECT_FALSE(has_ended(ok_value(answer).state));
                                 ++called;
                               });
  stop();
  EXPECT_EQ(called, 1);
  start();
  ok_value(service_->jobs().set_rate(uuid, 0, caller()));
  const Job ended = finish(uuid);
  EXPECT_EQ(ended.state, JobState::kSucceeded) << ended.error.message;
  EXPECT_EQ(ended.to_version, 2U);
  expect_keyset(2);
}

TEST_F(JobsThreads, WaitingEndsAtTheDeadline) {
  start();
  const Uuid uuid = rekey(kSlow).job.uuid;
  std::atomic<int> called{0};
  service_->jobs().on_finished(uuid, steady_clock::now() + milliseconds(50),
                               [&](const Answer<Job>& answer) {
                                 EXPECT_FALSE(has_ended(ok_value(answer).state));
                                 ++called;
                               });
  service_->jobs().on_finished(Uuid{}, steady_clock::now() + std::chrono::hours(1),
                               [&](const Answer<Job>& answer) {
                                 EXPECT_EQ(answer.reason(), Reason::kNoSuchJob);
                                 ++called;
                               });
  const auto limit = steady_clock::now() + std::chrono::minutes(1);
  while (called < 2 && steady_clock::now() < limit) std::this_thread::sleep_for(milliseconds(10));
  EXPECT_EQ(called, 2);
}

// A job whose end was not recorded (killed between the last commit and the record) must not make a
// second new KEK.
TEST_F(JobsThreads, AJobThatIsDoneButNotRecordedDoesNothingTwice) {
  start();
  const Uuid uuid = rekey().job.uuid;
  finish(uuid);
  stop();
  {
    const auto db = ok_value(ServiceDb::open(options_.store_directory));
    ASSERT_TRUE(db->write([&](Database& database) {
                    return database.run("UPDATE jobs SET state = 2, phase = 2, ended_at = 0");
                  }).ok());
  }
  start();
  const Job ended = finish(uuid);
  EXPECT_EQ(ended.state, JobState::kSucceeded) << ended.error.message;
  EXPECT_EQ(ended.to_version, 2U);
  expect_keyset(2);
}

// While a job waited, another rekey made the version that it was to make, but not under the root that was
// asked for: that is not success.
TEST_F(JobsThreads, AJobThatWasToMoveToAnotherRootIsNotDoneBySomebodyElsesRekey) {
  const std::string other = "file:" + directory_.path() + "/other.key";
  ASSERT_TRUE(create_root_key(other, root_options()).ok());
  start();
  const Uuid uuid = rekey().job.uuid;
  finish(uuid);
  stop();
  {
    const auto db = ok_value(ServiceDb::open(options_.store_directory));
    ASSERT_TRUE(db->write([&](Database& database) {
                    return database.run(
                        "UPDATE jobs SET state = 2, phase = 1, ended_at = 0, root_uri = ?", other);
                  }).ok());
  }
  start();
  const Job ended = finish(uuid);
  EXPECT_EQ(ended.state, JobState::kSucceeded) << ended.error.message;
  EXPECT_EQ(ended.to_version, 3U);
  std::filesystem::remove(directory_.path() + "/root.key");
  EXPECT_TRUE(service_->keysets().check_root(kName).ok());
}

// The same for a decommission: it must not report as missing what it has destroyed itself.
TEST_F(JobsThreads, ADecommissionThatIsDoneButNotRecordedHasSucceeded) {
  start();
  RekeyRequest request;
  request.keyset = kName;
  request.decommission = false;
  finish(ok_value(service_->jobs().start_rekey(request, caller())).job.uuid);
  const auto decommission = [&] {
    return ok_value(service_->jobs().start_decommission(kName, 1, caller())).job.uuid;
  };
  const Uuid uuid = decommission();
  EXPECT_EQ(finish(uuid).state, JobState::kSucceeded);
  // Another one, that was never begun, finds nothing to destroy.
  const Job second = finish(decommission());
  EXPECT_EQ(second.state, JobState::kFailed);
  EXPECT_EQ(second.error.reason, Reason::kNoSuchKey);
  stop();
  {
    const auto db = ok_value(ServiceDb::open(options_.store_directory));
    ASSERT_TRUE(db->write([&](Database& database) {
                    return database.run(
                        "UPDATE jobs SET state = 2, phase = 4, ended_at = 0 WHERE uuid = ?", uuid);
                  }).ok());
  }
  start();
  EXPECT_EQ(finish(uuid).state, JobState::kSucceeded);
}

// R7: a run that was killed before it noted what it has put aside must not end as if all were well.
TEST_F(JobsThreads, DeksThatWerePutAsideBeforeACrashAreStillReported) {
  with_store([&] { add_damaged(); });
  start();
  RekeyRequest request;
  request.keyset = kName;
  request.decommission = false;
  const Uuid uuid = ok_value(service_->jobs().start_rekey(request, caller())).job.uuid;
  EXPECT_EQ(finish(uuid).state, JobState::kIncomplete);
  stop();
  {
    const auto db = ok_value(ServiceDb::open(options_.store_directory));
    ASSERT_TRUE(db->write([&](Database& database) {
                    return database.run(
                        "UPDATE jobs SET state = 2, phase = 2, ended_at = 0, quarantined = 0");
                  }).ok());
  }
  start();
  const Job ended = finish(uuid);
  EXPECT_EQ(ended.state, JobState::kIncomplete);
  EXPECT_EQ(ended.error.reason, Reason::kDamagedDeks);
  EXPECT_EQ(ended.quarantined, 1U);
}

TEST_F(JobsThreads, APauseDoesNotTakeACancelBack) {
  start();
  const Uuid uuid = rekey(kSlow).job.uuid;
  wait_for_progress(uuid);
  stop();
  const auto db = ok_value(ServiceDb::open(options_.store_directory));
  std::vector<Reason> reasons;
  const Status status = db->write([&](Database& database) -> Status {
    REWRAP_TRY(database.run("UPDATE jobs SET state = 2"));  // as if it were running elsewhere
    reasons.push_back(request_pause(&database, uuid, 1).reason());
    reasons.push_back(request_cancel(&database, uuid, 1).reason());
    reasons.push_back(request_pause(&database, uuid, 1).reason());
    return {};
  });
  ASSERT_TRUE(status.ok()) << status.describe();
  EXPECT_EQ(reasons, (std::vector{Reason::kNone, Reason::kNone, Reason::kJobCannotPause}));
  start();
  EXPECT_EQ(job(uuid).state, JobState::kCancelled);
}

TEST_F(JobsThreads, DamagedDeksMakeItIncompleteAndKeepTheOldVersion) {
  with_store([&] { add_damaged(); });
  start();
  const Job ended = finish(rekey().job.uuid);
  EXPECT_EQ(ended.state, JobState::kIncomplete);
  EXPECT_EQ(ended.error.reason, Reason::kDamagedDeks);
  EXPECT_EQ(ended.quarantined, 1U);
  EXPECT_EQ(ok_value(service_->keysets().key(kName, 1)).state, KekState::kUsable);
}

TEST_F(JobsThreads, ANewRootThatDoesNotAnswerFailsAndChangesNothing) {
  start();
  RekeyRequest request;
  request.keyset = kName;
  request.root_uri = "file:" + directory_.path() + "/none.key";
  const Job ended = finish(ok_value(service_->jobs().start_rekey(request, caller())).job.uuid);
  EXPECT_EQ(ended.state, JobState::kFailed);
  EXPECT_EQ(ended.error.reason, Reason::kRootBlocked);
  EXPECT_FALSE(ended.error.message.empty());
  EXPECT_EQ(ok_value(service_->keysets().get(kName)).current_version, 1U);
  stop();
}

// R9: the root goes away under a running job, which pauses, and goes on when it is back and asked.
TEST_F(JobsThreads, ALostRootPausesAJobThatHasBegun) {
  const std::string path = directory_.path() + "/root.key";
  start();
  const Uuid uuid = rekey(kSlow).job.uuid;
  wait_for_progress(uuid);
  std::filesystem::rename(path, path + ".away");
  ok_value(service_->jobs().set_rate(uuid, 0, caller()));
  const Job paused = wait_for_state(uuid, JobState::kPaused);
  EXPECT_EQ(paused.error.reason, Reason::kRootBlocked);
  EXPECT_FALSE(paused.error.message.empty());
  EXPECT_EQ(ok_value(service_->keysets().state(kName, true)), KeystoreState::kBlocked);
  std::filesystem::rename(path + ".away", path);
  ok_value(service_->jobs().resume(uuid, caller()));
  const Job ended = finish(uuid);
  EXPECT_EQ(ended.state, JobState::kSucceeded) << ended.error.message;
  EXPECT_EQ(ended.error.reason, Reason::kNone);
  expect_keyset(2);
}

TEST_F(JobsThreads, OtherKindsOfJobs) {
  const std::string other = "file:" + directory_.path() + "/other.key";
  ASSERT_TRUE(create_root_key(other, root_options()).ok());
  start();
  Jobs& jobs = service_->jobs();
  EXPECT_EQ(finish(ok_value(jobs.start_verify(kName, caller())).job.uuid).state,
            JobState::kSucceeded);
  EXPECT_EQ(finish(ok_value(jobs.start_restore(kName, caller())).job.uuid).state,
            JobState::kSucceeded);
  EXPECT_EQ(finish(ok_value(jobs.start_reprotect(kName, other, caller())).job.uuid).state,
            JobState::kSucceeded);
  const Job refused = finish(ok_value(jobs.start_decommission(kName, 1, caller())).job.uuid);
  EXPECT_EQ(refused.state, JobState::kFailed);
  EXPECT_EQ(refused.error.reason, Reason::kRefusedByGate);
  // The KEK is under the other root now.
  std::filesystem::remove(directory_.path() + "/root.key");
  EXPECT_TRUE(service_->keysets().check_root(kName).ok());
  // While a rekey has not ended, nothing else touches the keys.
  const Uuid running = rekey(kSlow).job.uuid;
  EXPECT_EQ(jobs.start_reprotect(kName, other, caller()).reason(), Reason::kRekeyRunning);
  EXPECT_EQ(jobs.start_decommission(kName, 1, caller()).reason(), Reason::kRekeyRunning);
  EXPECT_TRUE(jobs.start_verify(kName, caller()).ok());
  ok_value(jobs.cancel(running, caller()));
  finish(running);
}

TEST_F(JobsThreads, HandlesGrowArePurgedAndNeverUsedAgain) {
  start();
  Jobs& jobs = service_->jobs();
  const Job first =
      finish(ok_value(jobs.start_verify(kName, caller(JobOrigin::kElement))).job.uuid);
  EXPECT_EQ(ok_value(jobs.get_handle(first.handle)).uuid, first.uuid);
  EXPECT_TRUE(jobs.purge(first.handle).ok());
  EXPECT_EQ(jobs.purge(first.handle).reason(), Reason::kNoSuchJob);
  EXPECT_EQ(jobs.get_handle(first.handle).reason(), Reason::kNoSuchJob);
  EXPECT_EQ(jobs.get_handle(99).reason(), Reason::kNoSuchJob);
  EXPECT_TRUE(jobs.get(first.uuid).ok());  // for who knows it by its uuid
  JobFilter filter;
  filter.leave_out_purged = true;
  EXPECT_TRUE(ok_value(jobs.list(filter)).empty());
  stop();
  {
    const auto db = ok_value(ServiceDb::open(options_.store_directory));
    ASSERT_TRUE(
        db->write([](Database& database) { return database.run("DELETE FROM jobs"); }).ok());
  }
  start();
  const Job next = ok_value(service_->jobs().start_verify(kName, caller())).job;
  EXPECT_EQ(next.handle, first.handle + 1);
  const Uuid running = rekey(kSlow).job.uuid;
  EXPECT_EQ(service_->jobs().purge(job(running).handle).reason(), Reason::kJobRunning);
}

TEST_F(JobsThreads, OldJobsAreForgottenButNotWhatWaitsToBeFetched) {
  start();
  Jobs& jobs = service_->jobs();
  const Job native = finish(ok_value(jobs.start_verify(kName, caller())).job.uuid);
  const Job element =
      finish(ok_value(jobs.start_verify(kName, caller(JobOrigin::kElement))).job.uuid);
  const Uuid running = rekey(kSlow).job.uuid;
  stop();
  const auto db = ok_value(ServiceDb::open(options_.store_directory));
  const auto forget = [&](std::uint64_t before) {
    std::vector<Uuid> left;
    const Status status = db->write([&](Database& database) -> Status {
      REWRAP_TRY(forget_jobs(&database, before));
      REWRAP_ASSIGN(const std::vector<Job> jobs_left, list_jobs(&database, {}, 0));
      for (const Job& job : jobs_left) left.push_back(job.uuid);
      return {};
    });
    EXPECT_TRUE(status.ok()) << status.describe();
    return left;
  };
  using Uuids = std::vector<Uuid>;
  const std::uint64_t later = native.keep_until + 100;
  EXPECT_EQ(forget(native.ended_at), (Uuids{running, element.uuid, native.uuid}));
  EXPECT_EQ(forget(later), (Uuids{running, element.uuid}));
  ASSERT_TRUE(db->write([&](Database& d) { return save_purged(&d, element.handle); }).ok());
  EXPECT_EQ(forget(later), Uuids{running});
}

TEST_F(JobsThreads, FiltersOfTheList) {
  start();
  Jobs& jobs = service_->jobs();
  const Job verify = finish(ok_value(jobs.start_verify(kName, caller(JobOrigin::kOntap))).job.uuid);
  const Job restore = finish(ok_value(jobs.start_restore(kName, caller())).job.uuid);
  const auto list = [&](const std::function<void(JobFilter*)>& set) {
    JobFilter filter;
    set(&filter);
    std::vector<Uuid> uuids;
    for (const Job& job : ok_value(jobs.list(filter))) uuids.push_back(job.uuid);
    return uuids;
  };
  using Uuids = std::vector<Uuid>;
  EXPECT_EQ(list([](JobFilter*) {}), (Uuids{restore.uuid, verify.uuid}));
  EXPECT_EQ(list([](JobFilter* f) { f->kind = JobKind::kVerify; }), Uuids{verify.uuid});
  EXPECT_EQ(list([](JobFilter* f) { f->origin = JobOrigin::kNative; }), Uuids{restore.uuid});
  EXPECT_EQ(list([](JobFilter* f) { f->state = JobState::kRunning; }), Uuids{});
  EXPECT_EQ(list([](JobFilter* f) { f->keyset = "other"; }), Uuids{});
  EXPECT_EQ(list([](JobFilter* f) { f->max = 1; }), Uuids{restore.uuid});
  EXPECT_EQ(list([](JobFilter* f) { f->only_kept = true; }).size(), 2U);
}

// The reasons for which a rekey is refused at once: each condition is made real.
TEST_F(JobsThreads, ReasonsToRefuseARekey) {
  options_.admin_keyset = "admin";
  std::vector<DekId> in_admin;
  with_store([&] {
    ok_value(create_keyset(store_.get(), {"empty", root_uri_}, new_keyring().get()));
    ok_value(create_keyset(store_.get(), {"admin", root_uri_}, new_keyring().get()));
    in_admin = ok_value(
        generate_deks(store_.get(), "admin", new_keyring().get(), 2, 32, implementation(), {}));
  });
  start();
  const auto reason = [&](const std::string& keyset) {
    RekeyRequest request;
    request.keyset = keyset;
    request.refuse_empty = true;
    request.check_nodes = true;
    request.rate_limit = kSlow;
    const auto begun = service_->jobs().start_rekey(request, caller());
    if (begun.ok()) {
      ok_value(service_->jobs().cancel(begun->job.uuid, caller()));
      finish(begun->job.uuid);
    }
    return begun.reason();
  };
  EXPECT_EQ(reason("none"), Reason::kNoSuchKeyset);
  EXPECT_EQ(reason("empty"), Reason::kKeysetEmpty);

  ok_value(service_->keysets().tag_admin_deks(kName, in_admin));
  EXPECT_EQ(ok_value(service_->keysets().count_in_admin(kName)), 2U);
  EXPECT_EQ(reason(kName), Reason::kDeksInAdminKeyset);
  EXPECT_EQ(service_->keysets().tag_admin_deks(kName, {ids_.front()}).reason(), Reason::kNoSuchKey);
  EXPECT_EQ(service_->keysets().tag_admin_deks("admin", in_admin).reason(), Reason::kAdminKeyset);
  ok_value(service_->keysets().untag_admin_deks(kName, in_admin));

  ok_value(service_->nodes().add("node-2", caller()));
  EXPECT_EQ(reason(kName), Reason::kNodeMissing);
  ok_value(service_->nodes().heartbeat("node-2"));

  const std::string path = directory_.path() + "/root.key";
  std::filesystem::rename(path, path + ".away");
  EXPECT_EQ(reason(kName), Reason::kRootBlocked);
  std::filesystem::rename(path + ".away", path);
  EXPECT_TRUE(ok_value(service_->jobs().list({})).empty());  // none of these has left a job
  EXPECT_EQ(reason(kName), Reason::kNone);
}

}  // namespace
}  // namespace rewrap
