// A job: one long operation on a keyset, as it is recorded. Times are seconds since 1970, 0 where
// there is none. Plain data, any thread.
#ifndef REWRAP_API_SERVICE_JOB_H_
#define REWRAP_API_SERVICE_JOB_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "api/service/answer.h"
#include "engine/base/bytes.h"
#include "rekey/store.h"

namespace rewrap {

// Uuids of jobs, keys, keysets and configurations: format_uuid and parse_uuid (engine/base/bytes.h).
using Uuid = DekId;

// All of these are stored: never renumber.
enum class JobKind : std::uint8_t {
  kRekey = 1,      // new KEK version, re-wrap, verify, decommission
  kReprotect = 2,  // the same KEKs under another root key
  kRestore = 3,    // open every KEK in use once, and say what does not open
  kVerify = 4,
  kDecommission = 5,  // one old KEK version
};

enum class JobState : std::uint8_t {
  kQueued = 1,
  kRunning = 2,
  kPaused = 3,  // by request, or because the root or the disk failed: then `error` says which
  // Ended:
  kSucceeded = 4,
  kFailed = 5,
  kCancelled = 6,   // a rekey that was begun leaves two KEK versions; the next rekey goes on
  kIncomplete = 7,  // damaged DEKs were left aside (R7); the old KEK version was kept
};

enum class JobPhase : std::uint8_t {
  kNone = 0,
  kCreatingKek = 1,
  kRewrapping = 2,
  kVerifying = 3,
  kDecommissioning = 4,
};

// What was asked of a job that has not happened yet.
enum class JobRequest : std::uint8_t { kNone = 0, kPause = 1, kCancel = 2 };

enum class JobOrigin : std::uint8_t { kCommandLine = 1, kOntap = 2, kElement = 3, kNative = 4 };

// The names are those of JSON and of the command line: "rekey", "running", "rewrapping", "pause",
// "ontap". find_... is the inverse.
const char* job_kind_name(JobKind kind);
const char* job_state_name(JobState state);
const char* job_phase_name(JobPhase phase);
const char* job_request_name(JobRequest request);
const char* job_origin_name(JobOrigin origin);
std::optional<JobKind> find_job_kind(std::string_view name);
std::optional<JobState> find_job_state(std::string_view name);

constexpr bool has_ended(JobState state) { return state >= JobState::kSucceeded; }

// changes_keys says whether two jobs of these kinds on one keyset would be in each other's way.
constexpr bool changes_keys(JobKind kind) {
  return kind != JobKind::kVerify && kind != JobKind::kRestore;
}

// JobError is a Failure that outlives its process.
struct JobError {
  Reason reason = Reason::kNone;
  Errc code = Errc::kOk;
  std::string message;  // never empty where reason is not kNone
  std::string hint;
};
JobError job_error(const Failure& failure);

struct JobProgress {
  std::uint64_t done = 0;  // DEKs; those of a rekey that was gone on with included
  std::uint64_t total = 0;
  double deks_per_second = 0;  // lately
  double seconds_left = 0;     // 0 if nobody knows
};

struct Job {
  Uuid uuid{};
  std::int64_t handle = 0;  // Element's asyncHandle: from 1, grows, never used again
  JobKind kind = JobKind::kRekey;
  JobState state = JobState::kQueued;
  JobPhase phase = JobPhase::kNone;  // kNone unless running or paused
  JobRequest request = JobRequest::kNone;
  JobOrigin origin = JobOrigin::kNative;
  std::string
      description;   // the front end's, e.g. "POST /api/security/aws-kms/<uuid>/rekey-internal"
  std::string user;  // who asked for it

  std::string keyset;
  Uuid keyset_uuid{};
  KekVersion from_version = 0;  // of a rekey: the version that was current; 0 until known
  KekVersion to_version = 0;    // 0 until it is made
  Uuid from_key{};              // key_uuid() of these; all zero until known
  Uuid to_key{};

  double rate_limit = 0;     // DEKs per second; 0: none. May change while the job runs
  bool decommission = true;  // of a rekey: destroy the old versions when the gate lets them go
  JobProgress progress;
  std::uint64_t quarantined = 0;       // DEKs put aside by this job
  std::uint64_t damaged_segments = 0;  // left under their old version

  std::uint64_t created_at = 0;
  std::uint64_t started_at = 0;  // when it first ran
  std::uint64_t updated_at = 0;
  std::uint64_t ended_at = 0;
  std::uint64_t keep_until = 0;  // shown at least until then; 0 while it has not ended
  bool purged = false;           // its result was fetched for good (Element)
  JobError error;                // of a failed, incomplete or cancelled job, or why one is paused
};

// key_uuid names a KEK version of a keyset to the outside (Element's keyID): the same on every call,
// another one for each version. A digest of both, marked as version 8 of RFC 9562.
Uuid key_uuid(const Uuid& keyset, KekVersion version);

// random_uuid gives a version 4 UUID. Errors: kInternal  OpenSSL's generator fails
Result<Uuid> random_uuid();

}  // namespace rewrap

#endif  // REWRAP_API_SERVICE_JOB_H_
