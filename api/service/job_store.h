// The records of jobs in the service's database. Functions of one connection, so that callers can
// put several into one transaction. Who writes what: the process that runs a job writes its state,
// phase and progress while it runs; requests and rates come from anybody.
#ifndef REWRAP_API_SERVICE_JOB_STORE_H_
#define REWRAP_API_SERVICE_JOB_STORE_H_

#include <optional>
#include <string>
#include <vector>

#include "api/service/database.h"
#include "api/service/job.h"
#include "api/service/jobs.h"

namespace rewrap {

// What a job is to do, beside what its record shows.
struct JobPlan {
  std::string root_uri;         // of the new KEK, or of the new protectors; empty: the present one
  KekVersion version = 0;       // to be decommissioned
  std::optional<Uuid> aws_kms;  // configuration whose key_id becomes `aws_key_id` at the end
  std::string aws_key_id;
};

// insert_job stores a new job and gives it its handle. Errors: kAlreadyExists for a second rekey
Status insert_job(Database* database, Job* job, const JobPlan& plan);

// Errors of all that name a job: kNotFound
Result<Job> find_job(Database* database, const Uuid& uuid);
Result<Job> find_job_by_handle(Database* database, std::int64_t handle);
Result<JobPlan> find_plan(Database* database, std::int64_t handle);

// list_jobs gives jobs, newest first. `now` decides what is still kept.
Result<std::vector<Job>> list_jobs(Database* database, const JobFilter& filter, std::uint64_t now);

// active_jobs gives those that have not ended, oldest first; active_rekey that of one keyset.
Result<std::vector<Job>> active_jobs(Database* database);
Result<std::optional<Job>> active_job(Database* database, const Uuid& keyset);

// save_run writes what the runner decides: state, phase, versions, progress, times, error. It also
// takes back the request if the state is no longer kRunning. save_progress writes progress only.
Status save_run(Database* database, const Job& job);
Status save_progress(Database* database, const Job& job);

Status save_request(Database* database, std::int64_t handle, JobRequest request);
Status save_rate(Database* database, std::int64_t handle, double rate_limit);
Status save_purged(Database* database, std::int64_t handle);

// forget_jobs deletes ended jobs that ended before `before`; those of Element only once purged.
Status forget_jobs(Database* database, std::uint64_t before);

// request_pause, request_resume and request_cancel are the rules for what a person asks of a job; in
// one transaction. A queued or paused job follows at once, a running one when its process sees it.
// Reasons: see Jobs.
Answer<Job> request_pause(Database* database, const Uuid& uuid, std::uint64_t now);
Answer<Job> request_resume(Database* database, const Uuid& uuid, std::uint64_t now);
Answer<Job> request_cancel(Database* database, const Uuid& uuid, std::uint64_t now);
Answer<Job> request_rate(Database* database, const Uuid& uuid, double deks_per_second);

// end_job sets what a job that ends needs.
void end_job(Job* job, JobState state, std::uint64_t now);

}  // namespace rewrap

#endif  // REWRAP_API_SERVICE_JOB_STORE_H_
