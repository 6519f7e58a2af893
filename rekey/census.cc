// Counting, quarantine, and the gate.
#include "rekey/census.h"

#include <algorithm>

#include "rekey/dek_wrap.h"
#include "rekey/keyset_lock.h"
#include "rekey/segment.h"

namespace rewrap {
namespace {

VersionCount* find_version(Census* census, KekVersion version) {
  const auto at = std::find_if(census->versions.begin(), census->versions.end(),
                               [&](const VersionCount& count) { return count.version == version; });
  return at == census->versions.end() ? nullptr : &*at;
}

Status count_segments(Snapshot& snapshot, Census* census) {
  const KeysetRecord& keyset = census->keyset;
  std::uint64_t seen = 0;
  REWRAP_TRY(snapshot.for_each_segment(
      keyset.number, [&](SegmentNumber segment, ByteView value) -> Status {
        ++seen;
        const auto view = parse_segment(value, keyset.uuid, segment);
        VersionCount* count = view.ok() ? find_version(census, view->header.version) : nullptr;
        if (count == nullptr) {
          ++census->unreadable_segments;
          return {};
        }
        ++count->segments;
        count->deks += view->header.live;
        return {};
      }));
  if (seen < keyset.num_segments) census->unreadable_segments += keyset.num_segments - seen;
  return {};
}

// gate gives ok if nothing needs `version` any more, else the first reason to refuse.
Status gate(const Census& census, const VersionCount& count) {
  const KeysetRecord& keyset = census.keyset;
  if (count.version == keyset.current_version) {
    return Status(Errc::kRefused, "this is the current KEK version",
                  "rewrap rekey makes a new one first");
  }
  if (keyset.rekey_target != 0) {
    return Status(Errc::kRefused, "a rekey of this keyset is not finished",
                  "run rewrap rekey again to finish it");
  }
  if (census.unreadable_segments != 0) {
    return Status(Errc::kRefused,
                  "some segments cannot be read, so nobody knows which version they need",
                  "run rewrap verify and restore what it names");
  }
  if (count.segments != 0) {
    return Status(Errc::kRefused, "DEKs still need this KEK version",
                  "rewrap census counts them; rewrap rekey moves them");
  }
  if (count.quarantined != 0) {
    return Status(Errc::kRefused, "DEKs in quarantine still need this KEK version",
                  "rewrap quarantine list shows them; import good copies, or drop them");
  }
  if (keyset.verified_version != keyset.current_version) {
    return Status(Errc::kRefused, "no clean verify has been run since the rekey",
                  "run rewrap verify, then this again");
  }
  return {};
}

Result<KekVersionRecord> read_version(Snapshot& snapshot, KeysetNumber keyset, KekVersion version) {
  REWRAP_ASSIGN(const ByteView stored, snapshot.kek_version(keyset, version));
  return decode_kek_version(stored);
}

Status check_gate(Snapshot& snapshot, const std::string& name, KekVersion version,
                  KekVersionRecord* record) {
  REWRAP_ASSIGN(Census census, take_census(snapshot, name));
  const VersionCount* count = find_version(&census, version);
  if (count == nullptr) {
    return Status(Errc::kNotFound, "the keyset has no such KEK version",
                  "rewrap census lists its versions");
  }
  REWRAP_ASSIGN(*record, read_version(snapshot, census.keyset.number, version));
  // With protectors left, a root has yet to remove its key.
  if (record->state == KekState::kDestroyed && record->protectors.empty())
    return Status(Errc::kNotFound, "this KEK version was decommissioned before");
  return gate(census, *count);
}

// mark_destroyed commits that nobody is to use the version again. What stays in the record is what
// its roots have to remove.
Status mark_destroyed(std::unique_ptr<Transaction> transaction, KeysetNumber keyset,
                      KekVersion version, KekVersionRecord* record) {
  if (record->state == KekState::kDestroyed) return {};
  record->state = KekState::kDestroyed;
  record->destroyed_at = now_seconds();
  record->mac_key_wrap.clear();
  std::erase_if(record->protectors,
                [](const Protector& protector) { return !root_keeps_state(protector.mechanism); });
  REWRAP_TRY(transaction->put_kek_version(keyset, version, encode(*record)));
  return transaction->commit();
}

// remove_keys lets the roots remove what they keep, and then forgets the protectors.
Status remove_keys(Store* store, const KeysetRecord& keyset, KekVersion version,
                   KekVersionRecord* record, Keyring* keyring) {
  if (record->protectors.empty()) return {};
  const Status removed = keyring->destroy(keyset, version, *record);
  if (removed.code() == Errc::kCorruption) {
    return removed.with_hint(
        "no DEK needs the KEK any more, but its token has another key under its name: see which of "
        "its rewrap-kek-... objects no store needs, and remove it by the token's own tools");
  }
  if (removed.code() == Errc::kDenied) {
    return removed.with_hint(
        "no DEK needs the KEK any more, but its token still has it: see to the PIN, then run the "
        "same command again");
  }
  if (!removed.ok()) {
    return removed.with_hint(
        "no DEK needs the KEK any more, but its token still has it: run the same command again");
  }
  record->protectors.clear();
  REWRAP_ASSIGN(auto transaction, store->begin());
  REWRAP_TRY(transaction->put_kek_version(keyset.number, version, encode(*record)));
  return transaction->commit();
}

}  // namespace

std::uint64_t Census::quarantined() const {
  std::uint64_t sum = foreign_quarantined;
  for (const VersionCount& count : versions) sum += count.quarantined;
  return sum;
}

Result<Census> take_census(Snapshot& snapshot, const std::string& name) {
  Census census;
  REWRAP_ASSIGN(census.keyset, peek_keyset(snapshot, name));
  const KeysetNumber number = census.keyset.number;
  REWRAP_TRY(
      snapshot.for_each_kek_version(number, [&](KekVersion version, ByteView stored) -> Status {
        REWRAP_ASSIGN(const KekVersionRecord record, decode_kek_version(stored));
        census.versions.push_back({version, record.state, record.created_at});
        for (const Protector& protector : record.protectors)
          census.versions.back().key_refs.push_back(protector.key_ref);
        return {};
      }));
  REWRAP_TRY(count_segments(snapshot, &census));
  REWRAP_TRY(snapshot.for_each_quarantined(number, [&](const DekId&, ByteView stored) -> Status {
    REWRAP_ASSIGN(const QuarantineRecord record, decode_quarantine(stored));
    VersionCount* count = find_version(&census, record.version);
    ++(count == nullptr ? census.foreign_quarantined : count->quarantined);
    return {};
  }));
  return census;
}

Status decommission(Store* store, const std::string& name, KekVersion version, Keyring* keyring) {
  KekVersionRecord record;
  REWRAP_ASSIGN(auto snapshot, store->snapshot());
  REWRAP_TRY(
      check_gate(*snapshot, name, version, &record));  // before the root is asked for anything
  REWRAP_ASSIGN(const KeysetRecord keyset, load_keyset(*snapshot, name, keyring));
  snapshot.reset();
  const auto lock = KeysetLock::acquire(store->directory(), keyset.number);
  if (!lock.ok()) return lock.status();
  // What counts is the gate in the transaction, with the keyset's record authenticated: no rekey
  // can start now, and no new DEK can come under an old version (R3).
  REWRAP_ASSIGN(auto transaction, store->begin());
  REWRAP_TRY(reload_keyset(*transaction, name, *keyring).status());
  REWRAP_TRY(check_gate(*transaction, name, version, &record));
  // First the store gives the KEK up, then its token does: a crash in between leaves a key that
  // nothing names as usable, and that the next call removes; never a name without a key.
  REWRAP_TRY(mark_destroyed(std::move(transaction), keyset.number, version, &record));
  return remove_keys(store, keyset, version, &record, keyring);
}

Result<std::vector<QuarantinedDek>> list_quarantine(Store* store, const std::string& name) {
  REWRAP_ASSIGN(auto snapshot, store->snapshot());
  REWRAP_ASSIGN(const KeysetRecord keyset, peek_keyset(*snapshot, name));
  std::vector<QuarantinedDek> deks;
  REWRAP_TRY(snapshot->for_each_quarantined(
      keyset.number, [&](const DekId& id, ByteView stored) -> Status {
        REWRAP_ASSIGN(QuarantineRecord record, decode_quarantine(stored));
        if (record.version != 0) record.aad = whole_aad(record.algorithm, keyset.uuid, id);
        deks.push_back({id, std::move(record)});
        return {};
      }));
  return deks;
}

Result<std::uint64_t> drop_quarantine(Store* store, const std::string& name,
                                      const std::vector<DekId>& ids) {
  std::vector<DekId> victims = ids;
  if (victims.empty()) {
    REWRAP_ASSIGN(const auto all, list_quarantine(store, name));
    for (const QuarantinedDek& dek : all) victims.push_back(dek.id);
  }
  REWRAP_ASSIGN(auto transaction, store->begin());
  REWRAP_ASSIGN(const KeysetRecord keyset, peek_keyset(*transaction, name));
  for (const DekId& id : victims) {
    const Status dropped = transaction->drop_quarantined(keyset.number, id);
    if (dropped.code() == Errc::kNotFound)
      return Status(Errc::kNotFound, "a DEK named is not in quarantine");
    REWRAP_TRY(dropped);
    const Status forgotten =
        transaction->drop_location(keyset.number, id);  // absent if it was damaged at import
    if (!forgotten.ok() && forgotten.code() != Errc::kNotFound) return forgotten;
  }
  REWRAP_TRY(transaction->commit());
  return victims.size();
}

}  // namespace rewrap
