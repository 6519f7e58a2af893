// Jobs: start, look at, steer.
#include "api/native/handlers.h"
#include "api/native/resources.h"

namespace rewrap::native {
namespace {

Answer<Reply> started(const Answer<JobStart>& answer) {
  if (!answer.ok()) return answer.failure();
  return Reply{202, {{"job", job_json(answer->job)}, {"is_new", answer->is_new}}};
}

template <Answer<Job> (Jobs::*kAsk)(const Uuid&, const Caller&)>
Answer<Reply> steer(Call& call) {
  REWRAP_ANSWER(const Uuid uuid, uuid_in(call, 0));
  REWRAP_ANSWER(const Job job, (call.service->jobs().*kAsk)(uuid, call.caller));
  return Reply{200, job_json(job)};
}

}  // namespace

Answer<Reply> start_rekey(Call& call) {
  RekeyRequest wanted;
  wanted.keyset = call.holes[0];
  wanted.root_uri = text_in(call, "root");
  wanted.rate_limit = number_in(call, "rate");
  wanted.decommission = flag_in(call, "decommission", true);
  return started(call.service->jobs().start_rekey(wanted, call.caller));
}

Answer<Reply> start_reprotect(Call& call) {
  return started(
      call.service->jobs().start_reprotect(call.holes[0], text_in(call, "root"), call.caller));
}

Answer<Reply> start_verify(Call& call) {
  return started(call.service->jobs().start_verify(call.holes[0], call.caller));
}

Answer<Reply> start_restore(Call& call) {
  return started(call.service->jobs().start_restore(call.holes[0], call.caller));
}

Answer<Reply> start_decommission(Call& call) {
  REWRAP_ANSWER(const KekVersion version, version_in(call, 1));
  return started(call.service->jobs().start_decommission(call.holes[0], version, call.caller));
}

Answer<Reply> list_jobs(Call& call) {
  JobFilter filter;
  REWRAP_ANSWER(filter.max, limit_in(call));
  if (const auto keyset = call.request->query_value("keyset")) filter.keyset = *keyset;
  if (const auto state = call.request->query_value("state")) {
    filter.state = find_job_state(*state);
    if (!filter.state) return invalid("there is no such job state");
  }
  if (const auto kind = call.request->query_value("kind")) {
    filter.kind = find_job_kind(*kind);
    if (!filter.kind) return invalid("there is no such kind of job");
  }
  REWRAP_ANSWER(const auto jobs, call.service->jobs().list(filter));
  return Reply{200, {{"jobs", array_of(jobs, job_json)}}};
}

Answer<Reply> get_job(Call& call) {
  REWRAP_ANSWER(const Uuid uuid, uuid_in(call, 0));
  REWRAP_ANSWER(const Job job, call.service->jobs().get(uuid));
  return Reply{200, job_json(job)};
}

Answer<Reply> set_rate(Call& call) {
  REWRAP_ANSWER(const Uuid uuid, uuid_in(call, 0));
  REWRAP_ANSWER(const Job job,
                call.service->jobs().set_rate(uuid, number_in(call, "rate"), call.caller));
  return Reply{200, job_json(job)};
}

Answer<Reply> pause_job(Call& call) { return steer<&Jobs::pause>(call); }
Answer<Reply> resume_job(Call& call) { return steer<&Jobs::resume>(call); }
Answer<Reply> cancel_job(Call& call) { return steer<&Jobs::cancel>(call); }

}  // namespace rewrap::native
