// Jobs as rows.
#include "api/service/job_store.h"

#include <cmath>

namespace rewrap {
namespace {

#define REWRAP_JOB_COLUMNS                                                                     \
  "handle, uuid, kind, state, phase, request, origin, description, user, keyset, keyset_uuid," \
  " from_version, to_version, rate_limit, decommission, done, total, rate, seconds_left,"      \
  " quarantined, damaged_segments, created_at, started_at, updated_at, ended_at, keep_until,"  \
  " purged, error_reason, error_code, error_message, error_hint"

Job read_job(Query* row) {
  Job job;
  job.handle = row->i64();
  job.uuid = row->uuid();
  job.kind = row->enumeration<JobKind>();
  job.state = row->enumeration<JobState>();
  job.phase = row->enumeration<JobPhase>();
  job.request = row->enumeration<JobRequest>();
  job.origin = row->enumeration<JobOrigin>();
  job.description = row->text();
  job.user = row->text();
  job.keyset = row->text();
  job.keyset_uuid = row->uuid();
  job.from_version = static_cast<KekVersion>(row->i64());
  job.to_version = static_cast<KekVersion>(row->i64());
  job.rate_limit = row->real();
  job.decommission = row->boolean();
  job.progress.done = row->u64();
  job.progress.total = row->u64();
  job.progress.deks_per_second = row->real();
  job.progress.seconds_left = row->real();
  job.quarantined = row->u64();
  job.damaged_segments = row->u64();
  job.created_at = row->u64();
  job.started_at = row->u64();
  job.updated_at = row->u64();
  job.ended_at = row->u64();
  job.keep_until = row->u64();
  job.purged = row->boolean();
  job.error.reason = row->enumeration<Reason>();
  job.error.code = row->enumeration<Errc>();
  job.error.message = row->text();
  job.error.hint = row->text();
  if (job.from_version != 0) job.from_key = key_uuid(job.keyset_uuid, job.from_version);
  if (job.to_version != 0) job.to_key = key_uuid(job.keyset_uuid, job.to_version);
  return job;
}

Result<std::vector<Job>> read_jobs(Query* query) {
  std::vector<Job> jobs;
  for (;;) {
    REWRAP_ASSIGN(const bool found, query->next());
    if (!found) return jobs;
    jobs.push_back(read_job(query));
  }
}

Result<Job> read_one(Query* query) {
  REWRAP_ASSIGN(const bool found, query->next());
  if (!found) return Status(Errc::kNotFound, "there is no such job", "rewrap jobs list shows them");
  return read_job(query);
}

Failure job_failure(const Status& status) {
  const Reason reason = status.code() == Errc::kNotFound ? Reason::kNoSuchJob : reason_of(status);
  return {reason, status};
}

Failure already_ended() {
  return {Reason::kJobEnded, Status(Errc::kConflict, "the job has ended already")};
}

bool is_all_or_nothing(JobKind kind) {
  return kind == JobKind::kReprotect || kind == JobKind::kDecommission;
}

// find_active gives a job that has not ended.
Answer<Job> find_active(Database* database, const Uuid& uuid) {
  const Result<Job> job = find_job(database, uuid);
  if (!job.ok()) return job_failure(job.status());
  if (has_ended(job->state)) return already_ended();
  return job.value();
}

Answer<Job> saved(const Status& status, const Job& job) {
  if (!status.ok()) return status;
  return job;
}

}  // namespace

Status insert_job(Database* database, Job* job, const JobPlan& plan) {
  REWRAP_TRY(database->run(
      "INSERT INTO jobs(uuid, kind, state, phase, request, origin, description, user, keyset,"
      " keyset_uuid, from_version, to_version, rate_limit, decommission, done, total, rate,"
      " seconds_left, quarantined, damaged_segments, created_at, started_at, updated_at, ended_at,"
      " keep_until, purged, error_reason, error_code, error_message, error_hint, root_uri,"
      " version, aws_kms, aws_key_id)"
      " VALUES(?,?,?,0,0,?,?,?,?,?,?,?,?,?,0,?,0,0,0,0,?,0,?,0,0,0,0,0,'','',?,?,?,?)",
      job->uuid, job->kind, job->state, job->origin, job->description, job->user, job->keyset,
      job->keyset_uuid, job->from_version, job->to_version, job->rate_limit, job->decommission,
      job->progress.total, job->created_at, job->updated_at, plan.root_uri, plan.version,
      plan.aws_kms, plan.aws_key_id));
  job->handle = database->last_id();
  return {};
}

Result<Job> find_job(Database* database, const Uuid& uuid) {
  REWRAP_ASSIGN(Query query,
                database->query("SELECT " REWRAP_JOB_COLUMNS " FROM jobs WHERE uuid = ?", uuid));
  return read_one(&query);
}

Result<Job> find_job_by_handle(Database* database, std::int64_t handle) {
  REWRAP_ASSIGN(
      Query query,
      database->query("SELECT " REWRAP_JOB_COLUMNS " FROM jobs WHERE handle = ?", handle));
  return read_one(&query);
}

Result<JobPlan> find_plan(Database* database, std::int64_t handle) {
  REWRAP_ASSIGN(Query query,
                database->query("SELECT root_uri, version, aws_kms IS NOT NULL, aws_kms, aws_key_id"
                                " FROM jobs WHERE handle = ?",
                                handle));
  REWRAP_ASSIGN(const bool found, query.next());
  if (!found) return Status(Errc::kNotFound, "there is no such job");
  JobPlan plan;
  plan.root_uri = query.text();
  plan.version = static_cast<KekVersion>(query.i64());
  const bool has_aws_kms = query.boolean();
  const Uuid aws_kms = query.uuid();
  if (has_aws_kms) plan.aws_kms = aws_kms;
  plan.aws_key_id = query.text();
  return plan;
}

Result<std::vector<Job>> list_jobs(Database* database, const JobFilter& filter, std::uint64_t now) {
  const auto number = [](const auto& value) -> std::optional<std::int64_t> {
    if (!value) return std::nullopt;
    return static_cast<std::int64_t>(*value);
  };
  const std::optional<std::string> keyset =
      filter.keyset.empty() ? std::nullopt : std::optional(filter.keyset);
  REWRAP_ASSIGN(
      Query query,
      database->query("SELECT " REWRAP_JOB_COLUMNS
                      " FROM jobs WHERE state = ifnull(?, state) AND kind = ifnull(?, kind)"
                      " AND origin = ifnull(?, origin) AND keyset = ifnull(?, keyset)"
                      " AND NOT (? AND state >= 4 AND keep_until < ?) AND NOT (? AND purged)"
                      " ORDER BY handle DESC LIMIT ?",
                      number(filter.state), number(filter.kind), number(filter.origin), keyset,
                      filter.only_kept, now, filter.leave_out_purged, filter.max));
  return read_jobs(&query);
}

Result<std::vector<Job>> active_jobs(Database* database) {
  REWRAP_ASSIGN(Query query, database->query("SELECT " REWRAP_JOB_COLUMNS
                                             " FROM jobs WHERE state < 4 ORDER BY handle"));
  return read_jobs(&query);
}

Result<std::optional<Job>> active_job(Database* database, const Uuid& keyset) {
  // One that changes the keyset comes before one that only reads it.
  REWRAP_ASSIGN(Query query, database->query("SELECT " REWRAP_JOB_COLUMNS
                                             " FROM jobs WHERE state < 4 AND keyset_uuid = ?"
                                             " ORDER BY kind IN (3, 4), handle LIMIT 1",
                                             keyset));
  REWRAP_ASSIGN(const bool found, query.next());
  if (!found) return std::optional<Job>();
  return std::optional<Job>(read_job(&query));
}

Status save_run(Database* database, const Job& job) {
  return database->run(
      "UPDATE jobs SET state = ?, phase = ?, request = iif(? = 2, request, 0), from_version = ?,"
      " to_version = ?, done = ?, total = ?, rate = ?, seconds_left = ?, quarantined = ?,"
      " damaged_segments = ?, started_at = ?, updated_at = ?, ended_at = ?, keep_until = ?,"
      " error_reason = ?, error_code = ?, error_message = ?, error_hint = ? WHERE handle = ?",
      job.state, job.phase, job.state, job.from_version, job.to_version, job.progress.done,
      job.progress.total, job.progress.deks_per_second, job.progress.seconds_left, job.quarantined,
      job.damaged_segments, job.started_at, job.updated_at, job.ended_at, job.keep_until,
      job.error.reason, job.error.code, job.error.message, job.error.hint, job.handle);
}

Status save_progress(Database* database, const Job& job) {
  return database->run(
      "UPDATE jobs SET done = ?, total = ?, rate = ?, seconds_left = ?, updated_at = ?"
      " WHERE handle = ? AND state = 2",
      job.progress.done, job.progress.total, job.progress.deks_per_second,
      job.progress.seconds_left, job.updated_at, job.handle);
}

Status save_request(Database* database, std::int64_t handle, JobRequest request) {
  return database->run("UPDATE jobs SET request = ? WHERE handle = ?", request, handle);
}

Status save_rate(Database* database, std::int64_t handle, double rate_limit) {
  return database->run("UPDATE jobs SET rate_limit = ? WHERE handle = ?", rate_limit, handle);
}

Status save_purged(Database* database, std::int64_t handle) {
  return database->run("UPDATE jobs SET purged = 1 WHERE handle = ?", handle);
}

Status forget_jobs(Database* database, std::uint64_t before) {
  return database->run(
      "DELETE FROM jobs WHERE state >= 4 AND ended_at < ? AND keep_until < ?"
      " AND (purged OR origin != ?)",
      before, before, JobOrigin::kElement);
}

void end_job(Job* job, JobState state, std::uint64_t now) {
  job->state = state;
  job->phase = JobPhase::kNone;
  job->request = JobRequest::kNone;
  job->progress.seconds_left = 0;
  job->updated_at = now;
  job->ended_at = now;
  job->keep_until = now + kKeepJobs;
}

Answer<Job> request_pause(Database* database, const Uuid& uuid, std::uint64_t now) {
  REWRAP_ANSWER(Job job, find_active(database, uuid));
  if (is_all_or_nothing(job.kind)) {
    return Failure{Reason::kJobCannotPause,
                   Status(Errc::kUnsupported, "a job of this kind cannot be paused",
                          "it is short: wait for it to end")};
  }
  if (job.state == JobState::kPaused) {
    return Failure{Reason::kJobNotRunning, Status(Errc::kConflict, "the job is paused already")};
  }
  if (job.request == JobRequest::kCancel) {
    return Failure{Reason::kJobCannotPause,
                   Status(Errc::kConflict, "the job was asked to end, and is about to")};
  }
  if (job.state == JobState::kRunning) {
    job.request = JobRequest::kPause;
    return saved(save_request(database, job.handle, job.request), job);
  }
  job.state = JobState::kPaused;
  job.updated_at = now;
  return saved(save_run(database, job), job);
}

Answer<Job> request_resume(Database* database, const Uuid& uuid, std::uint64_t now) {
  REWRAP_ANSWER(Job job, find_active(database, uuid));
  if (job.state != JobState::kPaused) {
    return Failure{Reason::kJobRunning,
                   Status(Errc::kConflict, "the job is not paused",
                          "if it was asked to pause just now, try again when it has")};
  }
  job.state = JobState::kQueued;
  job.error = {};
  job.updated_at = now;
  return saved(save_run(database, job), job);
}

Answer<Job> request_cancel(Database* database, const Uuid& uuid, std::uint64_t now) {
  REWRAP_ANSWER(Job job, find_active(database, uuid));
  if (job.state == JobState::kRunning) {
    if (is_all_or_nothing(job.kind)) {
      return Failure{
          Reason::kJobCannotCancel,
          Status(Errc::kUnsupported, "a job of this kind cannot be cancelled once it runs",
                 "it is short: wait for it to end")};
    }
    job.request = JobRequest::kCancel;
    return saved(save_request(database, job.handle, job.request), job);
  }
  end_job(&job, JobState::kCancelled, now);
  job.error = job_error(
      {Reason::kJobCancelled, Status(Errc::kRefused, "the job was cancelled before its end",
                                     "a rekey that was begun goes on with the next one")});
  return saved(save_run(database, job), job);
}

Answer<Job> request_rate(Database* database, const Uuid& uuid, double deks_per_second) {
  REWRAP_ANSWER(Job job, find_active(database, uuid));
  if (!std::isfinite(deks_per_second) || deks_per_second < 0) {
    return Failure{
        Reason::kInvalidInput,
        Status(Errc::kInvalidArgument, "a rate is a number of DEKs per second, or 0 for no limit")};
  }
  job.rate_limit = deks_per_second;
  return saved(save_rate(database, job.handle, deks_per_second), job);
}

}  // namespace rewrap
