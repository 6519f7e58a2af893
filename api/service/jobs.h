// Jobs as front ends see them: start, look at, pause, resume, cancel, throttle, wait for. Any
// thread. A job is durable before the function that starts it returns; it survives the process and
// goes on when the daemon starts again. Each function works on the service's database (a few
// milliseconds where something is written); those that also ask a root say so.
#ifndef REWRAP_API_SERVICE_JOBS_H_
#define REWRAP_API_SERVICE_JOBS_H_

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "api/service/answer.h"
#include "api/service/job.h"

namespace rewrap {

// Who asks, for the job's record and the audit log.
struct Caller {
  JobOrigin origin = JobOrigin::kNative;
  std::string user;         // authenticated
  std::string description;  // what the front end was asked, without secrets
};

struct JobStart {
  Job job;
  bool is_new = true;  // false: a rekey of this keyset was under way already, and this is it (R6)
};

struct RekeyRequest {
  std::string keyset;
  std::string root_uri;       // root of the new KEK; empty: that of the present one
  double rate_limit = 0;      // DEKs per second; 0: the service's default
  bool decommission = true;   // destroy the old version at the end, through the gate
  bool refuse_empty = false;  // fail with kKeysetEmpty if there is no DEK (ONTAP)
  bool check_nodes = false;   // fail with kNodeMissing if a node has missed its heartbeat (ONTAP)
};

struct JobFilter {
  std::optional<JobState> state;
  std::optional<JobKind> kind;
  std::optional<JobOrigin> origin;
  std::string keyset;             // empty: all
  bool only_kept = false;         // leave out those past keep_until (ONTAP)
  bool leave_out_purged = false;  // (Element)
  std::size_t max = 10'000;       // newest first
};

// How long an ended job is shown at least, in seconds.
inline constexpr std::uint64_t kKeepJobs = 300;
// Ended jobs older than this are deleted, unless they wait to be fetched (Element). Seconds.
inline constexpr std::uint64_t kForgetJobs = 30ULL * 24 * 3600;
inline constexpr std::size_t kMaxActiveJobs = 1000;  // queued, running and paused
inline constexpr std::size_t kMaxDescriptionLen = 1024;

class JobRunner;
class JobStore;
struct ServiceContext;

class Jobs {
 public:
  // What a wait ends with: the job as it is then, ended or not; a failure if it is gone.
  using Callback = std::function<void(const Answer<Job>&)>;

  explicit Jobs(ServiceContext* context) : context_(context) {}

  // start_rekey records a rekey and lets it run; see rekey/rekey.h for what it does. Asks the root
  // for the current KEK first, so it blocks for as long as the root takes to answer.
  // Reasons: kNoSuchKeyset, kKeysetEmpty, kRootBlocked, kDeksInAdminKeyset, kNodeMissing,
  //          kSwitching (another kind of job works on the keyset), kTooMany, kInvalidInput
  Answer<JobStart> start_rekey(const RekeyRequest& request, const Caller& caller);

  // start_reprotect moves the KEKs of a keyset under another root key. Asks the present root.
  // Reasons: as start_rekey; kRekeyRunning
  Answer<JobStart> start_reprotect(const std::string& keyset, const std::string& root_uri,
                                   const Caller& caller);

  // start_restore opens every KEK version in use through its root; start_verify proves that every
  // DEK opens; start_decommission destroys one old version if the gate lets it go.
  // Reasons: kNoSuchKeyset, kTooMany; what is found makes the job fail
  Answer<JobStart> start_restore(const std::string& keyset, const Caller& caller);
  Answer<JobStart> start_verify(const std::string& keyset, const Caller& caller);
  Answer<JobStart> start_decommission(const std::string& keyset, KekVersion version,
                                      const Caller& caller);

  // Reasons of all that name a job: kNoSuchJob.
  Answer<Job> get(const Uuid& uuid);
  Answer<Job> get_handle(std::int64_t handle);
  Answer<std::vector<Job>> list(const JobFilter& filter);

  // pause, resume, cancel ask; the job follows within about a tenth of a second (a verify or a
  // commit under way is ended first). What they give is the job as it is after the asking.
  // Reasons: kJobEnded; kJobNotRunning (pause), kJobRunning (resume); kJobCannotPause and
  //          kJobCannotCancel: a reprotect or a decommission is all or nothing
  Answer<Job> pause(const Uuid& uuid, const Caller& caller);
  Answer<Job> resume(const Uuid& uuid, const Caller& caller);
  Answer<Job> cancel(const Uuid& uuid, const Caller& caller);

  // set_rate throttles a job, running or not, to so many DEKs per second; 0: no limit.
  // Reasons: kJobEnded, kInvalidInput
  Answer<Job> set_rate(const Uuid& uuid, double deks_per_second, const Caller& caller);

  // purge marks an ended job as fetched: get_handle then gives kNoSuchJob.
  // Reasons: kJobRunning
  Answer<Done> purge(std::int64_t handle);

  // on_finished calls back once: as soon as the job has ended, at once if it has already, or at the
  // deadline. Holds no thread. The callback comes from a thread of the service, or from within this
  // call; it must not block: post the work to your own executor. Pending callbacks are called when
  // the service stops.
  void on_finished(const Uuid& uuid, std::chrono::steady_clock::time_point deadline,
                   Callback callback);

 private:
  ServiceContext* context_;
};

}  // namespace rewrap

#endif  // REWRAP_API_SERVICE_JOBS_H_
