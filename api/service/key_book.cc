// The table `keys`.
#include "api/service/key_book.h"

#include "api/service/root_resolver.h"

namespace rewrap {
namespace {

KeyInfo describe(const KeysetRecord& keyset, KekVersion version, const KekVersionRecord& record) {
  KeyInfo key;
  key.uuid = key_uuid(keyset.uuid, version);
  key.version = version;
  key.state = record.state;
  key.created_at = record.created_at;
  key.destroyed_at = record.destroyed_at;
  for (const Protector& protector : record.protectors) {
    key.protectors.push_back(
        {protector.root_uri, mechanism_name(protector.mechanism), protector.key_ref});
  }
  if (!record.protectors.empty())
    key.provider_id = provider_of_uri(record.protectors.front().root_uri);
  if (key.provider_id) key.management = KeyManagement::kExternal;
  return key;
}

Result<std::vector<KeyInfo>> keys_in_store(Store* store, const KeysetRecord& keyset) {
  REWRAP_ASSIGN(auto snapshot, store->snapshot());
  std::vector<KeyInfo> keys;
  REWRAP_TRY(snapshot->for_each_kek_version(
      keyset.number, [&](KekVersion version, ByteView value) -> Status {
        REWRAP_ASSIGN(const KekVersionRecord record, decode_kek_version(value));
        keys.push_back(describe(keyset, version, record));
        return {};
      }));
  return keys;
}

// A usable version may have been moved to another root since it was noted; a destroyed one stays
// what it was.
Status write_keys(Database& database, const Uuid& keyset, const std::vector<KeyInfo>& keys) {
  for (const KeyInfo& key : keys) {
    if (key.state != KekState::kUsable) continue;
    REWRAP_TRY(database.run(
        "INSERT INTO keys(keyset_uuid, version, management, provider_id, created_at)"
        " VALUES(?,?,?,?,?) ON CONFLICT DO UPDATE SET management = excluded.management,"
        " provider_id = excluded.provider_id",
        keyset, key.version, key.management, key.provider_id, key.created_at));
  }
  return {};
}

// recall fills in what was noted; `missing` says whether something is not noted as it is now.
Status recall(Database& database, const Uuid& keyset, std::vector<KeyInfo>* keys, bool* missing) {
  for (KeyInfo& key : *keys) {
    REWRAP_ASSIGN(Query query, database.query("SELECT management, provider_id FROM keys"
                                              " WHERE keyset_uuid = ? AND version = ?",
                                              keyset, key.version));
    REWRAP_ASSIGN(const bool found, query.next());
    if (key.state == KekState::kUsable) {
      const bool same = found && query.enumeration<KeyManagement>() == key.management &&
                        query.optional_i64() == key.provider_id;
      *missing = *missing || !same;
    } else if (found) {
      key.management = query.enumeration<KeyManagement>();
      key.provider_id = query.optional_i64();
    }
  }
  return {};
}

}  // namespace

Result<std::vector<KeyInfo>> read_keys(Store* store, ServiceDb* db, const KeysetRecord& keyset) {
  REWRAP_ASSIGN(std::vector<KeyInfo> keys, keys_in_store(store, keyset));
  bool missing = false;
  REWRAP_TRY(
      db->read([&](Database& database) { return recall(database, keyset.uuid, &keys, &missing); }));
  if (missing) {
    REWRAP_TRY(
        db->write([&](Database& database) { return write_keys(database, keyset.uuid, keys); }));
  }
  return keys;
}

Status note_keys(Store* store, ServiceDb* db, const KeysetRecord& keyset) {
  return read_keys(store, db, keyset).status();
}

}  // namespace rewrap
