// Runs jobs: one thread that schedules, and one for each job that runs. What is to be done is read
// from the service's database about ten times a second, so that other processes can ask for it too
// (rewrap jobs pause).
//
//   queued ---> running ---> succeeded, failed, incomplete
//   running --cancel--> cancelled
//   running --pause, lost token, full disk--> paused --resume--> queued
//   running --orderly stop, or found so at the start (a crash)--> queued
//
// Any thread.
#ifndef REWRAP_API_SERVICE_JOB_RUNNER_H_
#define REWRAP_API_SERVICE_JOB_RUNNER_H_

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "api/service/audit_log.h"
#include "api/service/job_work.h"
#include "api/service/jobs.h"
#include "engine/implementation.h"

namespace rewrap {

// RunnerLock says that a service works on a store: the lock file service.lock in its directory. The
// kernel drops it with the process.
class RunnerLock {
 public:
  // Errors: kConflict if another process has it; kIo
  static Result<RunnerLock> acquire(const std::string& directory);
  // is_served says whether a process has it.
  static Result<bool> is_served(const std::string& directory);

  RunnerLock(RunnerLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  RunnerLock& operator=(RunnerLock&&) = delete;
  RunnerLock(const RunnerLock&) = delete;
  RunnerLock& operator=(const RunnerLock&) = delete;
  ~RunnerLock();

 private:
  explicit RunnerLock(int fd) : fd_(fd) {}
  int fd_;
};

struct RunnerParts {
  Store* store = nullptr;
  ServiceDb* db = nullptr;
  RootResolver* roots = nullptr;
  const Implementation* implementation = nullptr;
  AuditLog* audit = nullptr;  // may be null
  unsigned threads = 1;       // of each job
  unsigned max_running = 2;
};

class JobRunner {
 public:
  // start goes on with the jobs that were queued or running. Errors: the database's
  static Result<std::unique_ptr<JobRunner>> start(const RunnerParts& parts, RunnerLock lock);
  ~JobRunner() { stop(); }
  JobRunner(const JobRunner&) = delete;
  JobRunner& operator=(const JobRunner&) = delete;

  // stop: see Service::stop.
  void stop();

  // poke makes the runner look at the database at once.
  void poke();

  // refresh puts what is newer than the database into a job that runs here.
  void refresh(Job* job);

  // on_finished: see Jobs.
  void on_finished(const Uuid& uuid, std::chrono::steady_clock::time_point deadline,
                   Jobs::Callback callback);

 private:
  using Clock = std::chrono::steady_clock;

  // A job that has a thread here. The thread owns it but for what the comments say.
  struct Active {
    JobPlan plan;
    Job shown;  // guarded by mutex_: what others may see
    std::atomic<bool> stop{false};
    std::atomic<double> rate{0};
    Clock::time_point rate_since;  // guarded by mutex_, as the next two
    std::uint64_t rate_from = 0;
    bool is_done = false;
    std::jthread thread;
  };

  struct Waiter {
    Uuid uuid{};
    Clock::time_point deadline;
    Jobs::Callback callback;
  };

  JobRunner(const RunnerParts& parts, RunnerLock lock) : parts_(parts), lock_(std::move(lock)) {}

  Status recover();
  void schedule();
  Clock::time_point next_tick();
  void tick(bool look);
  void start_queued(const std::vector<Job>& jobs);
  void start_one(const Job& queued);
  void apply_requests(const std::vector<Job>& jobs);
  void reap();
  void note_progress();
  void fire_waiters(const std::vector<Job>* jobs, bool all);
  Answer<Job> look_up(const Uuid& uuid);

  void work(const std::shared_ptr<Active>& active);
  void show(Active* active, const Job& job);
  void show_progress(Active* active, const Progress& progress);
  void settle(Active* active, Job job, const JobOutcome& outcome);
  Status audit(const char* action, const Job& job, const char* outcome, const std::string& detail);

  const RunnerParts parts_;
  const RunnerLock lock_;

  std::mutex mutex_;
  std::condition_variable wake_;
  bool poked_ = true;
  bool stopping_ = false;
  std::map<std::int64_t, std::shared_ptr<Active>> active_;  // by handle
  std::vector<Waiter> waiters_;
  bool look_again_ = false;  // the scheduler's own: something it saw could not be done yet
  Clock::time_point last_note_;
  Clock::time_point last_forget_;
  std::jthread scheduler_;
};

}  // namespace rewrap

#endif  // REWRAP_API_SERVICE_JOB_RUNNER_H_
