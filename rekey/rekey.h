// Rekey: a new KEK version, and every DEK of a keyset re-wrapped under it.
//
// Invariants (the tests carry the numbers)
//   R1  At every instant each DEK on disk opens under the KEK version that its segment's
//       authenticated header names, and that version's protector was durable first.
//   R2  A segment changes atomically: after any crash it is wholly old or wholly new.
//   R3  From the moment a rekey starts, new DEKs are wrapped under the new version.
//   R4  A version is decommissioned only when nothing needs it and a verify has passed (census.h).
//   R5  Resuming needs no progress table: the work left is the segments that do not name the
//       target. Running twice changes nothing.
//   R6  One rekey per keyset at a time.
//   R7  A DEK that fails its integrity check is counted, listed, and kept byte for byte under its
//       old version; the job ends incomplete.
//   R8  Reads and inserts go on during a rekey.
//   R9  A failed commit stops the job and is never retried blindly.
//
//   planned --start_rekey--> rewrapping --run_rewrap_job--> rewrapped --finish_rekey--> done
//                                |                              +--damage--> incomplete
//                                +--stop, crash, full disk--> rewrapping (the next call goes on)
//
// The state on disk is KeysetRecord::rekey_target: set by start_rekey in the transaction that makes
// the new version current, cleared by finish_rekey. An unfinished rekey of a GCM keyset whose
// target has too few IVs left goes on with one more new version.
#ifndef REWRAP_REKEY_REKEY_H_
#define REWRAP_REKEY_REKEY_H_

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "rekey/keyset.h"

namespace rewrap {

inline constexpr unsigned kMaxThreads = 256;

struct RekeyOptions {
  std::string root_uri;  // root for the new version; empty: that of the current version
  const Implementation* implementation = nullptr;
  unsigned num_threads = 1;
  double max_deks_per_second = 0;  // 0: no limit
  bool accept_damaged_segments = false;
  const std::atomic<bool>* stop = nullptr;
  ProgressFn progress;
  // If given, read instead of max_deks_per_second, again and again: the limit of a running rekey may
  // change. Never negative, never NaN.
  const std::atomic<double>* live_rate = nullptr;
};

struct RekeyReport {
  KekVersion from_version = 0;  // the oldest version that DEKs were moved from
  KekVersion to_version = 0;
  Custody custody = Custody::kHost;
  bool resumed = false;    // an unfinished rekey was gone on with
  bool stopped = false;    // ended by RekeyOptions::stop; run again to go on
  std::uint64_t deks = 0;  // DEKs in the keyset when it began, without those in quarantine
  std::uint64_t rewrapped = 0;
  std::uint64_t quarantined = 0;  // put aside by this rekey, earlier runs of it included
  std::vector<SegmentNumber> damaged_segments;  // left under their old version; sorted
  std::vector<SegmentNumber>
      accepted_segments;  // re-wrapped although they failed authentication; sorted
  // Roots that protect the old version and not the new one: with RekeyOptions::root_uri, all others.
  std::vector<std::string> dropped_roots;
  double seconds = 0;

  [[nodiscard]] bool complete() const {
    return !stopped && quarantined == 0 && damaged_segments.empty();
  }
};

// rekey runs a rekey, or goes on with an unfinished one. Blocks until it ends; safe to run again
// after any failure.
// Errors: kConflict  another is running (R6), or one is unfinished and a root
// was named
//         the root's own, before anything has changed
//         kUnavailable  a token that keeps the KEK went away; run again when it is back
//         kExhausted, kIo  the store's
// What was committed stays.
Result<RekeyReport> rekey(Store* store, const std::string& name, Keyring* keyring,
                          const RekeyOptions& options);

// plan_rekey opens the root and counts what a rekey would do, and changes nothing. rewrapped is the
// number it would move.
Result<RekeyReport> plan_rekey(Store* store, const std::string& name, Keyring* keyring);

}  // namespace rewrap

#endif  // REWRAP_REKEY_REKEY_H_
