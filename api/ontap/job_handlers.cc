// /cluster/jobs.
#include <array>
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
  const auto job = call.backend->job(call.uuid);
  if (!job.ok()) return error_for(Operation::kGet, job.failure());
  return instance_reply(call, job_record(job.value(), local_node(call)));
}

Checked<Reply> patch_job(Call& call) {
  if (call.query.action.empty()) return missing_value("action");
  for (const Action& action : kActions) {
    if (action.name != call.query.action) continue;
    const auto job = (call.backend->*action.function)(call.uuid, call.caller);
    if (!job.ok()) return error_for(Operation::kJob, job.failure());
    return Reply{};
  }
  return invalid_value(call.query.action, "action", "pause,resume,cancel");
}

}  // namespace rewrap::ontap
