// What a job does, step by step, over rekey/. Each job runs on one thread (and what rekey/ starts);
// the JobRunner gives it what it needs and listens.
#ifndef REWRAP_API_SERVICE_JOB_WORK_H_
#define REWRAP_API_SERVICE_JOB_WORK_H_

#include <atomic>
#include <functional>

#include "api/service/job.h"
#include "api/service/job_store.h"
#include "api/service/root_resolver.h"
#include "engine/implementation.h"
#include "rekey/store.h"

namespace rewrap {

// JobBench is what a job works with.
struct JobBench {
  Store* store = nullptr;
  ServiceDb* db = nullptr;
  RootResolver* roots = nullptr;
  const Implementation* implementation = nullptr;
  unsigned threads = 1;
  const std::atomic<bool>* stop = nullptr;    // end between two commits
  const std::atomic<double>* rate = nullptr;  // DEKs per second; may change
  // Makes the job's record durable: its state, phase and versions.
  std::function<Status(const Job&)> save;
  std::function<void(const Progress&)> progress;  // from one thread at a time
  // Before a KEK version is destroyed, which a failure keeps from happening; and after.
  std::function<Status(KekVersion)> decommissioning;
  std::function<void(KekVersion)> decommissioned;
};

// JobOutcome is how a run ended. kRunning: it was stopped, and what for is for the caller to say.
struct JobOutcome {
  JobState state = JobState::kSucceeded;
  Failure failure{Reason::kNone, {}};  // of every state but kSucceeded and kRunning
};

// run_job does the job from where it is, and keeps `job` (phase, versions, counts) up to date.
// Running it again after any interruption goes on and does nothing twice (R5).
JobOutcome run_job(const JobBench& bench, const JobPlan& plan, Job* job);

}  // namespace rewrap

#endif  // REWRAP_API_SERVICE_JOB_WORK_H_
