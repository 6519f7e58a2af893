// The service's database: its tables, and its connections: one that writes durably, one that notes
// progress, one that reads. Any thread.
#ifndef REWRAP_API_SERVICE_SERVICE_DB_H_
#define REWRAP_API_SERVICE_SERVICE_DB_H_

#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "api/service/database.h"
#include "engine/base/status.h"

namespace rewrap {

// The version of the tables that this program writes; stored as the file's user_version.
inline constexpr std::int64_t kSchemaVersion = 1;

class ServiceDb {
 public:
  using Body = std::function<Status(Database&)>;

  // open opens `directory`/service.db, makes or renews its tables, and reads all of it once.
  // Errors: as Database::open; kUnsupported if a newer program has written it
  static Result<std::unique_ptr<ServiceDb>> open(const std::string& directory);

  // read runs `body` on one state of the database. It must not write.
  Status read(const Body& body);

  // write runs `body` in one transaction, and makes it durable. Nothing of it happens if `body`
  // fails.
  Status write(const Body& body);

  // note is write for what may be lost in a power cut: progress.
  Status note(const Body& body);

  // has_changed says whether any connection or process has written since the last call. For one
  // caller.
  Result<bool> has_changed();

 private:
  struct Connection {
    explicit Connection(Database opened) : database(std::move(opened)) {}
    std::mutex mutex;
    Database database;
  };

  ServiceDb(Database writer, Database noter, Database reader)
      : writer_(std::move(writer)), noter_(std::move(noter)), reader_(std::move(reader)) {}
  static Status write_with(Connection* connection, const Body& body);

  Connection writer_;
  Connection noter_;
  Connection reader_;
  std::int64_t seen_version_ = -1;
};

}  // namespace rewrap

#endif  // REWRAP_API_SERVICE_SERVICE_DB_H_
