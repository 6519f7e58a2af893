// The scheduler, the threads of jobs, and those who wait for them.
#include "api/service/job_runner.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace rewrap {
namespace {

constexpr std::chrono::milliseconds kPollPeriod{100};
constexpr std::chrono::milliseconds kNotePeriod{500};
constexpr std::chrono::seconds kSaveRetryPeriod{1};
constexpr std::chrono::hours kForgetPeriod{1};
constexpr int kJobNice =
    10;  // a tenth of a processor's time against a thread that answers requests

Result<int> open_lock_file(const std::string& directory) {
  const std::string path = directory + "/service.lock";
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR);
  if (fd < 0) return Status::from_errno(errno, "open", "the service's lock file cannot be opened");
  return fd;
}

// come_after_requests lets the calling thread, and the threads that it starts, have the time that the
// requests leave. Where that is forbidden, jobs compete with them.
void come_after_requests() { static_cast<void>(setpriority(PRIO_PROCESS, 0, kJobNice)); }

Failure cancelled() {
  return {Reason::kJobCancelled, Status(Errc::kRefused, "the job was cancelled before its end",
                                        "a rekey that was begun goes on with the next one")};
}

// What cannot be audited is not done: the job waits for the audit log to be mended.
JobOutcome waits(const Status& audited) {
  return {JobState::kPaused, {Reason::kStorageFailed, audited}};
}

}  // namespace

Result<RunnerLock> RunnerLock::acquire(const std::string& directory) {
  REWRAP_ASSIGN(const int fd, open_lock_file(directory));
  RunnerLock lock(fd);
  if (flock(fd, LOCK_EX | LOCK_NB) == 0) return lock;
  if (errno != EWOULDBLOCK) return Status::from_errno(errno, "flock", "the store cannot be locked");
  return Status(Errc::kConflict, "another service works on this store",
                "stop it first, or give this one a store of its own");
}

Result<bool> RunnerLock::is_served(const std::string& directory) {
  REWRAP_ASSIGN(const int fd, open_lock_file(directory));
  const RunnerLock lock(fd);
  // Shared, so that two who ask do not take each other for a service.
  if (flock(fd, LOCK_SH | LOCK_NB) == 0) return false;
  if (errno == EWOULDBLOCK) return true;
  return Status::from_errno(errno, "flock", "the service's lock file cannot be asked");
}

RunnerLock::~RunnerLock() {
  if (fd_ >= 0) ::close(fd_);
}

Result<std::unique_ptr<JobRunner>> JobRunner::start(const RunnerParts& parts, RunnerLock lock) {
  std::unique_ptr<JobRunner> runner(new JobRunner(parts, std::move(lock)));
  REWRAP_TRY(runner->recover());
  runner->scheduler_ = std::jthread([raw = runner.get()] { raw->schedule(); });
  return runner;
}

// recover takes up what a killed process left running. What was asked of such a job is granted.
Status JobRunner::recover() {
  return parts_.db->write([](Database& database) -> Status {
    REWRAP_ASSIGN(std::vector<Job> jobs, active_jobs(&database));
    for (Job& job : jobs) {
      if (job.state != JobState::kRunning) continue;
      const JobRequest request = std::exchange(job.request, JobRequest::kNone);
      job.state = request == JobRequest::kPause ? JobState::kPaused : JobState::kQueued;
      if (request == JobRequest::kCancel) {
        end_job(&job, JobState::kCancelled, now_seconds());
        job.error = job_error(cancelled());
      }
      REWRAP_TRY(save_run(&database, job));
    }
    return {};
  });
}

void JobRunner::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    for (const auto& [handle, active] : active_) active->stop = true;
    wake_.notify_all();
  }
  if (scheduler_.joinable()) scheduler_.join();
  std::map<std::int64_t, std::shared_ptr<Active>> active;
  {
    const std::lock_guard lock(mutex_);
    active.swap(active_);
  }
  for (const auto& [handle, job] : active) {
    if (job->thread.joinable()) job->thread.join();
  }
  fire_waiters(nullptr, true);
}

void JobRunner::poke() {
  const std::lock_guard lock(mutex_);
  poked_ = true;
  wake_.notify_all();
}

void JobRunner::refresh(Job* job) {
  const std::lock_guard lock(mutex_);
  const auto at = active_.find(job->handle);
  // A job that the database does not call running has been settled, or not begun: its thread may be
  // here for a moment more, but knows less.
  if (at == active_.end() || job->state != JobState::kRunning) return;
  // What anybody may change is in the database; the rest is newer here, and while the disk is full
  // the database lags behind.
  Job fresh = at->second->shown;
  fresh.request = has_ended(fresh.state) ? JobRequest::kNone : job->request;
  fresh.rate_limit = job->rate_limit;
  *job = std::move(fresh);
}

void JobRunner::on_finished(const Uuid& uuid, Clock::time_point deadline, Jobs::Callback callback) {
  {
    const std::lock_guard lock(mutex_);
    if (!stopping_) {
      waiters_.push_back({uuid, deadline, std::move(callback)});
      poked_ = true;
      wake_.notify_all();
      return;
    }
  }
  callback(look_up(uuid));
}

void JobRunner::schedule() {
  for (;;) {
    bool look = false;
    {
      std::unique_lock lock(mutex_);
      wake_.wait_until(lock, next_tick(), [&] { return poked_ || stopping_; });
      if (stopping_) return;
      look = std::exchange(poked_, false);
    }
    // A database that cannot be read now is read again at the next tick.
    const Result<bool> changed = parts_.db->has_changed();
    tick(look || look_again_ || (changed.ok() && changed.value()));
  }
}

// Called with mutex_ held.
JobRunner::Clock::time_point JobRunner::next_tick() {
  Clock::time_point next = Clock::now() + kPollPeriod;
  for (const Waiter& waiter : waiters_) next = std::min(next, waiter.deadline);
  return next;
}

void JobRunner::tick(bool look) {
  reap();
  std::vector<Job> jobs;
  bool known = false;
  if (look) {
    const Status status = parts_.db->read([&](Database& database) -> Status {
      REWRAP_ASSIGN(jobs, active_jobs(&database));
      return {};
    });
    known = status.ok();
    look_again_ = !known;
  }
  if (known) {
    apply_requests(jobs);
    start_queued(jobs);
  }
  note_progress();
  fire_waiters(known ? &jobs : nullptr, false);
}

void JobRunner::apply_requests(const std::vector<Job>& jobs) {
  const std::lock_guard lock(mutex_);
  for (const Job& job : jobs) {
    const auto at = active_.find(job.handle);
    if (at == active_.end()) continue;
    at->second->rate = job.rate_limit;
    if (job.request != JobRequest::kNone) at->second->stop = true;
  }
}

void JobRunner::start_queued(const std::vector<Job>& jobs) {
  for (const Job& job : jobs) {
    {
      const std::lock_guard lock(mutex_);
      if (active_.size() >= parts_.max_running || stopping_) return;
      if (job.state != JobState::kQueued || active_.contains(job.handle)) continue;
    }
    start_one(job);
  }
}

void JobRunner::start_one(const Job& queued) {
  const auto active = std::make_shared<Active>();
  const Status status = parts_.db->write([&](Database& database) -> Status {
    REWRAP_ASSIGN(Job job, find_job(&database, queued.uuid));
    if (job.state != JobState::kQueued) return {};  // cancelled meanwhile
    REWRAP_ASSIGN(active->plan, find_plan(&database, job.handle));
    job.state = JobState::kRunning;
    job.updated_at = now_seconds();
    if (job.started_at == 0) job.started_at = job.updated_at;
    active->shown = job;
    return save_run(&database, job);
  });
  // A failure (the disk is full) leaves it queued. Nobody else may ever write: so look again.
  if (!status.ok()) look_again_ = true;
  if (!status.ok() || active->shown.state != JobState::kRunning || active->shown.handle == 0)
    return;
  active->rate = active->shown.rate_limit;
  active->rate_since = Clock::now();
  active->rate_from = active->shown.progress.done;
  const std::lock_guard lock(mutex_);
  if (stopping_) active->stop = true;
  active_.emplace(active->shown.handle, active);
  active->thread = std::jthread([this, active] { work(active); });
}

// reap lets threads go that have ended.
void JobRunner::reap() {
  std::vector<std::shared_ptr<Active>> ended;
  {
    const std::lock_guard lock(mutex_);
    for (auto at = active_.begin(); at != active_.end();) {
      if (at->second->is_done) ended.push_back(at->second);
      at = at->second->is_done ? active_.erase(at) : std::next(at);
    }
    if (!ended.empty()) poked_ = true;  // there is room for another
  }
  for (const auto& active : ended) active->thread.join();
}

void JobRunner::note_progress() {
  std::vector<Job> jobs;
  bool forget = false;
  {
    const std::lock_guard lock(mutex_);
    const auto now = Clock::now();
    if (now - last_note_ < kNotePeriod) return;
    last_note_ = now;
    forget = now - last_forget_ >= kForgetPeriod;
    if (forget) last_forget_ = now;
    for (const auto& [handle, active] : active_) {
      if (active->shown.state == JobState::kRunning) jobs.push_back(active->shown);
    }
  }
  if (jobs.empty() && !forget) return;
  // Progress that could not be noted is noted at the next tick.
  static_cast<void>(parts_.db->note([&](Database& database) -> Status {
    for (Job& job : jobs) {
      job.updated_at = now_seconds();
      REWRAP_TRY(save_progress(&database, job));
    }
    return forget ? forget_jobs(&database, now_seconds() - kForgetJobs) : Status();
  }));
}

Answer<Job> JobRunner::look_up(const Uuid& uuid) {
  std::optional<Job> found;
  const Status status = parts_.db->read([&](Database& database) -> Status {
    REWRAP_ASSIGN(found, find_job(&database, uuid));
    return {};
  });
  if (status.code() == Errc::kNotFound) return Failure{Reason::kNoSuchJob, status};
  if (!status.ok()) return status;
  refresh(&*found);
  return *found;
}

// fire_waiters calls back those whose job has ended, and those whose time is over. `jobs` are all
// that had not ended a moment ago (null: unknown): whose job is among them need not be looked up.
// Who is not may have come since, so that is no proof of an end.
void JobRunner::fire_waiters(const std::vector<Job>* jobs, bool all) {
  std::vector<Waiter> candidates;
  {
    const std::lock_guard lock(mutex_);
    const auto now = Clock::now();
    const auto waits_on = [&](const Waiter& waiter) {
      if (all || waiter.deadline <= now) return false;
      return jobs == nullptr || std::any_of(jobs->begin(), jobs->end(), [&](const Job& job) {
               return job.uuid == waiter.uuid;
             });
    };
    const auto first = std::stable_partition(waiters_.begin(), waiters_.end(), waits_on);
    candidates.assign(std::make_move_iterator(first), std::make_move_iterator(waiters_.end()));
    waiters_.erase(first, waiters_.end());
  }
  for (Waiter& waiter : candidates) {
    const Answer<Job> answer = look_up(waiter.uuid);
    const bool is_over = all || waiter.deadline <= Clock::now();
    if (is_over || !answer.ok() || has_ended(answer->state)) {
      waiter.callback(answer);
      continue;
    }
    const std::lock_guard lock(mutex_);
    waiters_.push_back(std::move(waiter));
    poked_ = true;
  }
}

void JobRunner::work(const std::shared_ptr<Active>& active) {
  come_after_requests();
  Job job = active->shown;  // not shared yet with anyone who writes
  JobBench bench;
  bench.store = parts_.store;
  bench.db = parts_.db;
  bench.roots = parts_.roots;
  bench.implementation = parts_.implementation;
  bench.threads = parts_.threads;
  bench.stop = &active->stop;
  bench.rate = &active->rate;
  bench.save = [&](const Job& now) {
    show(active.get(), now);
    return parts_.db->write([&](Database& database) { return save_run(&database, now); });
  };
  bench.progress = [&](const Progress& progress) { show_progress(active.get(), progress); };
  bench.decommissioning = [&](KekVersion version) {
    return audit("kek.decommission", job, "requested", "version " + std::to_string(version));
  };
  bench.decommissioned = [&](KekVersion version) {
    // It has happened, and the line before says that it was to.
    static_cast<void>(audit("kek.decommissioned", job, "ok", "version " + std::to_string(version)));
  };
  const Status audited = audit("job.started", job, "started", "");
  const JobOutcome outcome = audited.ok() ? run_job(bench, active->plan, &job) : waits(audited);
  settle(active.get(), job, outcome);
  const std::lock_guard lock(mutex_);
  active->is_done = true;
  poked_ = true;
  wake_.notify_all();
}

void JobRunner::show(Active* active, const Job& job) {
  const std::lock_guard lock(mutex_);
  const JobProgress progress = active->shown.progress;
  active->shown = job;
  active->shown.progress = progress;
  active->shown.progress.total = std::max(progress.total, job.progress.total);
}

void JobRunner::show_progress(Active* active, const Progress& progress) {
  const std::lock_guard lock(mutex_);
  JobProgress& shown = active->shown.progress;
  const auto now = Clock::now();
  const double seconds = std::chrono::duration<double>(now - active->rate_since).count();
  shown.done = progress.done;
  shown.total = progress.total;
  if (progress.done < active->rate_from) active->rate_from = progress.done;
  if (seconds >= 0.5 || shown.deks_per_second == 0) {
    const auto done = static_cast<double>(progress.done - active->rate_from);
    shown.deks_per_second = seconds > 0 ? done / seconds : 0;
    if (seconds >= 0.5) {
      active->rate_since = now;
      active->rate_from = progress.done;
    }
  }
  const auto left = static_cast<double>(progress.total - std::min(progress.done, progress.total));
  shown.seconds_left = shown.deks_per_second > 0 ? left / shown.deks_per_second : 0;
}

// settle makes the end of a run durable, and shows an end only then: a success that was told is not
// taken back by a crash. If the database does not take it (the disk is full), it is tried again until
// it works or the service stops; after that the job is found running, is run again, and finds its work
// done. That a job is paused is shown at once: it may be what the full disk has done.
void JobRunner::settle(Active* active, Job job, const JobOutcome& outcome) {
  Job settled;
  for (;;) {
    const Status status = parts_.db->write([&](Database& database) -> Status {
      REWRAP_ASSIGN(const Job stored, find_job(&database, job.uuid));
      Job ended = job;
      {
        const std::lock_guard lock(mutex_);
        ended.progress = active->shown.progress;
      }
      ended.updated_at = now_seconds();
      ended.rate_limit = stored.rate_limit;
      ended.error = {};
      JobState state = outcome.state;
      if (state == JobState::kRunning) {
        state = stored.request == JobRequest::kPause ? JobState::kPaused : JobState::kQueued;
      }
      const bool unfinished = state == JobState::kPaused || state == JobState::kQueued;
      ended.state = state;
      if (outcome.failure.reason != Reason::kNone) ended.error = job_error(outcome.failure);
      if (unfinished && stored.request == JobRequest::kCancel) {
        end_job(&ended, JobState::kCancelled, now_seconds());
        ended.error = job_error(cancelled());
      } else if (has_ended(state)) {
        end_job(&ended, state, now_seconds());
        if (state == JobState::kSucceeded) ended.progress.done = ended.progress.total;
      }
      settled = ended;
      if (!has_ended(ended.state)) {
        const std::lock_guard lock(mutex_);
        active->shown = ended;
      }
      return save_run(&database, ended);
    });
    std::unique_lock lock(mutex_);
    if (status.ok()) {
      active->shown = settled;
      break;
    }
    wake_.wait_for(lock, kSaveRetryPeriod, [&] { return stopping_; });
    if (stopping_) return;
  }
  // An end that cannot be audited has happened all the same.
  static_cast<void>(
      audit("job.ended", settled, job_state_name(settled.state),
            settled.error.reason == Reason::kNone ? "" : reason_name(settled.error.reason)));
}

Status JobRunner::audit(const char* action, const Job& job, const char* outcome,
                        const std::string& detail) {
  if (parts_.audit == nullptr) return {};
  AuditEvent event;
  event.action = action;
  event.user = job.user;
  event.origin = "service";
  event.object = "keyset " + job.keyset + ", job " + format_uuid(job.uuid);
  event.outcome = outcome;
  event.detail = job_kind_name(job.kind) + (detail.empty() ? "" : ": " + detail);
  return parts_.audit->append(event);
}

}  // namespace rewrap
