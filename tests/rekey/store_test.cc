// The LMDB store: what commits stays, what does not leaves no trace, and damage to the file is
// noticed at opening.
#include "rekey/store.h"

#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "tests/rekey/fixture.h"

namespace rewrap {
namespace {

class StoreTest : public ::testing::Test {
 protected:
  [[nodiscard]] std::string path() const { return directory_.path() + "/store"; }
  [[nodiscard]] std::unique_ptr<Store> create() const {
    return ok_value(open_store(path(), OpenMode::kCreate));
  }
  TempDirectory directory_;
};

TEST_F(StoreTest, MustExistMeansThat) {
  EXPECT_EQ(open_store(path(), OpenMode::kMustExist).status().code(), Errc::kNotFound);
  EXPECT_FALSE(std::filesystem::exists(path()));
}

TEST_F(StoreTest, OnlyTheOwnerMayRead) {
  const auto store = create();
  struct stat info {};
  ASSERT_EQ(stat(path().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0700U);
  ASSERT_EQ(stat((path() + "/data.mdb").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0600U);
}

TEST_F(StoreTest, CommittedValuesSurviveReopening) {
  {
    const auto store = create();
    auto transaction = ok_value(store->begin());
    EXPECT_EQ(ok_value(transaction->next_keyset_number()), 1U);
    ASSERT_TRUE(transaction->put_wraps(1, 2, Bytes{1, 2, 3}).ok());
    ASSERT_TRUE(transaction->put_location(1, DekId{4}, {5, 6}).ok());
    ASSERT_TRUE(transaction->commit().ok());
  }
  const auto store = create();  // creating again finds the store and leaves it as it is
  auto snapshot = ok_value(store->snapshot());
  const ByteView value = ok_value(snapshot->wraps(1, 2));
  EXPECT_EQ(Bytes(value.begin(), value.end()), (Bytes{1, 2, 3}));
  EXPECT_EQ(ok_value(snapshot->find(1, DekId{4})).slot, 6U);
  snapshot.reset();
  EXPECT_EQ(ok_value(ok_value(store->begin())->next_keyset_number()), 2U);
}

TEST_F(StoreTest, ATransactionLetGoLeavesNoTrace) {
  const auto store = create();
  {
    auto transaction = ok_value(store->begin());
    ASSERT_TRUE(transaction->put_wraps(1, 2, Bytes{1}).ok());
  }
  EXPECT_EQ(ok_value(store->snapshot())->wraps(1, 2).status().code(), Errc::kNotFound);
}

TEST_F(StoreTest, ASnapshotSeesItsInstantUntilRefreshed) {
  const auto store = create();
  const auto snapshot = ok_value(store->snapshot());
  auto transaction = ok_value(store->begin());
  ASSERT_TRUE(transaction->put_wraps(1, 2, Bytes{1}).ok());
  ASSERT_TRUE(transaction->commit().ok());
  EXPECT_FALSE(snapshot->wraps(1, 2).ok());
  ASSERT_TRUE(snapshot->refresh().ok());
  EXPECT_TRUE(snapshot->wraps(1, 2).ok());
}

TEST_F(StoreTest, WalksStayWithinTheirKeyset) {
  const auto store = create();
  auto transaction = ok_value(store->begin());
  for (const KeysetNumber keyset : {1U, 2U, 256U}) {
    for (SegmentNumber segment = 0; segment < 300; ++segment) {
      ASSERT_TRUE(transaction->put_wraps(keyset, segment, Bytes{9}).ok());
    }
  }
  SegmentNumber expected = 0;
  ASSERT_TRUE(transaction
                  ->for_each_segment(2,
                                     [&](SegmentNumber segment, ByteView) {
                                       EXPECT_EQ(segment, expected++);
                                       return Status();
                                     })
                  .ok());
  EXPECT_EQ(expected, 300U);
}

TEST_F(StoreTest, ATruncatedFileIsRefusedAtEveryLength) {
  {
    const auto store = create();
    auto transaction = ok_value(store->begin());
    for (SegmentNumber segment = 0; segment < 20; ++segment) {
      ASSERT_TRUE(transaction->put_wraps(1, segment, Bytes(50'000, 7)).ok());
    }
    ASSERT_TRUE(transaction->commit().ok());
  }
  const std::string file = path() + "/data.mdb";
  const auto full = std::filesystem::file_size(file);
  std::filesystem::copy_file(file, file + ".copy");
  int refused = 0;
  for (std::uintmax_t len = 4096; len < full; len += 40'960) {
    std::filesystem::copy_file(file + ".copy", file,
                               std::filesystem::copy_options::overwrite_existing);
    std::filesystem::resize_file(file, len);
    const auto opened = open_store(path(), OpenMode::kMustExist);
    EXPECT_FALSE(opened.ok()) << len;
    refused += opened.ok() ? 0 : 1;
  }
  EXPECT_GE(refused, 10);
  std::filesystem::copy_file(file + ".copy", file,
                             std::filesystem::copy_options::overwrite_existing);
  EXPECT_TRUE(open_store(path(), OpenMode::kMustExist).ok()) << "control: the whole file opens";
}

// LMDB may count pages at the end that were allocated and freed in one transaction and never
// written. Made here by cutting a free page off the end: what was deleted leaves the last pages
// free.
TEST_F(StoreTest, ASoundFileThatIsAPageShortIsNotCalledTruncated) {
  constexpr std::uint32_t kCount = 2000;
  const auto id_of = [](std::uint32_t i) {
    DekId id{};
    store_be32(id.data(), i);
    return id;
  };
  {
    const auto store = create();
    auto transaction = ok_value(store->begin());
    for (std::uint32_t i = 0; i < kCount; ++i) {
      ASSERT_TRUE(transaction->put_quarantined(1, id_of(i), Bytes(60, 1)).ok());
    }
    ASSERT_TRUE(transaction->commit().ok());
    transaction = ok_value(store->begin());
    for (std::uint32_t i = 0; i < kCount; ++i) {
      ASSERT_TRUE(transaction->drop_quarantined(1, id_of(i)).ok());
    }
    ASSERT_TRUE(transaction->commit().ok());
    for (SegmentNumber segment = 0; segment < 8; ++segment) {  // the live pages move to the front
      transaction = ok_value(store->begin());
      ASSERT_TRUE(transaction->put_wraps(1, segment, Bytes{1, 2, 3}).ok());
      ASSERT_TRUE(transaction->commit().ok());
    }
  }
  const std::string file = path() + "/data.mdb";
  const auto full = std::filesystem::file_size(file);
  std::filesystem::resize_file(file, full - 4096);
  const auto opened = open_store(path(), OpenMode::kMustExist);
  ASSERT_TRUE(opened.ok()) << opened.status().describe();
  EXPECT_EQ(std::filesystem::file_size(file), full);
  const auto snapshot = ok_value(opened.value()->snapshot());
  for (SegmentNumber segment = 0; segment < 8; ++segment) {
    EXPECT_EQ(ok_value(snapshot->wraps(1, segment)).size(), 3U);
  }
}

TEST_F(StoreTest, ADirectoryThatOthersMayWriteIsRefused) {
  { const auto store = create(); }
  ASSERT_EQ(chmod(path().c_str(), 0770), 0);
  EXPECT_EQ(open_store(path(), OpenMode::kMustExist).status().code(), Errc::kDenied);
  ASSERT_EQ(chmod(path().c_str(), 0750), 0);
  EXPECT_TRUE(open_store(path(), OpenMode::kMustExist).ok());
}

TEST_F(StoreTest, AForeignFileIsRefused) {
  ASSERT_EQ(mkdir(path().c_str(), 0700), 0);
  std::ofstream(path() + "/data.mdb") << std::string(100'000, 'x');
  for (const OpenMode mode : {OpenMode::kMustExist, OpenMode::kCreate}) {
    EXPECT_EQ(open_store(path(), mode).status().code(), Errc::kCorruption);
  }
}

}  // namespace
}  // namespace rewrap
