// Export: the wrapped DEKs of a keyset as JSON Lines, as they are or re-wrapped under a given KEK.
#ifndef REWRAP_REKEY_EXPORT_H_
#define REWRAP_REKEY_EXPORT_H_

#include <cstdint>
#include <string>

#include "hsm/wrapping_key.h"
#include "rekey/keyset.h"

namespace rewrap {

struct ExportReport {
  std::uint64_t exported = 0;
  std::uint64_t quarantined =
      0;  // DEKs of the keyset that are in quarantine and so not in the file
  double seconds = 0;
};

struct ExportOptions {
  std::string path;           // must not exist
  WrappingKey* to = nullptr;  // null: as they are, with their KEK version; GCM wraps become KW
  const Implementation* implementation = nullptr;
  ProgressFn progress;
};

// export_deks writes one line per DEK, segments in order, to a file of mode 0600 that appears whole
// or not at all.
// Errors: kAlreadyExists  the file is there
//         kCorruption     a segment or a DEK is damaged; no file is left
//         the roots' own, the store's, the file system's
Result<ExportReport> export_deks(Store* store, const std::string& name, Keyring* keyring,
                                 const ExportOptions& options);

}  // namespace rewrap

#endif  // REWRAP_REKEY_EXPORT_H_
