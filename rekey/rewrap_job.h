// The bulk part of a rekey: compute threads re-wrap segments, one writer commits them in groups.
//
//   snapshot -> worker: authenticate, re-wrap, seal --+
//   snapshot -> worker: authenticate, re-wrap, seal --+--> bounded queue --> writer (calling
//   thread): group commit
//
// A segment is replaced only if it is still the one that was read (its sequence number is checked
// in the transaction), so the job can run beside inserts. A group that fails to commit stops the
// job; nothing that was committed is lost (R2, R9).
#ifndef REWRAP_REKEY_REWRAP_JOB_H_
#define REWRAP_REKEY_REWRAP_JOB_H_

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "rekey/keyset.h"
#include "rekey/segment_walk.h"

namespace rewrap {

struct RewrapJob {
  Store* store = nullptr;
  std::string keyset_name;
  KeysetRecord keyset;
  const Keyring* keyring = nullptr;  // holds the target version and every version in use
  KekVersion target = 0;
  IvSource* ivs = nullptr;  // numbers for every slot of the segments; null unless GCM
  const Implementation* implementation = nullptr;
  unsigned num_threads = 1;
  double max_deks_per_second = 0;  // 0: no limit
  bool accept_damaged_segments =
      false;  // judge each DEK of a segment that fails authentication by itself
  const std::atomic<bool>* stop = nullptr;  // set by a signal handler, say; may be null
  ProgressFn progress;
  const std::atomic<double>* live_rate = nullptr;  // instead of max_deks_per_second; may be null
};

struct RewrapOutcome {
  std::uint64_t rewrapped = 0;    // DEKs now under the target version
  std::uint64_t quarantined = 0;  // DEKs that failed their integrity check and were put aside
  std::vector<SegmentNumber> damaged_segments;  // left as they were
  std::vector<SegmentNumber>
      accepted_segments;  // failed authentication, re-wrapped because that was asked for
  bool stopped = false;
};

// run_rewrap_job re-wraps `segments`. Errors: the store's, the engine's; the segments committed
// until then stay re-wrapped.
Result<RewrapOutcome> run_rewrap_job(const RewrapJob& job,
                                     const std::vector<SegmentNumber>& segments);

}  // namespace rewrap

#endif  // REWRAP_REKEY_REWRAP_JOB_H_
