// The tables. Times are seconds since 1970; 0 or NULL where there is none. Enumerations are stored
// by their numbers. What must stay secret is sealed (secret_box.h) in columns named sealed_...
#include "api/service/service_db.h"

#include <array>

namespace rewrap {
namespace {

// One statement each, since a statement ends where SQLite says so.
constexpr auto kTables = std::to_array<Literal>({
    "CREATE TABLE cluster(id INTEGER PRIMARY KEY CHECK(id = 1), uuid BLOB NOT NULL) STRICT",

    // AUTOINCREMENT: handles and ids are never used again.
    "CREATE TABLE jobs(handle INTEGER PRIMARY KEY AUTOINCREMENT, uuid BLOB NOT NULL UNIQUE,"
    " kind INTEGER NOT NULL, state INTEGER NOT NULL, phase INTEGER NOT NULL,"
    " request INTEGER NOT NULL, origin INTEGER NOT NULL, description TEXT NOT NULL,"
    " user TEXT NOT NULL, keyset TEXT NOT NULL, keyset_uuid BLOB NOT NULL,"
    " from_version INTEGER NOT NULL, to_version INTEGER NOT NULL, rate_limit REAL NOT NULL,"
    " decommission INTEGER NOT NULL, done INTEGER NOT NULL, total INTEGER NOT NULL,"
    " rate REAL NOT NULL, seconds_left REAL NOT NULL, quarantined INTEGER NOT NULL,"
    " damaged_segments INTEGER NOT NULL, created_at INTEGER NOT NULL,"
    " started_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, ended_at INTEGER NOT NULL,"
    " keep_until INTEGER NOT NULL, purged INTEGER NOT NULL, error_reason INTEGER NOT NULL,"
    " error_code INTEGER NOT NULL, error_message TEXT NOT NULL, error_hint TEXT NOT NULL,"
    // What the job is to do, beside what a front end may see.
    " root_uri TEXT NOT NULL, version INTEGER NOT NULL, aws_kms BLOB, aws_key_id TEXT NOT NULL)"
    " STRICT",
    "CREATE INDEX jobs_by_state ON jobs(state)",
    // R6, whatever the code does: one rekey of a keyset at a time that has not ended.
    "CREATE UNIQUE INDEX one_rekey ON jobs(keyset_uuid) WHERE kind = 1 AND state < 4",

    // What a KEK version was stays known after it is destroyed.
    "CREATE TABLE keys(keyset_uuid BLOB NOT NULL, version INTEGER NOT NULL,"
    " management INTEGER NOT NULL, provider_id INTEGER, created_at INTEGER NOT NULL,"
    " PRIMARY KEY(keyset_uuid, version)) STRICT",

    "CREATE TABLE admin_deks(dek BLOB NOT NULL PRIMARY KEY, keyset_uuid BLOB NOT NULL) STRICT",
    "CREATE INDEX admin_deks_by_keyset ON admin_deks(keyset_uuid)",

    "CREATE TABLE nodes(name TEXT NOT NULL PRIMARY KEY, uuid BLOB NOT NULL UNIQUE,"
    " registered_at INTEGER NOT NULL, last_heartbeat INTEGER NOT NULL) STRICT",

    "CREATE TABLE accounts(id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE,"
    " role INTEGER NOT NULL, salt BLOB, hash BLOB, scrypt_n INTEGER, scrypt_r INTEGER,"
    " scrypt_p INTEGER, certificate_subject TEXT UNIQUE, created_at INTEGER NOT NULL) STRICT",

    "CREATE TABLE service_key(id INTEGER PRIMARY KEY CHECK(id = 1), protector BLOB NOT NULL)"
    " STRICT",

    "CREATE TABLE aws_kms(uuid BLOB NOT NULL PRIMARY KEY, keyset_uuid BLOB NOT NULL UNIQUE,"
    " keyset TEXT NOT NULL, region TEXT NOT NULL, key_id TEXT NOT NULL,"
    " access_key_id TEXT NOT NULL, sealed_secret_access_key BLOB NOT NULL,"
    " service TEXT NOT NULL, default_domain TEXT NOT NULL, host TEXT NOT NULL, port INTEGER,"
    " polling_period INTEGER, timeout INTEGER, verify INTEGER, verify_host INTEGER,"
    " verify_ip INTEGER, proxy_type INTEGER, proxy_host TEXT NOT NULL, proxy_port INTEGER,"
    " proxy_username TEXT NOT NULL, sealed_proxy_password BLOB NOT NULL,"
    " encryption_context TEXT NOT NULL, created_at INTEGER NOT NULL) STRICT",

    "CREATE TABLE kmip_key_pair(id INTEGER PRIMARY KEY CHECK(id = 1),"
    " sealed_private_key BLOB NOT NULL, request TEXT NOT NULL, public_key BLOB NOT NULL,"
    " created_at INTEGER NOT NULL) STRICT",
    "CREATE TABLE kmip_providers(id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL) STRICT",
    "CREATE TABLE kmip_servers(id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL,"
    " provider_id INTEGER REFERENCES kmip_providers(id), port INTEGER NOT NULL,"
    " ca_pem TEXT NOT NULL, certificate_pem TEXT NOT NULL) STRICT",
    "CREATE TABLE kmip_hosts(server_id INTEGER NOT NULL REFERENCES kmip_servers(id)"
    " ON DELETE CASCADE, place INTEGER NOT NULL, host TEXT NOT NULL,"
    " PRIMARY KEY(server_id, place)) STRICT",

    "PRAGMA user_version = 1",
});

Result<std::int64_t> read_number(Database* database, Literal sql) {
  REWRAP_ASSIGN(Query query, database->query(sql));
  REWRAP_ASSIGN(const bool found, query.next());
  if (!found) return Status(Errc::kInternal, "SQLite gave no answer to a PRAGMA");
  return query.i64();
}

// make_tables begins a new database. Two processes may do so at once: the second finds it done.
Status make_tables(Database* database) {
  REWRAP_ASSIGN(WriteScope scope, WriteScope::begin(database));
  REWRAP_ASSIGN(const std::int64_t version, read_number(database, "PRAGMA user_version"));
  if (version > kSchemaVersion) {
    return Status(Errc::kUnsupported, "the service's database was written by a newer version",
                  "use the program that wrote it");
  }
  if (version == kSchemaVersion) return {};
  for (const Literal statement : kTables) REWRAP_TRY(database->run(statement));
  REWRAP_ASSIGN(const Uuid cluster, random_uuid());
  REWRAP_TRY(database->run("INSERT INTO cluster(id, uuid) VALUES(1, ?)", cluster));
  return scope.commit();
}

}  // namespace

Result<std::unique_ptr<ServiceDb>> ServiceDb::open(const std::string& directory) {
  const std::string path = directory + "/service.db";
  REWRAP_ASSIGN(Database writer, Database::open(path, Durability::kFull));
  REWRAP_TRY(writer.check_integrity());
  REWRAP_TRY(make_tables(&writer));
  REWRAP_ASSIGN(Database noter, Database::open(path, Durability::kRelaxed));
  REWRAP_ASSIGN(Database reader, Database::open(path, Durability::kFull));
  return std::unique_ptr<ServiceDb>(
      new ServiceDb(std::move(writer), std::move(noter), std::move(reader)));
}

Status ServiceDb::read(const Body& body) {
  const std::lock_guard lock(reader_.mutex);
  // A transaction that does not write sees one state, and waits for nobody.
  REWRAP_TRY(reader_.database.run("BEGIN DEFERRED"));
  const Status status = body(reader_.database);
  const Status ended = reader_.database.run("ROLLBACK");
  return status.ok() ? ended : status;
}

Status ServiceDb::write_with(Connection* connection, const Body& body) {
  const std::lock_guard lock(connection->mutex);
  REWRAP_ASSIGN(WriteScope scope, WriteScope::begin(&connection->database));
  REWRAP_TRY(body(connection->database));
  return scope.commit();
}

Status ServiceDb::write(const Body& body) { return write_with(&writer_, body); }

Status ServiceDb::note(const Body& body) { return write_with(&noter_, body); }

Result<bool> ServiceDb::has_changed() {
  const std::lock_guard lock(reader_.mutex);
  REWRAP_ASSIGN(const std::int64_t version, read_number(&reader_.database, "PRAGMA data_version"));
  return std::exchange(seen_version_, version) != version;
}

}  // namespace rewrap
