// The census (how many DEKs are under each KEK version) and the gate that guards decommissioning
// (R4). Any thread.
#ifndef REWRAP_REKEY_CENSUS_H_
#define REWRAP_REKEY_CENSUS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "rekey/keyring.h"
#include "rekey/records.h"
#include "rekey/store.h"

namespace rewrap {

struct VersionCount {
  KekVersion version = 0;
  KekState state = KekState::kUsable;
  std::uint64_t created_at = 0;
  std::uint64_t deks = 0;         // live DEKs in segments that name this version
  std::uint64_t quarantined = 0;  // damaged DEKs kept under this version
  std::uint64_t segments = 0;
  std::vector<std::string> key_refs = {};  // Protector::key_ref of each protector that is left
};

struct Census {
  KeysetRecord keyset;
  std::vector<VersionCount> versions;     // in order of version
  std::uint64_t foreign_quarantined = 0;  // damaged at import, under nobody's version
  std::uint64_t unreadable_segments = 0;  // their header cannot be read, or they are missing

  [[nodiscard]] std::uint64_t quarantined() const;
};

// take_census counts from the segments' headers; it needs no key and so does not authenticate
// (verify does).
Result<Census> take_census(Snapshot& snapshot, const std::string& name);

// decommission destroys KEK version `version`: its protectors and MAC key leave the store, and then
// a root that keeps the KEK itself removes it. If only the latter failed, run it again.
// Errors: kRefused   the gate's reasons, one message each: the version is current;
// a rekey is unfinished; a segment or a
//                    quarantined DEK still needs it; a segment cannot be read; no clean verify
//                    under the current version
//         kNotFound  no such version, or already destroyed
//         kConflict  a rekey of this keyset is running
Status decommission(Store* store, const std::string& name, KekVersion version, Keyring* keyring);

struct QuarantinedDek {
  DekId id{};
  QuarantineRecord record;
};

// list_quarantine gives the damaged DEKs of a keyset in order of id.
Result<std::vector<QuarantinedDek>> list_quarantine(Store* store, const std::string& name);

// drop_quarantine gives damaged DEKs up for good: those named, or all if `ids` is empty. Gives the
// number dropped. Errors: kNotFound if a named id is not in quarantine; nothing is dropped then.
Result<std::uint64_t> drop_quarantine(Store* store, const std::string& name,
                                      const std::vector<DekId>& ids);

}  // namespace rewrap

#endif  // REWRAP_REKEY_CENSUS_H_
