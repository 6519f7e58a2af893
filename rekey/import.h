// Import: foreign wraps from a JSON Lines file, re-wrapped from somebody else's KEK to the keyset's
// in one pass.
#ifndef REWRAP_REKEY_IMPORT_H_
#define REWRAP_REKEY_IMPORT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "hsm/wrapping_key.h"
#include "rekey/keyset.h"

namespace rewrap {

// The most input problems that are listed one by one; all are counted.
inline constexpr std::size_t kMaxProblems = 20;

struct LineProblem {
  std::uint64_t line = 0;  // from 1
  Status what;
};

struct ImportReport {
  std::uint64_t lines = 0;
  std::uint64_t imported = 0;
  std::uint64_t skipped = 0;  // ids that the keyset already has, with skip_existing
  std::uint64_t quarantined =
      0;  // wraps that do not open under the foreign KEK: kept byte for byte
  std::uint64_t num_problems = 0;
  std::vector<LineProblem>
      problems;  // the first kMaxProblems; if there is any, nothing was imported
  double seconds = 0;
};

struct ImportOptions {
  std::string path;
  WrappingKey* from = nullptr;
  const Implementation* implementation = nullptr;
  bool skip_existing =
      false;  // pass over ids that are there already: how an interrupted import is finished
  ProgressFn progress;
};

// import_deks reads the file twice: first every line is checked, and the file refused as a whole if
// one is wrong (a report with problems, nothing imported); then the DEKs are re-wrapped and stored
// in groups, each group durable at once. Errors: kNotFound, kDenied, kIo (the file), the roots'
// own, the store's.
Result<ImportReport> import_deks(Store* store, const std::string& name, Keyring* keyring,
                                 const ImportOptions& options);

}  // namespace rewrap

#endif  // REWRAP_REKEY_IMPORT_H_
