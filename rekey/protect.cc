// The three steps by which new protectors take the place of old ones.
#include "rekey/protect.h"

#include <algorithm>
#include <functional>
#include <utility>

namespace rewrap {
namespace {

Result<KekVersionRecord> read_usable_version(Snapshot& snapshot, KeysetNumber keyset,
                                             KekVersion version) {
  REWRAP_ASSIGN(const ByteView stored, snapshot.kek_version(keyset, version));
  REWRAP_ASSIGN(KekVersionRecord record, decode_kek_version(stored));
  if (record.state != KekState::kUsable) {
    return Status(Errc::kConflict, "a KEK version was decommissioned in the meantime",
                  "run the same command again");
  }
  return record;
}

bool is_same(const Protector& a, const Protector& b) {
  return encode_protector(a) == encode_protector(b);
}

bool shares_counter(const Protector& a, const Protector& b) {
  return !counter_of(a).empty() && counter_of(a) == counter_of(b);
}

// is_replaced says whether a new protector takes the place of `old`: made under the same URI, or by
// the same key and counter, which opens no older one any more.
bool is_replaced(const Protector& old, const Protector& made) {
  return old.root_uri == made.root_uri ||
         (shares_counter(old, made) && old.key_ref == made.key_ref);
}

// prove_counted opens what could not be opened when it was made, while the KEKs are in hand.
Status prove_counted(const KeysetRecord& keyset, Keyring* keyring,
                     const NewProtectors& protectors) {
  for (const auto& [version, made] : protectors) {
    for (const Protector& protector : made) {
      if (counter_of(protector).empty()) continue;
      const Status proven = keyring->prove(keyset, version, protector);
      if (proven.ok()) continue;
      return proven.with_hint(
          "the counter is raised, and what it was raised for does not open: keep this store as it "
          "is, and open the KEK by a protector of another root, with --recover");
    }
  }
  return {};
}

Status for_each_usable_version(Snapshot& snapshot, KeysetNumber keyset,
                               const std::function<Status(KekVersion, KekVersionRecord&)>& visit) {
  return snapshot.for_each_kek_version(keyset, [&](KekVersion version, ByteView stored) -> Status {
    REWRAP_ASSIGN(KekVersionRecord record, decode_kek_version(stored));
    return record.state == KekState::kUsable ? visit(version, record) : Status();
  });
}

}  // namespace

Status make_protectors(Snapshot& snapshot, const KeysetRecord& keyset, Keyring* keyring,
                       const std::vector<std::string>& root_uris, NewProtectors* made) {
  std::vector<KekVersion> versions;
  REWRAP_TRY(for_each_usable_version(snapshot, keyset.number,
                                     [&](KekVersion version, const KekVersionRecord&) -> Status {
                                       versions.push_back(version);
                                       return {};
                                     }));
  for (const KekVersion version : versions) {
    REWRAP_TRY(keyring->open(snapshot, keyset, version).status());
    for (const std::string& root_uri : root_uris) {
      REWRAP_ASSIGN(Protector protector, keyring->protect(keyset, version, root_uri));
      (*made)[version].push_back(std::move(protector));
    }
  }
  return {};
}

Result<std::set<std::string>> roots_of_counter(Snapshot& snapshot, const KeysetRecord& keyset,
                                               const Protector& protector) {
  std::set<std::string> roots;
  REWRAP_TRY(for_each_usable_version(snapshot, keyset.number,
                                     [&](KekVersion, const KekVersionRecord& record) -> Status {
                                       for (const Protector& other : record.protectors)
                                         if (shares_counter(other, protector))
                                           roots.insert(other.root_uri);
                                       return {};
                                     }));
  return roots;
}

Status check_counter_is_free(Snapshot& snapshot, const KeysetRecord* keyset, Keyring* keyring,
                             const Protector& protector) {
  if (counter_of(protector).empty()) return {};
  std::vector<KeysetNumber> others;
  REWRAP_TRY(snapshot.for_each_keyset([&](ByteView stored) -> Status {
    const auto other = read_keyset(stored);
    const bool is_other = other.ok() && (keyset == nullptr || other->number != keyset->number);
    if (is_other) others.push_back(other->number);
    return {};
  }));
  for (const KeysetNumber number : others) {
    REWRAP_TRY(snapshot.for_each_kek_version(number, [&](KekVersion, ByteView stored) -> Status {
      const auto record = decode_kek_version(stored);
      const bool taken =
          record.ok() &&
          std::any_of(record->protectors.begin(), record->protectors.end(),
                      [&](const Protector& other) { return other.key_ref == protector.key_ref; });
      if (!taken) return {};
      return {Errc::kRefused, "another keyset is bound to this counter already",
              "name a counter= of its own for each keyset"};
    }));
  }
  REWRAP_ASSIGN(const bool is_new, keyring->made_counter(protector));
  if (is_new) return {};
  if (keyset != nullptr) {
    REWRAP_ASSIGN(const std::set<std::string> own, roots_of_counter(snapshot, *keyset, protector));
    if (!own.empty()) return {};
  }
  return {
      Errc::kRefused,
      "the TPM's counter is there already, and a keyset of another store may need it",
      "name a counter= of its own for each keyset; tpm2_nvundefine frees one that no store needs"};
}

Status store_protectors(Transaction* transaction, KeysetNumber keyset,
                        const NewProtectors& protectors) {
  for (const auto& [version, made] : protectors) {
    REWRAP_ASSIGN(KekVersionRecord record, read_usable_version(*transaction, keyset, version));
    if (record.protectors.size() + made.size() > kMaxProtectors) {
      return {Errc::kExhausted, "a KEK version has as many protectors as it may (8)",
              "rewrap reprotect without --add drops the others"};
    }
    record.protectors.insert(record.protectors.begin(), made.begin(), made.end());
    REWRAP_TRY(transaction->put_kek_version(keyset, version, encode(record)));
  }
  return {};
}

Result<std::set<std::string>> settle_protectors(Store* store, const KeysetRecord& keyset,
                                                Keyring* keyring, const NewProtectors& protectors,
                                                OtherRoots others) {
  for (const auto& [version, made] : protectors)
    for (const Protector& protector : made) REWRAP_TRY(keyring->activate(protector));
  REWRAP_TRY(prove_counted(keyset, keyring, protectors));
  std::set<std::string> dropped;
  REWRAP_ASSIGN(auto transaction, store->begin());
  for (const auto& [version, made] : protectors) {
    REWRAP_ASSIGN(KekVersionRecord record,
                  read_usable_version(*transaction, keyset.number, version));
    std::erase_if(record.protectors, [&, &made = made](const Protector& old) {
      const auto any = [&](auto&& holds) { return std::any_of(made.begin(), made.end(), holds); };
      if (any([&](const Protector& mine) { return is_same(old, mine); })) return false;
      const bool goes = others == OtherRoots::kDrop ||
                        any([&](const Protector& mine) { return is_replaced(old, mine); });
      const bool has_heir = any([&](const Protector& m) { return m.root_uri == old.root_uri; });
      if (goes && !has_heir) dropped.insert(old.root_uri);
      return goes;
    });
    REWRAP_TRY(transaction->put_kek_version(keyset.number, version, encode(record)));
  }
  REWRAP_TRY(transaction->commit());
  return dropped;
}

}  // namespace rewrap
