// Reprotect, by the steps of protect.h.
#include "rekey/reprotect.h"

#include "rekey/keyset_lock.h"
#include "rekey/protect.h"

namespace rewrap {
namespace {

// make_all makes the protectors under the root that was asked for, and, if others are to stay, under
// every root that is bound to the same counter: they would be dead once it is raised.
Result<NewProtectors> make_all(Snapshot& snapshot, const KeysetRecord& keyset, Keyring* keyring,
                               const ReprotectOptions& options) {
  NewProtectors made;
  REWRAP_TRY(make_protectors(snapshot, keyset, keyring, {options.root_uri}, &made));
  const Protector& first = made.at(keyset.current_version).front();
  REWRAP_TRY(check_counter_is_free(snapshot, &keyset, keyring, first));
  if (!options.add) return made;
  REWRAP_ASSIGN(std::set<std::string> roots, roots_of_counter(snapshot, keyset, first));
  roots.erase(options.root_uri);
  const Status renewed =
      make_protectors(snapshot, keyset, keyring, {roots.begin(), roots.end()}, &made);
  if (renewed.ok()) return made;
  return renewed.with_hint(
      "another protector is bound to the same counter and has to be made anew too: mend that, or "
      "leave --add out to drop it");
}

}  // namespace

Result<ReprotectReport> reprotect(Store* store, const std::string& name, Keyring* keyring,
                                  const ReprotectOptions& options) {
  REWRAP_ASSIGN(auto snapshot, store->snapshot());
  REWRAP_ASSIGN(const KeysetRecord keyset, load_keyset(*snapshot, name, keyring));
  if (keyset.custody != Custody::kHost) {
    return Status(Errc::kRefused, "the KEKs of this keyset never leave their token",
                  "rewrap rekey --root URI moves the DEKs to a new KEK in another token");
  }
  const auto lock = KeysetLock::acquire(store->directory(), keyset.number);
  if (!lock.ok()) return lock.status();
  REWRAP_TRY(snapshot->refresh());
  REWRAP_ASSIGN(const NewProtectors made, make_all(*snapshot, keyset, keyring, options));
  snapshot.reset();
  REWRAP_ASSIGN(auto transaction, store->begin());
  REWRAP_TRY(reload_keyset(*transaction, name, *keyring).status());
  REWRAP_TRY(store_protectors(transaction.get(), keyset.number, made));
  REWRAP_TRY(transaction->commit());
  const OtherRoots others = options.add ? OtherRoots::kKeep : OtherRoots::kDrop;
  REWRAP_ASSIGN(const std::set<std::string> dropped,
                settle_protectors(store, keyset, keyring, made, others));

  ReprotectReport report;
  report.dropped_roots.assign(dropped.begin(), dropped.end());
  REWRAP_ASSIGN(snapshot, store->snapshot());
  for (const auto& entry : made) {
    REWRAP_ASSIGN(const ByteView stored, snapshot->kek_version(keyset.number, entry.first));
    REWRAP_ASSIGN(const KekVersionRecord record, decode_kek_version(stored));
    report.versions.push_back(entry.first);
    report.num_protectors = record.protectors.size();
  }
  return report;
}

}  // namespace rewrap
