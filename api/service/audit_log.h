// The audit log: a file of JSON lines that is only appended to. Each line holds its number and the
// SHA-256 digest (HMAC-SHA-256 under the service key, if there is one) of itself and of the line
// before, so that a removed, changed or reordered line shows, and where. A head record beside the file
// (FILE.head) holds number and digest of the last line, so that a cut end shows as well.
//
// Without a service key whoever may write both files can make a new chain: the log then shows
// accidents and careless hands. With one, only the service can.
#ifndef REWRAP_API_SERVICE_AUDIT_LOG_H_
#define REWRAP_API_SERVICE_AUDIT_LOG_H_

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "api/service/jobs.h"
#include "engine/base/secret_buffer.h"
#include "engine/base/status.h"

namespace rewrap {

// One event. Front ends write one for each request that changes something, and for each refused log
// in, before they answer; the service writes its own ("job.started", "job.ended",
// "kek.decommissioned"). No secret may be in any of them.
struct AuditEvent {
  std::string action;      // e.g. "ontap.rekey-internal", "login"
  std::string user;        // empty: nobody, or the service itself
  std::string origin;      // address of the client, or "service"
  std::string object;      // what it was done to: keyset, configuration, job
  std::string outcome;     // "ok", "denied", "failed", "started"
  std::string detail;      // reason_name(), HTTP status and the like
  std::string request_id;  // as in the daemon's own log
};

inline constexpr std::size_t kMaxAuditFieldLen = 1024;  // longer ones are cut

class AuditLog {
 public:
  // open continues the log in `path` (mode 0600), or begins one. Checks the last line against the
  // head; a line that a crash left half written is repaired, and that is recorded.
  // `key` may be empty. One process at a time may have it open.
  // Errors: kConflict    another process has it open
  //         kCorruption  the end does not fit the head: run rewrap audit verify
  //         kDenied, kIo, kExhausted  the file system
  static Result<std::unique_ptr<AuditLog>> open(const std::string& path, SecretBuffer key);
  ~AuditLog();
  AuditLog(const AuditLog&) = delete;
  AuditLog& operator=(const AuditLog&) = delete;

  // append writes a line and makes it durable before it returns. Any thread; events of threads that
  // come at once share an fsync. After a failure the log takes nothing more (R9): what cannot be
  // audited must not be done.
  Status append(const AuditEvent& event);

 private:
  struct State;
  explicit AuditLog(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// What is wrong with a line, as far as the chain tells.
enum class AuditFault : std::uint8_t {
  kNone = 0,
  kNotALine = 1,   // not one of our lines at all
  kChanged = 2,    // the line does not have the digest that it says
  kRemoved = 3,    // one or more lines before this one are missing
  kReordered = 4,  // this line belongs elsewhere
  kCutOff = 5,     // lines at the end are missing
  kNoHead = 6,     // the head record is missing or damaged
};
const char* audit_fault_name(AuditFault fault);

struct AuditFinding {
  AuditFault fault = AuditFault::kNone;
  std::uint64_t line = 0;      // in the file, from 1
  std::uint64_t sequence = 0;  // the number that the line should have; 0 if unknown
  std::uint64_t count = 0;     // of kRemoved and kCutOff: how many lines are missing
};

struct AuditReport {
  std::uint64_t lines = 0;
  std::vector<AuditFinding> findings;  // the first 100, in order; empty: the log is whole
  bool keyed = false;                  // digests are HMACs
};

// verify_audit_log reads the log from its beginning. `key` is empty if it has none.
// Errors: kNotFound, kDenied, kIo; kInvalidArgument the log is keyed and no key was given
Result<AuditReport> verify_audit_log(const std::string& path, ByteView key);

}  // namespace rewrap

#endif  // REWRAP_API_SERVICE_AUDIT_LOG_H_
