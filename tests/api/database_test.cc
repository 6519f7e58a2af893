// The service's database: its file, its integrity, its transactions, several users at once.
#include "api/service/database.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "api/service/service_db.h"
#include "tests/rekey/fixture.h"

namespace rewrap {
namespace {

class DatabaseTest : public ::testing::Test {
 protected:
  [[nodiscard]] std::string path() const { return directory_.path() + "/service.db"; }
  [[nodiscard]] Result<std::unique_ptr<ServiceDb>> open() const {
    return ServiceDb::open(directory_.path());
  }
  static std::int64_t count_nodes(ServiceDb* db) {
    std::int64_t count = -1;
    const Status status = db->read([&](Database& database) -> Status {
      REWRAP_ASSIGN(Query query, database.query("SELECT count(*) FROM nodes"));
      REWRAP_ASSIGN(const bool found, query.next());
      if (found) count = query.i64();
      return {};
    });
    EXPECT_TRUE(status.ok()) << status.describe();
    return count;
  }
  static Status add_node(Database& database, const std::string& name) {
    REWRAP_ASSIGN(const Uuid uuid, random_uuid());
    return database.run("INSERT INTO nodes VALUES(?, ?, 0, 0)", name, uuid);
  }

  TempDirectory directory_;
};
class DatabaseThreads : public DatabaseTest {};

TEST_F(DatabaseTest, FilesAreForTheirOwnerOnly) {
  const mode_t before = umask(0);
  const auto db = ok_value(open());
  ASSERT_TRUE(db->write([](Database& d) { return add_node(d, "a"); }).ok());
  umask(before);
  for (const auto& entry : std::filesystem::directory_iterator(directory_.path())) {
    struct stat info {};
    ASSERT_EQ(stat(entry.path().c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0600U) << entry.path();
  }
}

TEST_F(DatabaseTest, AFileThatOthersMayReadOrALinkIsRefused) {
  ok_value(open()).reset();
  ASSERT_EQ(chmod(path().c_str(), 0640), 0);
  EXPECT_EQ(open().status().code(), Errc::kDenied);
  ASSERT_EQ(chmod(path().c_str(), 0600), 0);
  EXPECT_TRUE(open().ok());
  std::filesystem::rename(path(), directory_.path() + "/elsewhere");
  ASSERT_EQ(symlink((directory_.path() + "/elsewhere").c_str(), path().c_str()), 0);
  EXPECT_EQ(open().status().code(), Errc::kDenied);
}

TEST_F(DatabaseTest, ADamagedOrForeignFileIsToldWithWhatToDo) {
  {
    std::ofstream(path()) << std::string(8192, 'x');
    ASSERT_EQ(chmod(path().c_str(), 0600), 0);
  }
  const Status foreign = open().status();
  EXPECT_EQ(foreign.code(), Errc::kCorruption);
  EXPECT_NE(std::string(foreign.hint()), "");

  std::filesystem::remove(path());
  {
    const auto db = ok_value(open());
    ASSERT_TRUE(db->write([](Database& d) -> Status {
                    for (int i = 0; i < 500; ++i) REWRAP_TRY(add_node(d, std::to_string(i)));
                    return {};
                  }).ok());
  }
  std::filesystem::remove(path() + "-wal");
  std::fstream file(path(), std::ios::in | std::ios::out | std::ios::binary);
  const auto len = std::filesystem::file_size(path());
  ASSERT_GT(len, 40'000U);
  for (std::uint64_t at = len / 2; at < len; at += 512) {
    file.seekp(static_cast<std::streamoff>(at));
    file << "damage";
  }
  file.close();
  EXPECT_EQ(open().status().code(), Errc::kCorruption);
}

TEST_F(DatabaseTest, ANewerFormatIsRefused) {
  {
    const auto db = ok_value(open());
    ASSERT_TRUE(db->write([](Database& d) { return d.run("PRAGMA user_version = 2"); }).ok());
  }
  EXPECT_EQ(open().status().code(), Errc::kUnsupported);
}

TEST_F(DatabaseTest, AFailedTransactionLeavesNothing) {
  const auto db = ok_value(open());
  const Status status = db->write([](Database& database) -> Status {
    REWRAP_TRY(add_node(database, "a"));
    return {Errc::kRefused, "on purpose"};
  });
  EXPECT_EQ(status.code(), Errc::kRefused);
  EXPECT_EQ(count_nodes(db.get()), 0);
  EXPECT_TRUE(db->write([](Database& d) { return add_node(d, "a"); }).ok());
  EXPECT_EQ(db->write([](Database& d) { return add_node(d, "a"); }).code(), Errc::kAlreadyExists);
  EXPECT_EQ(count_nodes(db.get()), 1);
}

// SQLite's own limit on the file stands for a full disk: the same code, at the same places.
TEST_F(DatabaseTest, AFullDiskIsTheTransactionsFailureAndNotTheDatabases) {
  const auto db = ok_value(open());
  ASSERT_TRUE(db->write([](Database& database) -> Status {
                  REWRAP_ASSIGN(Query limit, database.query("PRAGMA max_page_count = 40"));
                  return limit.next().status();
                }).ok());
  Status status;
  int num_written = 0;
  const std::string filler(3000, 'x');
  while (status.ok() && num_written < 1000) {
    status = db->write([&](Database& database) {
      return add_node(database, std::to_string(num_written) + filler);
    });
    if (status.ok()) ++num_written;
  }
  EXPECT_EQ(status.code(), Errc::kExhausted);
  EXPECT_EQ(reason_of(status), Reason::kStorageFull);
  EXPECT_EQ(count_nodes(db.get()), num_written);
  ASSERT_TRUE(db->write([](Database& database) -> Status {
                  REWRAP_ASSIGN(Query limit, database.query("PRAGMA max_page_count = 100000"));
                  return limit.next().status();
                }).ok());
  EXPECT_TRUE(db->write([&](Database& d) { return add_node(d, filler); }).ok());
}

TEST_F(DatabaseTest, ChangesOfOthersAreSeen) {
  const auto mine = ok_value(open());
  const auto other = ok_value(open());
  EXPECT_TRUE(ok_value(mine->has_changed()));
  EXPECT_FALSE(ok_value(mine->has_changed()));
  ASSERT_TRUE(other->write([](Database& d) { return add_node(d, "a"); }).ok());
  EXPECT_TRUE(ok_value(mine->has_changed()));
  EXPECT_FALSE(ok_value(mine->has_changed()));
  ASSERT_TRUE(mine->note([](Database& d) { return add_node(d, "b"); }).ok());
  EXPECT_TRUE(ok_value(mine->has_changed()));
}

TEST_F(DatabaseThreads, ManyUsersAtOnceLoseNothing) {
  const auto first = ok_value(open());
  const auto second = ok_value(open());
  constexpr int kEach = 25;
  std::vector<std::jthread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    ServiceDb* db = thread % 2 == 0 ? first.get() : second.get();
    threads.emplace_back([db, thread] {
      for (int i = 0; i < kEach; ++i) {
        const std::string name = std::to_string(thread) + "/" + std::to_string(i);
        const auto body = [&](Database& database) { return add_node(database, name); };
        const Status status = i % 2 == 0 ? db->write(body) : db->note(body);
        EXPECT_TRUE(status.ok()) << status.describe();
        EXPECT_GT(count_nodes(db), 0);
      }
    });
  }
  threads.clear();
  EXPECT_EQ(count_nodes(first.get()), 4 * kEach);
}

}  // namespace
}  // namespace rewrap
