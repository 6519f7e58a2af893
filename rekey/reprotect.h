// Reprotect: the same KEKs, guarded by another root key. No DEK is touched, so it takes as long for a
// million DEKs as for one.
//
// The order makes every crash harmless: the new protectors are stored beside the old ones; the root
// makes them valid (a TPM's counter; other roots have nothing to do); the old ones are dropped. At
// every instant at least one protector of each KEK version opens.
#ifndef REWRAP_REKEY_REPROTECT_H_
#define REWRAP_REKEY_REPROTECT_H_

#include <cstddef>
#include <string>
#include <vector>

#include "rekey/keyring.h"
#include "rekey/store.h"

namespace rewrap {

struct ReprotectOptions {
  std::string root_uri;  // the root that is to guard the KEKs from now on
  bool add = false;      // keep the protectors under other roots as well; any one of them will do
};

struct ReprotectReport {
  std::vector<KekVersion> versions;        // those that have a new protector, in order
  std::size_t num_protectors = 0;          // that each of them has now
  std::vector<std::string> dropped_roots;  // URIs that open none of them any more
};

// reprotect gives every usable KEK version of a keyset a protector under the root `root_uri`. One
// that was there under the same URI is replaced: so a KEK is sealed anew after a TPM's registers
// have changed, once it was opened through another of its protectors. With `add`, protectors under
// other URIs that are bound to the same counter are made anew too, since raising it kills the old.
// Errors: kRefused   the keyset's KEKs stay in their token, and no protector can hold them
//         kConflict  a rekey of this keyset runs now
//         kExhausted a KEK version has kMaxProtectors already
//         kRefused   the counter of the new root may be another keyset's
//         the roots' own, of the old and of the new one. If making failed nothing has changed. If
//         making them valid did, the new ones are stored beside the old, and whatever opens the
//         keyset next goes on from there.
Result<ReprotectReport> reprotect(Store* store, const std::string& name, Keyring* keyring,
                                  const ReprotectOptions& options);

}  // namespace rewrap

#endif  // REWRAP_REKEY_REPROTECT_H_
