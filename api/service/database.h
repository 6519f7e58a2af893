// SQLite behind a few types: a connection, statements with typed columns, transactions. A Database
// and all that comes from it belong to one thread at a time. SQL is a literal and values are bound,
// so that no text from outside can become part of a statement.
#ifndef REWRAP_API_SERVICE_DATABASE_H_
#define REWRAP_API_SERVICE_DATABASE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "api/service/job.h"
#include "engine/base/bytes.h"
#include "engine/base/status.h"

struct sqlite3;
struct sqlite3_stmt;

namespace rewrap {

// Durability of commits: kFull survives a power cut; kRelaxed may then lose the last commits, but
// never what an earlier full commit wrote, nor the order.
enum class Durability { kFull, kRelaxed };

// Query is one statement that runs. Columns are read from left to right: each reader takes the next
// one. It ends the statement when it goes.
class Query {
 public:
  Query(Query&& other) noexcept : statement_(std::exchange(other.statement_, nullptr)) {}
  Query& operator=(Query&&) = delete;
  Query(const Query&) = delete;
  Query& operator=(const Query&) = delete;
  ~Query();

  // next goes to the next row; false at the end.
  Result<bool> next();

  std::int64_t i64();
  std::uint64_t u64() { return static_cast<std::uint64_t>(i64()); }
  double real();
  bool boolean() { return i64() != 0; }
  std::string text();
  Bytes blob();
  Uuid uuid();  // all zero if it is not 16 bytes
  std::optional<std::int64_t> optional_i64();
  template <typename Enum>
  Enum enumeration() {
    return static_cast<Enum>(i64());
  }

 private:
  friend class Database;
  explicit Query(sqlite3_stmt* statement) : statement_(statement) {}

  Status bind(int at, std::int64_t value);
  Status bind(int at, int value) { return bind(at, std::int64_t{value}); }
  Status bind(int at, std::uint32_t value) { return bind(at, std::int64_t{value}); }
  Status bind(int at, std::uint64_t value) { return bind(at, static_cast<std::int64_t>(value)); }
  Status bind(int at, bool value) { return bind(at, std::int64_t{value ? 1 : 0}); }
  Status bind(int at, double value);
  Status bind(int at, std::string_view value);
  Status bind(int at, const std::string& value) { return bind(at, std::string_view(value)); }
  Status bind(int at, ByteView value);
  Status bind(int at, const Bytes& value) { return bind(at, ByteView(value)); }
  Status bind(int at, const Uuid& value) { return bind(at, ByteView(value)); }
  Status bind(int at, std::nullopt_t);
  template <typename T>
  Status bind(int at, const std::optional<T>& value) {
    return value ? bind(at, *value) : bind(at, std::nullopt);
  }
  template <typename Enum>
  requires std::is_enum_v<Enum> Status bind(int at, Enum value) {
    return bind(at, static_cast<std::int64_t>(value));
  }

  sqlite3_stmt* statement_;
  int column_ = 0;
};

class Database {
 public:
  // open opens the database file at `path`, which is made (mode 0600) if there is none.
  // Errors: kDenied      another owner or mode, a symbolic link, or not to be written
  //         kCorruption  not a database, or a damaged one
  //         kExhausted, kIo  the disk; kConflict  another process holds it for too long
  static Result<Database> open(const std::string& path, Durability durability);

  // query binds the values and gives the statement, to be stepped by next().
  template <typename... Values>
  Result<Query> query(Literal sql, const Values&... values) {
    REWRAP_ASSIGN(Query query, prepare(sql));
    Status status;
    int at = 0;
    static_cast<void>(((status = query.bind(++at, values)).ok() && ...));
    if (!status.ok()) return status;
    return query;
  }

  // run does a statement that gives no rows. Errors: kAlreadyExists for a value that must be unique.
  template <typename... Values>
  Status run(Literal sql, const Values&... values) {
    REWRAP_ASSIGN(Query statement, query(sql, values...));
    return statement.next().status();
  }

  [[nodiscard]] std::int64_t last_id() const;      // of the last INSERT
  [[nodiscard]] std::int64_t num_changed() const;  // rows that the last statement changed

  // check_integrity reads the whole file. Errors: kCorruption
  Status check_integrity();

 private:
  struct Closer {
    void operator()(sqlite3* handle) const;
  };
  struct Finalizer {
    void operator()(sqlite3_stmt* statement) const;
  };

  explicit Database(sqlite3* handle) : handle_(handle) {}
  Result<Query> prepare(Literal sql);
  Status configure(Durability durability);

  std::unique_ptr<sqlite3, Closer> handle_;
  // Statements by the address of their text, which is a literal. Closed before the handle.
  std::map<const char*, std::unique_ptr<sqlite3_stmt, Finalizer>> statements_;
};

// WriteScope is a transaction that writes. Without commit nothing of it happens.
class WriteScope {
 public:
  // begin waits up to 10 s for another writer. Errors: kConflict
  static Result<WriteScope> begin(Database* database);
  WriteScope(WriteScope&& other) noexcept : database_(std::exchange(other.database_, nullptr)) {}
  WriteScope& operator=(WriteScope&&) = delete;
  WriteScope(const WriteScope&) = delete;
  WriteScope& operator=(const WriteScope&) = delete;
  ~WriteScope();

  // commit. After a failure nothing of it is in the database.
  Status commit();

 private:
  explicit WriteScope(Database* database) : database_(database) {}
  Database* database_;
};

}  // namespace rewrap

#endif  // REWRAP_API_SERVICE_DATABASE_H_
