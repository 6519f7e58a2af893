// Keysets and the DEKs in them: create, add, generate, look up. Functions may be called from any
// thread; each takes its own snapshot or transaction.
#ifndef REWRAP_REKEY_KEYSET_H_
#define REWRAP_REKEY_KEYSET_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "engine/implementation.h"
#include "rekey/keyring.h"
#include "rekey/records.h"
#include "rekey/segment.h"
#include "rekey/store.h"

namespace rewrap {

// Progress is told now and then by long operations, from the calling thread.
struct Progress {
  std::uint64_t done = 0;
  std::uint64_t total = 0;
};
using ProgressFn = std::function<void(const Progress&)>;

struct NewKeyset {
  std::string name;
  std::string root_uri;
  WrapAlgorithm algorithm = WrapAlgorithm::kKw;
  std::size_t dek_len = 32;
  Custody custody = Custody::kHost;
  // KEK version 1, if it is not to be a new one: sealed by tpm2-tools, under the key that root_uri
  // names. Not for GCM, whose IVs must not come twice under a key, whoever else has used it.
  std::optional<SealedFiles> sealed_kek = {};
};

// create_keyset makes a keyset with KEK version 1 under the root. If the root cannot make the stored
// protector valid the keyset is there all the same, and Keyring::broken says why. Errors: kInvalidArgument,
// kAlreadyExists, the root's own; kUnsupported if the root cannot keep KEKs and the custody asks
// for that.
Result<KeysetRecord> create_keyset(Store* store, const NewKeyset& request, Keyring* keyring);

// list_keysets gives all keysets, unauthenticated, in order of name.
Result<std::vector<KeysetRecord>> list_keysets(Store* store);

// find_sealed_kek gives the protector by which a TPM gives a KEK version back (0: the current one),
// the newest if there are several. It is read and not opened.
// Errors: kNotFound  there is no such version, or no TPM seals it
Result<Protector> find_sealed_kek(Store* store, const std::string& name, KekVersion version);

// The most DEKs that one append takes, and so one transaction: 64 segments.
inline constexpr std::size_t kMaxAppendDeks = 64 * kMaxSegmentDeks;

// ForeignDamage is a DEK that did not open at import, in its foreign wrap.
struct ForeignDamage {
  DekId id{};
  WrapAlgorithm algorithm = WrapAlgorithm::kKw;
  Bytes wrap;
  Bytes aad = {};  // of a GCM wrap
};

// NewDeks are wraps under one KEK version, ready to be stored. GCM wraps have their IVs from
// reserve_ivs (dek_wrap.h).
struct NewDeks {
  KekVersion version = 0;
  std::size_t dek_len = 0;
  std::vector<DekId> ids;
  Bytes wraps;                              // in the order of `ids`
  std::vector<ForeignDamage> damaged = {};  // to be put in quarantine in the same transaction
};

// append_deks adds DEKs to a keyset, and the damaged ones to its quarantine, in one transaction:
// the last segment is filled up, then new ones are made. An id whose DEK is in quarantine is taken
// anew: that is how a damaged DEK is replaced by a good copy.
// Errors: kAlreadyExists  an id is in
// the keyset; nothing was added
//         kConflict       `version` is no longer current (R3): wrap again under the new one
Status append_deks(Store* store, const std::string& name, const Keyring& keyring,
                   const NewDeks& deks);

// generate_deks makes `count` new random DEKs and gives their ids.
Result<std::vector<DekId>> generate_deks(Store* store, const std::string& name, Keyring* keyring,
                                         std::uint64_t count, std::size_t dek_len,
                                         const Implementation& implementation,
                                         const ProgressFn& progress);

// A wrapped DEK as it is stored.
struct WrappedDek {
  DekId id{};
  WrapAlgorithm algorithm = WrapAlgorithm::kKw;
  KekVersion version = 0;
  std::size_t dek_len = 0;
  std::uint64_t created_at = 0;
  Bytes wrap;
  Bytes aad = {};  // the whole additional data of a GCM wrap
};

// get_dek looks a DEK up. With a keyring the segment is authenticated; without (null) the wrap is
// given as found.
// Errors: kNotFound  no such DEK
//         kIntegrity it is in quarantine
Result<WrappedDek> get_dek(Store* store, const std::string& name, const DekId& id,
                           Keyring* keyring);

// DekPosition is a place in a keyset's list of DEKs: the slot that comes next.
struct DekPosition {
  SegmentNumber segment = 0;
  std::uint32_t slot = 0;
};

// What is known of a DEK without its wrap.
struct DekInfo {
  DekId id{};
  WrapAlgorithm algorithm = WrapAlgorithm::kKw;
  KekVersion version = 0;
  std::size_t dek_len = 0;
  std::uint64_t created_at = 0;
};

struct DekPage {
  std::vector<DekInfo> deks;
  std::optional<DekPosition> next;  // none: this was the last page
};

// list_deks gives up to `max` DEKs (at least 1) from `from` on, without those in quarantine, in an
// order that a rekey does not change. Pages are read one by one: a DEK that is added between two of
// them comes later or not at all. Reads the store only; nothing is authenticated (verify does).
// Errors: kNotFound    no such keyset
//         kCorruption  a segment cannot be read
Result<DekPage> list_deks(Store* store, const std::string& name, DekPosition from, std::size_t max);

}  // namespace rewrap

#endif  // REWRAP_REKEY_KEYSET_H_
