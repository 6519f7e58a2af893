// New protectors for the KEK versions of a keyset: made, stored beside the old ones, made valid, and
// then the old ones dropped. What rekey and reprotect have in common.
//
// The order makes every crash harmless: at every instant at least one protector of each KEK version
// opens. Of those bound to a counter (a TPM's; counter_of) it is one set exactly: the old ones until
// settle_protectors activates the new ones, which kills the old. So whatever is bound to the same
// counter and still needed is made anew in the same go, under each of its URIs. A crash between these
// two steps is made good by Keyring::open, which activates what it finds stored.
#ifndef REWRAP_REKEY_PROTECT_H_
#define REWRAP_REKEY_PROTECT_H_

#include <map>
#include <set>
#include <string>
#include <vector>

#include "rekey/keyring.h"
#include "rekey/store.h"

namespace rewrap {

using NewProtectors = std::map<KekVersion, std::vector<Protector>>;

// make_protectors makes a protector under each of the roots for every usable version of the keyset,
// all of which are opened, and puts it behind those that `made` has for the version.
// Errors: as Keyring::open and Root::protect.
Status make_protectors(Snapshot& snapshot, const KeysetRecord& keyset, Keyring* keyring,
                       const std::vector<std::string>& root_uris, NewProtectors* made);

// roots_of_counter gives the URIs of all protectors of the keyset's usable versions that are bound to
// the same counter as `protector`; none if that has no counter.
Result<std::set<std::string>> roots_of_counter(Snapshot& snapshot, const KeysetRecord& keyset,
                                               const Protector& protector);

// check_counter_is_free refuses a new protector, not stored yet, that is bound to a counter which may
// be another keyset's: each rekey of the one would kill the other's protectors. That of another store
// is not to be seen, so a counter is free only if it was made for this protector, or if the keyset is
// bound to it already. `keyset` is null for a keyset that is not stored yet.
// Errors: kRefused.
Status check_counter_is_free(Snapshot& snapshot, const KeysetRecord* keyset, Keyring* keyring,
                             const Protector& protector);

// store_protectors puts them in front of those that are there.
// Errors: kExhausted  a version would have more than kMaxProtectors
//         kConflict   a version was decommissioned in the meantime
Status store_protectors(Transaction* transaction, KeysetNumber keyset,
                        const NewProtectors& protectors);

enum class OtherRoots { kKeep, kDrop };

// settle_protectors makes stored protectors valid, proves that those which could not be opened before
// give the right KEK, and then drops those that they replace: all others, or, with kKeep, the others
// of the same root URIs, and those that the counter has killed. Every version must be open. Gives the
// URIs of the roots that protect a version no more.
Result<std::set<std::string>> settle_protectors(Store* store, const KeysetRecord& keyset,
                                                Keyring* keyring, const NewProtectors& protectors,
                                                OtherRoots others);

}  // namespace rewrap

#endif  // REWRAP_REKEY_PROTECT_H_
