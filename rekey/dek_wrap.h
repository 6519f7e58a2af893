// How the DEKs of a keyset are wrapped: what a GCM wrap is bound to, and the IVs for new ones.
//
// A GCM wrap's additional data is the keyset's UUID and the DEK's id, so that it opens in its own
// record only. Its IV is the KEK version and a number that is never used twice under that version:
// KeysetRecord::gcm_wraps counts the numbers handed out, and a range is counted, durably, before
// the first wrap with a number of it is made. A crash loses numbers; it cannot repeat one.
#ifndef REWRAP_REKEY_DEK_WRAP_H_
#define REWRAP_REKEY_DEK_WRAP_H_

#include <cstdint>
#include <memory>

#include "engine/transform.h"
#include "rekey/keyring.h"
#include "rekey/records.h"
#include "rekey/segment.h"
#include "rekey/store.h"

namespace rewrap {

// dek_side is the side of a transform on which this keyset's wraps are. `ivs` is needed where DEKs
// are wrapped, and null for a keyset that is not GCM. The keyset must live until the transform is
// made.
inline WrapSide dek_side(const KeysetRecord& keyset, const Kek& kek, IvSource* ivs = nullptr) {
  return {keyset.algorithm, &kek, {keyset.uuid, ivs}};
}

// dek_aad is the additional data of a segment's wraps, from an ids column whose length was checked;
// the keyset's UUID, which dek_side has, stands before it. Transforms other than GCM do not look.
inline AadColumn dek_aad(ByteView ids) { return {ids, sizeof(DekId), kIdSlotLen}; }

// whole_aad is all of the additional data of one wrap, as an outsider needs it; empty unless GCM.
Bytes whole_aad(WrapAlgorithm algorithm, const DekId& keyset_uuid, const DekId& id);

// reserve_ivs gives `count` numbers under the keyset's current version, after a transaction of its
// own has made durable that they are taken. For a keyset that is not GCM it does nothing and gives
// null.
// Errors: kConflict   the keyset has moved to another version than `keyset` says
//               kExhausted  the version would make more than kMaxGcmWraps wraps
//               the store's; nothing may be wrapped then
Result<std::unique_ptr<IvSource>> reserve_ivs(Store* store, const KeysetRecord& keyset,
                                              const Keyring& keyring, std::uint64_t count);

}  // namespace rewrap

#endif  // REWRAP_REKEY_DEK_WRAP_H_
