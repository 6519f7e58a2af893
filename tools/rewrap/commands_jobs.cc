// Verbs: jobs list, show, pause, resume, cancel, rate; audit verify. Jobs belong to the service; these
// verbs ask of them through its database, whether it runs or not.
#include <chrono>
#include <filesystem>
#include <iostream>
#include <thread>

#include "api/service/audit_log.h"
#include "api/service/job_runner.h"
#include "api/service/job_store.h"
#include "api/service/service_key.h"
#include "tools/rewrap/cli.h"

namespace rewrap {
namespace {

namespace json = boost::json;

// How long a verb waits to see that a running job has followed.
constexpr std::chrono::seconds kFollowLimit{10};
constexpr std::chrono::milliseconds kFollowPeriod{50};

struct JobArgs {
  std::string id;
  std::string keyset;
  std::string state;
  double rate = 0;
  bool only_active = false;
};

bool has_service(const GlobalOptions& global) {
  return std::filesystem::exists(global.store_directory + "/service.db");
}

Result<std::unique_ptr<ServiceDb>> open_jobs(const GlobalOptions& global) {
  if (!has_service(global)) {
    return Status(Errc::kNotFound, "no service has worked on this store, so there are no jobs",
                  "rekey and the like run without one; --store names another store");
  }
  return ServiceDb::open(global.store_directory);
}

json::value time_or_null(std::uint64_t seconds) {
  return seconds == 0 ? json::value(nullptr) : json::value(seconds);
}

json::object to_json(const Job& job) {
  json::object object{{"uuid", format_uuid(job.uuid)},
                      {"handle", job.handle},
                      {"kind", job_kind_name(job.kind)},
                      {"keyset", job.keyset},
                      {"state", job_state_name(job.state)},
                      {"phase", job_phase_name(job.phase)},
                      {"requested", job_request_name(job.request)},
                      {"origin", job_origin_name(job.origin)},
                      {"user", job.user},
                      {"description", job.description},
                      {"from_version", job.from_version},
                      {"to_version", job.to_version},
                      {"rate", job.rate_limit},
                      {"done", job.progress.done},
                      {"total", job.progress.total},
                      {"deks_per_second", job.progress.deks_per_second},
                      {"seconds_left", job.progress.seconds_left},
                      {"quarantined", job.quarantined},
                      {"damaged_segments", job.damaged_segments},
                      {"created", time_or_null(job.created_at)},
                      {"started", time_or_null(job.started_at)},
                      {"ended", time_or_null(job.ended_at)},
                      {"error", nullptr}};
  if (job.error.reason != Reason::kNone) {
    object["error"] = {{"reason", reason_name(job.error.reason)},
                       {"message", job.error.message},
                       {"hint", job.error.hint}};
  }
  return object;
}

std::string line_of(const Job& job) {
  std::string line = std::to_string(job.handle) + "  " + format_uuid(job.uuid) + "  " +
                     job_kind_name(job.kind) + " of '" + job.keyset + "'  " +
                     job_state_name(job.state);
  if (job.phase != JobPhase::kNone) line += std::string(", ") + job_phase_name(job.phase);
  if (job.request != JobRequest::kNone)
    line += std::string(", asked to ") + job_request_name(job.request);
  line += "  " + with_thousands(job.progress.done) + " of " + with_thousands(job.progress.total);
  if (job.error.reason != Reason::kNone) line += "  (" + job.error.message + ")";
  return line;
}

Result<Job> find_named(Database* database, const std::string& id) {
  Uuid uuid{};
  if (parse_uuid(id, &uuid)) return find_job(database, uuid);
  if (id.empty() || id.size() > 18 || id.find_first_not_of("0123456789") != std::string::npos) {
    return Status(Errc::kInvalidArgument, "a job is named by its uuid or its number",
                  "rewrap jobs list shows both");
  }
  return find_job_by_handle(database, std::stoll(id));
}

Result<Job> read_job(ServiceDb* db, const std::string& id) {
  Job job;
  REWRAP_TRY(db->read([&](Database& database) -> Status {
    REWRAP_ASSIGN(job, find_named(&database, id));
    return {};
  }));
  return job;
}

int jobs_list(const GlobalOptions& global, const JobArgs& args) {
  const auto db = open_jobs(global);
  if (!db.ok()) return fail("jobs", db.status());
  JobFilter filter;
  filter.keyset = args.keyset;
  filter.state = find_job_state(args.state);
  std::vector<Job> jobs;
  const Status status = db.value()->read([&](Database& database) -> Status {
    REWRAP_ASSIGN(jobs, args.only_active ? active_jobs(&database)
                                         : list_jobs(&database, filter, now_seconds()));
    return {};
  });
  if (!status.ok()) return fail("jobs", status);
  if (global.json) {
    json::array list;
    for (const Job& job : jobs) list.push_back(to_json(job));
    print_json({{"jobs", std::move(list)}});
  }
  for (const Job& job : jobs) say(global, line_of(job));
  return kExitDone;
}

void show(const GlobalOptions& global, const Job& job) {
  if (global.json) print_json(to_json(job));
  say(global, line_of(job));
}

int jobs_show(const GlobalOptions& global, const JobArgs& args) {
  const auto db = open_jobs(global);
  if (!db.ok()) return fail("jobs", db.status());
  const auto job = read_job(db->get(), args.id);
  if (!job.ok()) return fail("job " + args.id, job.status());
  show(global, job.value());
  return kExitDone;
}

using Rule = std::function<Answer<Job>(Database*, const Uuid&)>;

// follow waits until the service has done what a running job was asked.
Result<Job> follow(const GlobalOptions& global, ServiceDb* db, Job job) {
  REWRAP_ASSIGN(const bool served, RunnerLock::is_served(global.store_directory));
  if (!served) {
    std::cerr << "rewrap: warning: no service works on this store; the job follows when one does\n";
    return job;
  }
  const auto limit = std::chrono::steady_clock::now() + kFollowLimit;
  while (job.request != JobRequest::kNone && std::chrono::steady_clock::now() < limit) {
    std::this_thread::sleep_for(kFollowPeriod);
    REWRAP_ASSIGN(job, read_job(db, std::to_string(job.handle)));
  }
  return job;
}

int ask(const GlobalOptions& global, const JobArgs& args, const Rule& rule) {
  const auto db = open_jobs(global);
  if (!db.ok()) return fail("jobs", db.status());
  const auto job = read_job(db->get(), args.id);
  if (!job.ok()) return fail("job " + args.id, job.status());
  Job asked;
  const Status status = db.value()->write([&](Database& database) -> Status {
    Answer<Job> answer = rule(&database, job->uuid);
    if (!answer.ok()) return answer.status();
    asked = std::move(answer).value();
    return {};
  });
  if (!status.ok()) return fail("job " + args.id, status);
  const auto followed = follow(global, db->get(), asked);
  if (!followed.ok()) return fail("job " + args.id, followed.status());
  show(global, followed.value());
  return kExitDone;
}

// What the digests of an audit log are keyed by.
struct AuditKey {
  SecretBuffer key;
  std::string root_uri;  // of the root that gave it
};

// audit_key opens the service's key. Whoever may write the service's database may put a key of his own
// there, under a root of his own: so the root is the one that was named, or its name is shown.
Result<AuditKey> audit_key(const GlobalOptions& global, const std::string& root_uri) {
  AuditKey found;
  std::optional<Protector> protector;
  if (has_service(global)) {
    REWRAP_ASSIGN(const auto db, open_jobs(global));
    REWRAP_ASSIGN(protector, read_service_key(db.get()));
  }
  if (!protector && root_uri.empty()) return found;
  if (!protector) {
    return Status(Errc::kNotFound, "the store has no service key, so no root guards one",
                  "--store names the store of the service that wrote the log");
  }
  found.root_uri = root_uri.empty() ? protector->root_uri : root_uri;
  REWRAP_ASSIGN(const auto root, open_root(found.root_uri, global.root));
  REWRAP_ASSIGN(const auto box, SecretBox::open(root.get(), *protector));
  REWRAP_ASSIGN(found.key, box->derive(kAuditKeyPurpose));
  return found;
}

std::string text_of(const AuditFinding& finding) {
  const std::string lines = std::to_string(finding.count) + " line(s) missing";
  const std::string at = "line " + std::to_string(finding.line) + ": ";
  switch (finding.fault) {
    case AuditFault::kNotALine:
      return at + "not a line of an audit log";
    case AuditFault::kChanged:
      return at + "changed";
    case AuditFault::kRemoved:
      return at + lines + " before it, from number " + std::to_string(finding.sequence);
    case AuditFault::kReordered:
      return at + "not in its place (number " + std::to_string(finding.sequence) + ")";
    case AuditFault::kCutOff:
      return lines + " at the end, from number " + std::to_string(finding.sequence);
    case AuditFault::kNoHead:
      return "the head record (FILE.head) is missing or damaged: a cut end would not show";
    case AuditFault::kNone:
      break;
  }
  return at + "no fault";
}

struct AuditArgs {
  std::string path;
  std::string root_uri;  // of the service key; empty: as the service's database has it
};

int audit_verify(const GlobalOptions& global, const AuditArgs& args) {
  const std::string& path = args.path;
  const std::string subject = "audit log " + path;
  // The key is taken wherever there is one: a log that says that it has none may have been rewritten.
  const auto key = audit_key(global, args.root_uri);
  if (!key.ok()) return fail("service key", key.status(), true);
  const auto report = verify_audit_log(path, key->key.expose_secret());
  if (!report.ok()) return fail(subject, report.status());
  if (global.json) {
    json::array findings;
    for (const AuditFinding& finding : report->findings) {
      findings.push_back({{"fault", audit_fault_name(finding.fault)},
                          {"line", finding.line},
                          {"sequence", finding.sequence},
                          {"count", finding.count}});
    }
    print_json({{"file", path},
                {"lines", report->lines},
                {"keyed", report->keyed},
                {"service_root", key->root_uri},
                {"findings", std::move(findings)}});
  }
  for (const AuditFinding& finding : report->findings)
    std::cerr << "rewrap: damaged: " << text_of(finding) << '\n';
  const bool whole = report->findings.empty();
  say(global, subject + (whole ? " is whole: " : " IS DAMAGED: ") + with_thousands(report->lines) +
                  " lines" +
                  (report->keyed ? ", keyed under " + key->root_uri
                                 : " (without a key: see docs/operations.md)"));
  return whole ? kExitDone : kExitDamaged;
}

}  // namespace

void add_jobs_commands(const Cli& cli) {
  const GlobalOptions* global = cli.global;
  auto args = std::make_shared<JobArgs>();
  const Verb jobs = cli.app.add_group("jobs", "the jobs of the service on this store");
  Verb list = jobs.add_verb("list", "show the jobs, newest first",
                            [=] { return jobs_list(*global, *args); });
  list.add_option("--keyset", &args->keyset, "only those of one keyset");
  list.add_option("--state", &args->state, "only those in one state")
      .one_of({"queued", "running", "paused", "succeeded", "failed", "cancelled", "incomplete"});
  list.add_flag("--active", &args->only_active, "only those that have not ended, oldest first");

  const auto add = [&](const char* name, const char* description, const Action& run) {
    Verb verb = jobs.add_verb(name, description, run);
    verb.add_option("JOB", &args->id, "uuid or number of the job").required();
    return verb;
  };
  add("show", "show one job", [=] { return jobs_show(*global, *args); });
  add("pause", "stop a job between two commits; resume goes on", [=] {
    return ask(*global, *args, [](Database* database, const Uuid& uuid) {
      return request_pause(database, uuid, now_seconds());
    });
  });
  add("resume", "go on with a paused job", [=] {
    return ask(*global, *args, [](Database* database, const Uuid& uuid) {
      return request_resume(database, uuid, now_seconds());
    });
  });
  add("cancel", "end a job; a rekey that was begun goes on with the next one", [=] {
    return ask(*global, *args, [](Database* database, const Uuid& uuid) {
      return request_cancel(database, uuid, now_seconds());
    });
  });
  Verb rate = add("rate", "throttle a job, also while it runs", [=] {
    return ask(*global, *args, [rate = args->rate](Database* database, const Uuid& uuid) {
      return request_rate(database, uuid, rate);
    });
  });
  rate.add_option("RATE", &args->rate, "at most so many DEKs per second; 0: no limit")
      .between(0.0, 1e12)
      .required();
}

void add_audit_commands(const Cli& cli) {
  const GlobalOptions* global = cli.global;
  auto args = std::make_shared<AuditArgs>();
  const Verb audit = cli.app.add_group("audit", "the audit log of the service");
  Verb verify = audit.add_verb("verify",
                               "find lines that were removed, changed or moved; a keyed log "
                               "needs the store of its service",
                               [=] { return audit_verify(*global, *args); });
  verify.add_option("FILE", &args->path, "the audit log").required();
  verify.add_option("--root", &args->root_uri,
                    "the root that guards the service key; without it, the one that the service's "
                    "database names");
}

}  // namespace rewrap
