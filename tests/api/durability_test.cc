// What is answered for is on the disk, and what does not get there is not answered for.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <thread>

#include "api/service/audit_log.h"
#include "api/service/job_store.h"
#include "tests/api/service_fixture.h"
#include "tests/api/sync_watch.h"

namespace rewrap {
namespace {

using std::chrono::milliseconds;

AuditEvent event() { return {"test", "somebody", "127.0.0.1", "a thing", "ok", "", ""}; }

TEST(AuditDurability, EachLineAndItsHeadAreSyncedBeforeAppendReturns) {
  const TempDirectory directory;
  const std::string path = directory.path() + "/audit.log";
  const auto log = ok_value(AuditLog::open(path, {}));
  for (int i = 0; i < 3; ++i) {
    const int lines = num_syncs("/audit.log");
    const int heads = num_syncs("/audit.log.head");
    ASSERT_TRUE(log->append(event()).ok());
    EXPECT_EQ(num_syncs("/audit.log"), lines + 1);
    EXPECT_EQ(num_syncs("/audit.log.head"), heads + 1);
  }
}

// R9: after a failed sync nobody knows what is on the disk, and a second one may lie.
TEST(AuditDurability, AFailedSyncEndsTheLog) {
  for (const char* file : {"/audit.log", "/audit.log.head"}) {
    const TempDirectory directory;
    const std::string path = directory.path() + "/audit.log";
    {
      const auto log = ok_value(AuditLog::open(path, {}));
      const FailingSyncs failing(file, 0, 1);
      EXPECT_EQ(log->append(event()).code(), Errc::kIo) << file;
      EXPECT_EQ(FailingSyncs::num_left(), 0);
      EXPECT_EQ(log->append(event()).code(), Errc::kIo) << file;
    }
    // A new start finds out what is there, and goes on.
    EXPECT_TRUE(ok_value(AuditLog::open(path, {}))->append(event()).ok()) << file;
    EXPECT_TRUE(ok_value(verify_audit_log(path, {})).findings.empty()) << file;
  }
}

TEST(DatabaseDurability, AWriteIsSyncedBeforeItReturns) {
  const TempDirectory directory;
  const auto db = ok_value(ServiceDb::open(directory.path()));
  for (int i = 0; i < 3; ++i) {
    const int before = num_syncs("/service.db-wal");
    ASSERT_TRUE(db->write([](Database& database) {
                    return database.run("UPDATE cluster SET uuid = randomblob(16)");
                  }).ok());
    EXPECT_GT(num_syncs("/service.db-wal"), before);
  }
}

TEST(DatabaseDurability, AWriteThatCannotBeSyncedHasNotHappened) {
  const TempDirectory directory;
  const auto db = ok_value(ServiceDb::open(directory.path()));
  const auto add = [&](const std::string& name) {
    return db->write([&](Database& database) -> Status {
      REWRAP_ASSIGN(const Uuid uuid, random_uuid());
      return database.run("INSERT INTO nodes VALUES(?, ?, 0, 0)", name, uuid);
    });
  };
  {
    const FailingSyncs failing("/service.db-wal", 0, 1);
    EXPECT_EQ(add("a").code(), Errc::kIo);
  }
  EXPECT_TRUE(add("a").ok());  // or the name would be taken
}

class DurabilityThreads : public ServiceFixture {
 protected:
  [[nodiscard]] std::string audit_path() const { return directory_.path() + "/audit.log"; }

  // ask_in_database asks as another process would, who writes no audit log.
  template <typename Rule>
  void ask_in_database(const Rule& rule) {
    const auto db = ok_value(ServiceDb::open(options_.store_directory));
    const Status status = db->write([&](Database& database) -> Status {
      const Answer<Job> answer = rule(&database);
      return answer.ok() ? Status() : answer.status();
    });
    EXPECT_TRUE(status.ok()) << status.describe();
  }
};

// Nobody else may ever write to the database: a job must not wait for that.
TEST_F(DurabilityThreads, AQueuedJobThatCouldNotBeBegunIsTriedAgain) {
  start();
  const FailingSyncs failing("/service.db-wal", 1, 3);  // the record is made, the start fails
  const Uuid uuid = ok_value(service_->jobs().start_verify(kName, caller())).job.uuid;
  EXPECT_EQ(finish(uuid).state, JobState::kSucceeded);
  EXPECT_EQ(FailingSyncs::num_left(), 0);
}

// R9: a job that cannot write down how far it is waits, and its waiting is written down as soon as may
// be.
TEST_F(DurabilityThreads, AJobThatCannotBeWrittenDownPausesAndGoesOnWhenAsked) {
  start();
  const Uuid uuid = rekey(kSlow).job.uuid;
  wait_for_progress(uuid);
  {
    // The new rate is taken; the next phase is not, and neither is the pause at the first try.
    const FailingSyncs failing("/service.db-wal", 1, 2);
    ask_in_database([&](Database* db) { return request_rate(db, uuid, 0); });
    EXPECT_EQ(wait_for_state(uuid, JobState::kPaused).error.reason, Reason::kStorageFailed);
  }
  const auto resume = [&] { return service_->jobs().resume(uuid, caller()).ok(); };
  while (!resume()) std::this_thread::sleep_for(milliseconds(10));
  EXPECT_EQ(finish(uuid).state, JobState::kSucceeded);
  expect_keyset(2);
}

// The record comes before the answer: an answer that is given is of a job that survives.
TEST_F(DurabilityThreads, AJobThatCannotBeRecordedIsNotAnsweredFor) {
  start();
  {
    const FailingSyncs failing("/service.db-wal", 0, 1);
    EXPECT_EQ(service_->jobs().start_verify(kName, caller()).reason(), Reason::kStorageFailed);
  }
  EXPECT_TRUE(ok_value(service_->jobs().list({})).empty());
}

TEST_F(DurabilityThreads, WhatCannotBeAuditedIsNotBegun) {
  options_.audit_file = audit_path();
  options_.max_running_jobs = 1;
  start();
  const Uuid running = rekey(kSlow).job.uuid;
  wait_for_progress(running);
  const Uuid queued = ok_value(service_->jobs().start_verify(kName, caller())).job.uuid;
  const FailingSyncs failing("/audit.log", 0, 1'000);
  ask_in_database([&](Database* db) { return request_cancel(db, running, 1); });
  const Job paused = wait_for_state(queued, JobState::kPaused);
  EXPECT_EQ(paused.error.reason, Reason::kStorageFailed);
  // Nor is anything else.
  EXPECT_EQ(service_->jobs().start_verify(kName, caller()).reason(), Reason::kStorageFailed);
  EXPECT_EQ(service_->jobs().resume(queued, caller()).reason(), Reason::kStorageFailed);
}

TEST_F(DurabilityThreads, NoKekIsDestroyedWithoutALineInTheAuditLog) {
  options_.audit_file = audit_path();
  start();
  const Uuid uuid = rekey(kSlow).job.uuid;
  wait_for_progress(uuid);
  {
    const FailingSyncs failing("/audit.log", 0, 1'000);
    ask_in_database([&](Database* db) { return request_rate(db, uuid, 0); });
    const Job paused = wait_for_state(uuid, JobState::kPaused);
    EXPECT_EQ(paused.error.reason, Reason::kStorageFailed);
    EXPECT_EQ(ok_value(service_->keysets().key(kName, 1)).state, KekState::kUsable);
  }
  // The log is whole again at the next start, and the job goes on.
  restart();
  ok_value(service_->jobs().resume(uuid, caller()));
  EXPECT_EQ(finish(uuid).state, JobState::kSucceeded);
  EXPECT_EQ(ok_value(service_->keysets().key(kName, 1)).state, KekState::kDestroyed);
}

// The thread of a paused job may not have gone yet when it is resumed: what is shown is what is recorded.
TEST_F(DurabilityThreads, AResumeIsShownAtOnce) {
  options_.audit_file = audit_path();
  start();
  const Uuid uuid = rekey(kSlow).job.uuid;
  wait_for_progress(uuid);
  const HeldSyncs held("/audit.log");  // so that its end is recorded, and the thread still there
  ask_in_database([&](Database* db) { return request_pause(db, uuid, 1); });
  wait_for_state(uuid, JobState::kPaused);
  const auto resume = [&] {
    const auto db = ok_value(ServiceDb::open(options_.store_directory));
    return db->write([&](Database& database) -> Status {
      const Answer<Job> answer = request_resume(&database, uuid, 1);
      return answer.ok() ? Status() : answer.status();
    });
  };
  while (!resume().ok())
    std::this_thread::sleep_for(milliseconds(10));  // shown before it is recorded
  EXPECT_EQ(job(uuid).state, JobState::kQueued);
}

}  // namespace
}  // namespace rewrap
