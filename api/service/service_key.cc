// The table service_key.
#include "api/service/service_key.h"

namespace rewrap {

Result<std::optional<Protector>> read_service_key(ServiceDb* db) {
  Bytes stored;
  REWRAP_TRY(db->read([&](Database& database) -> Status {
    REWRAP_ASSIGN(Query query, database.query("SELECT protector FROM service_key"));
    REWRAP_ASSIGN(const bool found, query.next());
    if (found) stored = query.blob();
    return {};
  }));
  if (stored.empty()) return std::optional<Protector>();
  REWRAP_ASSIGN(Protector protector, decode_protector(stored));
  return std::optional<Protector>(std::move(protector));
}

Result<std::unique_ptr<SecretBox>> open_service_key(ServiceDb* db, Root* root) {
  REWRAP_ASSIGN(const std::optional<Protector> stored, read_service_key(db));
  if (stored) return SecretBox::open(root, *stored);
  Protector protector;
  REWRAP_ASSIGN(auto box, SecretBox::make(root, &protector));
  REWRAP_TRY(db->write([&](Database& database) {
    return database.run("INSERT INTO service_key(id, protector) VALUES(1, ?)",
                        encode_protector(protector));
  }));
  REWRAP_TRY(root->activate(protector));
  return box;
}

}  // namespace rewrap
