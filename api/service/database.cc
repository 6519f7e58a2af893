// The connection, its settings, and the mapping of SQLite's codes.
#include "api/service/database.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace rewrap {
namespace {

constexpr int kBusyTimeoutMs = 10'000;

Status check(int rc, Literal call) {
  if (rc == SQLITE_OK || rc == SQLITE_ROW || rc == SQLITE_DONE) return {};
  const auto fail = [&](Errc code, Literal message, Literal hint) {
    return Status::from_native(code, Native::kSqlite, static_cast<std::uint32_t>(rc),
                               sqlite3_errstr(rc), call, message, hint);
  };
  switch (rc & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return fail(Errc::kCorruption, "the service's database is damaged",
                  "restore service.db from a backup, or move it away: jobs and configurations are "
                  "then lost, keysets are not");
    case SQLITE_FULL:
      return fail(Errc::kExhausted, "the disk is full; nothing that was committed is lost",
                  "free some space, then ask again");
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return fail(Errc::kConflict, "another process holds the service's database",
                  "try again; if it stays so, look for a program that hangs");
    case SQLITE_PERM:
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
    case SQLITE_AUTH:
      return fail(Errc::kDenied, "the service's database cannot be opened for writing",
                  "check the owner and the mode of service.db and of its directory");
    case SQLITE_CONSTRAINT:
      if (rc == SQLITE_CONSTRAINT_UNIQUE || rc == SQLITE_CONSTRAINT_PRIMARYKEY)
        return fail(Errc::kAlreadyExists, "there is one of that name already", "");
      return fail(Errc::kInternal, "a row breaks a rule of the service's database", "");
    case SQLITE_NOMEM:
      return fail(Errc::kExhausted, "no memory is left for the service's database", "");
    case SQLITE_IOERR:
      return fail(Errc::kIo, "the service's database cannot be read or written",
                  "check the disk; nothing that was committed is lost");
    default:
      return fail(Errc::kInternal, "SQLite refused an operation", "");
  }
}

Status check_file(const std::string& path) {
  struct stat file {};
  if (lstat(path.c_str(), &file) != 0)
    return Status::from_errno(errno, "lstat", "the service's database cannot be opened");
  if (!S_ISREG(file.st_mode) || file.st_uid != geteuid() || (file.st_mode & 077) != 0) {
    return Status(Errc::kDenied,
                  "the service's database is not a file that only this user may read",
                  "chown and chmod 0600 service.db");
  }
  return {};
}

// SQLite would make the file readable by others. A file that is there must not be opened and closed
// by anyone but SQLite: that would drop its locks.
Status make_file(const std::string& path) {
  const int fd =
      ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR);
  if (fd < 0 && errno != EEXIST)
    return Status::from_errno(errno, "open", "the service's database cannot be made");
  if (fd >= 0) ::close(fd);
  return check_file(path);
}

}  // namespace

Query::~Query() {
  if (statement_ == nullptr) return;
  sqlite3_reset(statement_);
  sqlite3_clear_bindings(statement_);
}

Result<bool> Query::next() {
  const int rc = sqlite3_step(statement_);
  column_ = 0;
  if (rc == SQLITE_ROW) return true;
  if (rc == SQLITE_DONE) return false;
  return check(rc, "sqlite3_step");
}

std::int64_t Query::i64() { return sqlite3_column_int64(statement_, column_++); }

double Query::real() { return sqlite3_column_double(statement_, column_++); }

std::string Query::text() {
  const Bytes bytes = blob();
  return {bytes.begin(), bytes.end()};
}

Bytes Query::blob() {
  const auto* data = static_cast<const std::uint8_t*>(sqlite3_column_blob(statement_, column_));
  const int len = sqlite3_column_bytes(statement_, column_++);
  return data == nullptr ? Bytes() : Bytes(data, data + len);
}

Uuid Query::uuid() {
  Uuid uuid{};
  const Bytes bytes = blob();
  if (bytes.size() == uuid.size()) copy_bytes(uuid, bytes);
  return uuid;
}

std::optional<std::int64_t> Query::optional_i64() {
  if (sqlite3_column_type(statement_, column_) != SQLITE_NULL) return i64();
  ++column_;
  return std::nullopt;
}

Status Query::bind(int at, std::int64_t value) {
  return check(sqlite3_bind_int64(statement_, at, value), "sqlite3_bind_int64");
}

Status Query::bind(int at, double value) {
  return check(sqlite3_bind_double(statement_, at, value), "sqlite3_bind_double");
}

Status Query::bind(int at, std::string_view value) {
  const char* text = value.data() == nullptr ? "" : value.data();
  return check(
      sqlite3_bind_text64(statement_, at, text, value.size(), SQLITE_TRANSIENT, SQLITE_UTF8),
      "sqlite3_bind_text64");
}

Status Query::bind(int at, ByteView value) {
  const void* data = value.empty() ? static_cast<const void*>("") : value.data();
  return check(sqlite3_bind_blob64(statement_, at, data, value.size(), SQLITE_TRANSIENT),
               "sqlite3_bind_blob64");
}

Status Query::bind(int at, std::nullopt_t) {
  return check(sqlite3_bind_null(statement_, at), "sqlite3_bind_null");
}

void Database::Closer::operator()(sqlite3* handle) const { sqlite3_close_v2(handle); }

void Database::Finalizer::operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }

Result<Database> Database::open(const std::string& path, Durability durability) {
  REWRAP_TRY(make_file(path));
  sqlite3* handle = nullptr;
  const int flags =
      SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_EXRESCODE;
  const int rc = sqlite3_open_v2(path.c_str(), &handle, flags, nullptr);
  Database database(handle);  // also after a failure there is one to close
  REWRAP_TRY(check(rc, "sqlite3_open_v2"));
  REWRAP_TRY(database.configure(durability));
  return database;
}

Status Database::configure(Durability durability) {
  REWRAP_TRY(check(sqlite3_busy_timeout(handle_.get(), kBusyTimeoutMs), "sqlite3_busy_timeout"));
  REWRAP_TRY(run("PRAGMA trusted_schema = OFF"));
  REWRAP_TRY(run("PRAGMA cell_size_check = ON"));
  REWRAP_TRY(run("PRAGMA foreign_keys = ON"));
  REWRAP_TRY(run("PRAGMA secure_delete = ON"));
  // Readers and the writer do not wait for each other.
  REWRAP_ASSIGN(Query mode, query("PRAGMA journal_mode = WAL"));
  REWRAP_ASSIGN(const bool answered, mode.next());
  if (!answered || mode.text() != "wal") {
    return Status(Errc::kUnsupported, "the service's database does not take a write-ahead log",
                  "put the store on a local file system");
  }
  return durability == Durability::kFull ? run("PRAGMA synchronous = FULL")
                                         : run("PRAGMA synchronous = NORMAL");
}

Result<Query> Database::prepare(Literal sql) {
  auto& statement = statements_[sql.c_str()];
  if (!statement) {
    sqlite3_stmt* made = nullptr;
    const int rc = sqlite3_prepare_v3(handle_.get(), sql.c_str(), -1, SQLITE_PREPARE_PERSISTENT,
                                      &made, nullptr);
    REWRAP_TRY(check(rc, "sqlite3_prepare_v3"));
    statement.reset(made);
  }
  return Query(statement.get());
}

std::int64_t Database::last_id() const { return sqlite3_last_insert_rowid(handle_.get()); }

std::int64_t Database::num_changed() const { return sqlite3_changes64(handle_.get()); }

Status Database::check_integrity() {
  REWRAP_ASSIGN(Query query, this->query("PRAGMA integrity_check(1)"));
  REWRAP_ASSIGN(const bool answered, query.next());
  if (answered && query.text() == "ok") return {};
  return check(SQLITE_CORRUPT, "PRAGMA integrity_check");
}

Result<WriteScope> WriteScope::begin(Database* database) {
  // IMMEDIATE: whoever reads and then writes must not find that another has written in between.
  REWRAP_TRY(database->run("BEGIN IMMEDIATE"));
  return WriteScope(database);
}

Status WriteScope::commit() {
  const Status status = database_->run("COMMIT");
  if (status.ok()) database_ = nullptr;
  return status;
}

WriteScope::~WriteScope() {
  // After some failures SQLite has rolled back by itself; then this one fails, and that is right.
  if (database_ != nullptr) static_cast<void>(database_->run("ROLLBACK"));
}

}  // namespace rewrap
