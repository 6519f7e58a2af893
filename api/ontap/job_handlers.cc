// /cluster/jobs.
#include <array>
#include <ctime>
#include <utility>

#include "api/ontap/handlers.h"
#include "api/ontap/reply.h"
#include "api/ontap/resources.h"

namespace rewrap::ontap {
namespace {

namespace json = boost::json;

// local_node is the one that does the jobs; nothing if the service does not say.
std::string local_node(const Call& call) {
  const auto nodes = call.backend->nodes();
  return nodes.ok() && !nodes->empty() ? nodes->front().name : std::string();
}

std::uint64_t seconds_now() { return static_cast<std::uint64_t>(std::time(nullptr)); }

// kept_job finds a job as long as ONTAP keeps one: for five minutes after it has ended.
Checked<Job> kept_job(const Call& call, Operation operation) {
  const auto job = call.backend->job(call.uuid);
  if (!job.ok()) return error_for(operation, job.failure());
  if (has_ended(job->state) && job->keep_until < seconds_now()) return not_found();
  return job.value();
}

struct Action {
  std::string_view name;
  Answer<Job> (Backend::*function)(const Uuid&, const Caller&);
};
constexpr std::array kActions = {
    Action{"pause", &Backend::pause},
    Action{"resume", &Backend::resume},
    Action{"cancel", &Backend::cancel},
};

}  // namespace

Checked<Reply> list_jobs(Call& call) {
  JobFilter filter;
  filter.only_kept = true;
  const auto jobs = call.backend->jobs(filter);
  if (!jobs.ok()) return error_for(Operation::kGet, jobs.failure());
  const std::string node = local_node(call);
  std::vector<json::object> records;
  for (const Job& job : jobs.value()) records.push_back(job_record(job, node));
  return collection_reply(call, std::move(records));
}

Checked<Reply> get_job(Call& call) {
  REWRAP_ASSIGN(const Job job, kept_job(call, Operation::kGet));
  return instance_reply(call, job_record(job, local_node(call)));
}

Checked<Reply> patch_job(Call& call) {
  if (call.query.action.empty()) return missing_value("action");
  for (const Action& action : kActions) {
    if (action.name != call.query.action) continue;
    REWRAP_ASSIGN(const Job kept, kept_job(call, Operation::kJob));
    const auto job = (call.backend->*action.function)(kept.uuid, call.caller);
    if (!job.ok()) return error_for(Operation::kJob, job.failure());
    return Reply{};
  }
  return invalid_value(call.query.action, "action", "pause,resume,cancel");
}

}  // namespace rewrap::ontap
