// Verify: prove that every DEK of a keyset is there, in its place, and opens under its KEK version.
#ifndef REWRAP_REKEY_VERIFY_H_
#define REWRAP_REKEY_VERIFY_H_

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "rekey/keyset.h"

namespace rewrap {

// The most findings that are listed one by one; all are counted.
inline constexpr std::size_t kMaxFindings = 100;

struct Finding {
  std::optional<SegmentNumber> segment;  // absent if the keyset as a whole is concerned
  std::optional<DekId> id;               // absent if the whole segment is concerned
  Status what;
};

struct VerifyReport {
  std::uint64_t deks = 0;     // that the keyset says it holds, without those in quarantine
  std::uint64_t ok = 0;       // found, authenticated, opened, and reached by the index
  std::uint64_t damaged = 0;  // deks - ok
  std::uint64_t quarantined = 0;
  std::vector<Finding> findings;  // the first kMaxFindings
  bool certified =
      false;  // clean and all under the current version: the gate will let old versions go
  bool stopped = false;  // ended by VerifyOptions::stop; the rest of the report is of no use then
  double seconds = 0;
};

struct VerifyOptions {
  const Implementation* implementation = nullptr;
  unsigned num_threads = 1;
  ProgressFn progress;                      // called from one of the threads at a time
  const std::atomic<bool>* stop = nullptr;  // may be null
};

// verify reads one snapshot: tags and headers, ids columns, every wrap, every index entry, and the
// keyset's own counts. If all is well it records so in the keyset. It tries every protector of every
// usable KEK version as well; those that do not open are in Keyring::broken and are no damage, since
// no DEK is worse off for them. Errors: the root's own, the store's; damage is a report, not an error.
Result<VerifyReport> verify(Store* store, const std::string& name, Keyring* keyring,
                            const VerifyOptions& options);

}  // namespace rewrap

#endif  // REWRAP_REKEY_VERIFY_H_
