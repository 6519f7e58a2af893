// Starting jobs, and asking things of them.
#include "api/service/jobs.h"

#include <cmath>

#include "api/service/context.h"

namespace rewrap {
namespace {

Failure conflict(Reason reason, const Status& status) { return {reason, status}; }

Failure rekey_running() {
  return conflict(
      Reason::kRekeyRunning,
      Status(Errc::kConflict, "a rekey of this keyset has not ended", "wait for it, or cancel it"));
}

Failure switching() {
  return conflict(Reason::kSwitching,
                  Status(Errc::kConflict, "another job is working on the keys of this keyset",
                         "wait for it to end"));
}

Answer<Job> new_job(ServiceContext* context, JobKind kind, const std::string& keyset) {
  REWRAP_ANSWER(const KeysetRecord record, keyset_record(context, keyset));
  Result<Uuid> uuid = random_uuid();
  if (!uuid.ok()) return uuid.status();
  Job job;
  job.uuid = uuid.value();
  job.kind = kind;
  job.keyset = record.name;
  job.keyset_uuid = record.uuid;
  job.created_at = now_seconds();
  job.updated_at = job.created_at;
  job.progress.total = record.live_deks;
  return job;
}

// check_all_here refuses a keyset whose DEKs partly sit in the admin keyset.
Answer<Done> check_all_here(ServiceContext* context, const std::string& keyset) {
  REWRAP_ANSWER(const std::uint64_t in_admin, context->keysets.count_in_admin(keyset));
  if (in_admin == 0) return Done{};
  return Failure{Reason::kDeksInAdminKeyset,
                 Status(Errc::kRefused, "DEKs of this keyset still sit in the admin keyset",
                        "move them to this keyset first")};
}

// The rules of what may run beside what, in the transaction that records the job.
Answer<JobStart> record_job(Database* database, const Job& wanted, const JobPlan& plan) {
  Result<std::vector<Job>> active = active_jobs(database);
  if (!active.ok()) return active.status();
  for (const Job& other : active.value()) {
    if (other.keyset_uuid != wanted.keyset_uuid || !changes_keys(other.kind)) continue;
    if (wanted.kind == JobKind::kRekey && other.kind == JobKind::kRekey)
      return JobStart{other, false};  // R6
    if (changes_keys(wanted.kind))
      return other.kind == JobKind::kRekey ? rekey_running() : switching();
  }
  if (active->size() >= kMaxActiveJobs) {
    return Failure{Reason::kTooMany, Status(Errc::kExhausted, "too many jobs have not ended",
                                            "cancel some, or wait for them: rewrap jobs list")};
  }
  JobStart start{wanted, true};
  if (const Status status = insert_job(database, &start.job, plan); !status.ok()) return status;
  return start;
}

Failure no_such_job(const Status& status) {
  return {status.code() == Errc::kNotFound ? Reason::kNoSuchJob : reason_of(status), status};
}

// ask runs one of the request_... rules, and has the runner see to it.
template <typename Rule>
Answer<Job> ask(ServiceContext* context, const Uuid& uuid, const Caller& caller, const char* action,
                const Rule& rule) {
  const std::string object = "job " + format_uuid(uuid);
  if (const Status status = audit(context, caller, action, object, "requested"); !status.ok())
    return status;
  std::optional<Answer<Job>> answer;
  const Status status = context->db->write([&](Database& database) -> Status {
    answer.emplace(rule(&database));
    return answer->ok() ? Status() : answer->status();
  });
  if (answer && !answer->ok()) return *answer;
  if (!status.ok()) return status;
  context->runner->poke();
  context->runner->refresh(&answer->value());
  return *answer;
}

}  // namespace

Answer<KeysetRecord> keyset_record(ServiceContext* context, const std::string& name) {
  // Names come from outside, and one that cannot be a keyset's is no key for the store.
  if (!is_keyset_name(name)) {
    return Failure{Reason::kNoSuchKeyset, Status(Errc::kNotFound, "there is no such keyset")};
  }
  const auto read = [&]() -> Result<KeysetRecord> {
    REWRAP_ASSIGN(auto snapshot, context->store->snapshot());
    return peek_keyset(*snapshot, name);
  };
  Result<KeysetRecord> record = read();
  if (record.status().code() == Errc::kNotFound)
    return Failure{Reason::kNoSuchKeyset, record.status()};
  return record;
}

Status audit(ServiceContext* context, const Caller& caller, const char* action,
             const std::string& object, const char* outcome, const std::string& detail) {
  if (context->audit_log == nullptr) return {};
  AuditEvent event;
  event.action = action;
  event.user = caller.user;
  event.origin = job_origin_name(caller.origin);
  event.object = object;
  event.outcome = outcome;
  event.detail = detail;
  return context->audit_log->append(event);
}

Answer<JobStart> start_job(ServiceContext* context, Job job, const JobPlan& plan,
                           const Caller& caller) {
  job.origin = caller.origin;
  job.user = caller.user;
  job.description = caller.description.substr(0, kMaxDescriptionLen);
  const std::string object = "keyset " + job.keyset + ", job " + format_uuid(job.uuid);
  if (const Status status =
          audit(context, caller, "job.requested", object, "requested", job_kind_name(job.kind));
      !status.ok()) {
    return status;
  }
  std::optional<Answer<JobStart>> answer;
  const Status status = context->db->write([&](Database& database) -> Status {
    answer.emplace(record_job(&database, job, plan));
    return answer->ok() ? Status() : answer->status();
  });
  if (answer && !answer->ok()) return *answer;
  if (!status.ok()) return status;
  context->runner->poke();
  context->runner->refresh(&answer->value().job);
  return *answer;
}

Answer<JobStart> start_reprotect_job(ServiceContext* context, const std::string& keyset,
                                     const JobPlan& plan, const Caller& caller) {
  REWRAP_ANSWER(Job job, new_job(context, JobKind::kReprotect, keyset));
  REWRAP_ANSWER([[maybe_unused]] const Done all_here, check_all_here(context, keyset));
  REWRAP_ANSWER([[maybe_unused]] const Done opens, context->keysets.check_root(keyset));
  return start_job(context, std::move(job), plan, caller);
}

Answer<JobStart> Jobs::start_rekey(const RekeyRequest& request, const Caller& caller) {
  if (!std::isfinite(request.rate_limit) || request.rate_limit < 0) {
    return Status(Errc::kInvalidArgument,
                  "a rate is a number of DEKs per second, or 0 for no limit");
  }
  REWRAP_ANSWER(Job job, new_job(context_, JobKind::kRekey, request.keyset));
  // A rekey that is under way already needs none of the checks: it passed them.
  std::optional<Job> active;
  const Status read = context_->db->read([&](Database& database) -> Status {
    REWRAP_ASSIGN(active, active_job(&database, job.keyset_uuid));
    return {};
  });
  if (!read.ok()) return read;
  if (active && active->kind == JobKind::kRekey) {
    context_->runner->refresh(&*active);
    return JobStart{*active, false};
  }
  if (request.refuse_empty && job.progress.total == 0) {
    return Failure{Reason::kKeysetEmpty,
                   Status(Errc::kRefused, "the keyset has no DEK to re-wrap")};
  }
  REWRAP_ANSWER([[maybe_unused]] const Done all_here, check_all_here(context_, request.keyset));
  if (request.check_nodes) {
    REWRAP_ANSWER(const std::vector<Node> missing, context_->nodes.missing());
    if (!missing.empty()) {
      return Failure{Reason::kNodeMissing,
                     Status(Errc::kUnavailable, "a registered node has missed its heartbeat",
                            "bring it back, or remove it from the list of nodes")};
    }
  }
  REWRAP_ANSWER([[maybe_unused]] const Done opens, context_->keysets.check_root(request.keyset));
  job.rate_limit = request.rate_limit > 0 ? request.rate_limit : context_->options.default_rate;
  job.decommission = request.decommission;
  JobPlan plan;
  plan.root_uri = request.root_uri;
  return start_job(context_, std::move(job), plan, caller);
}

Answer<JobStart> Jobs::start_reprotect(const std::string& keyset, const std::string& root_uri,
                                       const Caller& caller) {
  JobPlan plan;
  plan.root_uri = root_uri;
  return start_reprotect_job(context_, keyset, plan, caller);
}

Answer<JobStart> Jobs::start_restore(const std::string& keyset, const Caller& caller) {
  REWRAP_ANSWER(Job job, new_job(context_, JobKind::kRestore, keyset));
  return start_job(context_, std::move(job), {}, caller);
}

Answer<JobStart> Jobs::start_verify(const std::string& keyset, const Caller& caller) {
  REWRAP_ANSWER(Job job, new_job(context_, JobKind::kVerify, keyset));
  return start_job(context_, std::move(job), {}, caller);
}

Answer<JobStart> Jobs::start_decommission(const std::string& keyset, KekVersion version,
                                          const Caller& caller) {
  REWRAP_ANSWER(Job job, new_job(context_, JobKind::kDecommission, keyset));
  job.from_version = version;
  JobPlan plan;
  plan.version = version;
  return start_job(context_, std::move(job), plan, caller);
}

Answer<Job> Jobs::get(const Uuid& uuid) {
  Job job;
  const Status status = context_->db->read([&](Database& database) -> Status {
    REWRAP_ASSIGN(job, find_job(&database, uuid));
    return {};
  });
  if (!status.ok()) return no_such_job(status);
  context_->runner->refresh(&job);
  return job;
}

Answer<Job> Jobs::get_handle(std::int64_t handle) {
  Job job;
  const Status status = context_->db->read([&](Database& database) -> Status {
    REWRAP_ASSIGN(job, find_job_by_handle(&database, handle));
    if (job.purged) return Status(Errc::kNotFound, "the result of this job was fetched already");
    return {};
  });
  if (!status.ok()) return no_such_job(status);
  context_->runner->refresh(&job);
  return job;
}

Answer<std::vector<Job>> Jobs::list(const JobFilter& filter) {
  std::vector<Job> jobs;
  const Status status = context_->db->read([&](Database& database) -> Status {
    REWRAP_ASSIGN(jobs, list_jobs(&database, filter, now_seconds()));
    return {};
  });
  if (!status.ok()) return status;
  for (Job& job : jobs) context_->runner->refresh(&job);
  return jobs;
}

Answer<Job> Jobs::pause(const Uuid& uuid, const Caller& caller) {
  return ask(context_, uuid, caller, "job.pause",
             [&](Database* database) { return request_pause(database, uuid, now_seconds()); });
}

Answer<Job> Jobs::resume(const Uuid& uuid, const Caller& caller) {
  return ask(context_, uuid, caller, "job.resume",
             [&](Database* database) { return request_resume(database, uuid, now_seconds()); });
}

Answer<Job> Jobs::cancel(const Uuid& uuid, const Caller& caller) {
  return ask(context_, uuid, caller, "job.cancel",
             [&](Database* database) { return request_cancel(database, uuid, now_seconds()); });
}

Answer<Job> Jobs::set_rate(const Uuid& uuid, double deks_per_second, const Caller& caller) {
  return ask(context_, uuid, caller, "job.rate",
             [&](Database* database) { return request_rate(database, uuid, deks_per_second); });
}

Answer<Done> Jobs::purge(std::int64_t handle) {
  Failure failure;
  const Status status = context_->db->write([&](Database& database) -> Status {
    const Result<Job> job = find_job_by_handle(&database, handle);
    if (!job.ok() || job->purged) {
      const Status none(Errc::kNotFound, "there is no such job");
      failure = no_such_job(job.ok() ? none : job.status());
      return failure.status;
    }
    if (!has_ended(job->state)) {
      failure = {Reason::kJobRunning, Status(Errc::kConflict, "the job has not ended")};
      return failure.status;
    }
    failure = {Reason::kStorageFailed, {}};
    return save_purged(&database, handle);
  });
  if (status.ok()) return Done{};
  if (failure.status.ok()) return status;
  return failure;
}

void Jobs::on_finished(const Uuid& uuid, std::chrono::steady_clock::time_point deadline,
                       Callback callback) {
  context_->runner->on_finished(uuid, deadline, std::move(callback));
}

}  // namespace rewrap
