// Key files: who may have them, and that the root in them behaves like any other.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "hsm/root.h"
#include "hsm/secret_file.h"
#include "hsm/wrapping_key.h"
#include "tests/hsm/expect_code.h"
#include "tests/hsm/softhsm_fixture.h"

namespace rewrap {
namespace {

class FileRootTest : public testing::Test {
 protected:
  FileRootTest() { allowed_.allow_file_root = true; }
  ~FileRootTest() override { test::remove_folder(folder_); }

  [[nodiscard]] std::string path(const std::string& name) const { return folder_ + "/" + name; }
  [[nodiscard]] std::string uri(const std::string& name) const { return "file:" + path(name); }

  void write(const std::string& name, std::size_t len, mode_t mode) const {
    std::ofstream(path(name), std::ios::binary) << std::string(len, 'k');
    ASSERT_EQ(chmod(path(name).c_str(), mode), 0);
  }

  std::string folder_ = test::make_private_folder();
  RootOptions allowed_;
  Bytes context_ = {1, 2, 3};
};

TEST_F(FileRootTest, MustBeAskedForByName) {
  for (const Status& status : {create_root_key(uri("k"), {}), open_root(uri("k"), {}).status()}) {
    EXPECT_CODE(status, Errc::kRefused);
    EXPECT_NE(std::string(status.hint()).find("--allow-file-root"), std::string::npos);
  }
  EXPECT_FALSE(std::filesystem::exists(path("k")));
}

TEST_F(FileRootTest, GivesBackWhatItMade) {
  ASSERT_OK(create_root_key(uri("k"), allowed_));
  const auto root = open_root(uri("k"), allowed_);
  ASSERT_OK(root);
  for (const std::size_t len : {16U, 24U, 32U}) {
    const auto made = root.value()->create(len, context_);
    ASSERT_OK(made);
    const auto again = open_root(uri("k"), allowed_);
    ASSERT_OK(again);
    const auto opened = again.value()->open(made->protector, context_);
    ASSERT_OK(opened);
    EXPECT_TRUE(secrets_equal(opened->expose_secret(), made->kek.expose_secret()));
  }
}

TEST_F(FileRootTest, MadeFileIsPrivateWhateverTheUmaskAndNeverOverwritten) {
  const mode_t before = umask(0377);
  const Status status = create_root_key(uri("k"), allowed_);
  umask(before);
  ASSERT_OK(status);
  struct stat info {};
  ASSERT_EQ(stat(path("k").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777U, 0600U);
  EXPECT_EQ(info.st_size, 32);
  EXPECT_CODE(create_root_key(uri("k"), allowed_), Errc::kAlreadyExists);
  ASSERT_EQ(symlink("/nowhere", path("dangling").c_str()), 0);
  EXPECT_CODE(create_root_key(uri("dangling"), allowed_), Errc::kAlreadyExists);
}

TEST_F(FileRootTest, OtherModesAreDenied) {
  write("k", 32, 0600);
  EXPECT_OK(open_root(uri("k"), allowed_));  // control
  for (const mode_t mode : {0640U, 0604U, 0660U, 0400U, 0700U, 01600U, 04600U}) {
    ASSERT_EQ(chmod(path("k").c_str(), mode), 0);
    EXPECT_CODE(open_root(uri("k"), allowed_), Errc::kDenied) << std::oct << mode;
  }
}

TEST_F(FileRootTest, OtherOwnersAreDenied) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can give a file away";
  write("k", 32, 0600);
  ASSERT_EQ(chown(path("k").c_str(), 65534, 65534), 0);
  EXPECT_CODE(open_root(uri("k"), allowed_), Errc::kDenied);
}

TEST_F(FileRootTest, LinksAndOtherKindsOfFilesAreDenied) {
  write("k", 32, 0600);
  ASSERT_EQ(symlink(path("k").c_str(), path("link").c_str()), 0);
  EXPECT_CODE(open_root(uri("link"), allowed_), Errc::kDenied);
  ASSERT_EQ(mkfifo(path("fifo").c_str(), 0600), 0);
  EXPECT_CODE(open_root(uri("fifo"), allowed_), Errc::kDenied);
  ASSERT_EQ(mkdir(path("folder").c_str(), 0600), 0);
  EXPECT_CODE(open_root(uri("folder"), allowed_), Errc::kDenied);
}

TEST_F(FileRootTest, OtherLengthsAreRefused) {
  for (const std::size_t len : {0U, 1U, 16U, 31U, 33U, 100000U}) {
    write("k", len, 0600);
    EXPECT_CODE(open_root(uri("k"), allowed_), Errc::kInvalidArgument) << len;
  }
  EXPECT_CODE(open_root(uri("missing"), allowed_), Errc::kNotFound);
}

TEST_F(FileRootTest, UrisThatCouldBeMisreadAreRefused) {
  write("k", 32, 0600);
  EXPECT_OK(open_root("file://" + path("k"), allowed_));
  for (const std::string& uri :
       {std::string("file:k"), "file://host" + path("k"), "file:" + path("k") + "?x=1",
        "file:" + path("%6b"), "file:" + path("k") + "#x", std::string("file:"),
        "file:" + folder_ + "/", std::string("file:/"), "file:" + path("k") + '\0'}) {
    EXPECT_CODE(open_root(uri, allowed_), Errc::kInvalidArgument) << uri;
  }
}

TEST_F(FileRootTest, DamageAndWrongKeysAreTold) {
  ASSERT_OK(create_root_key(uri("k"), allowed_));
  ASSERT_OK(create_root_key(uri("other"), allowed_));
  const auto root = open_root(uri("k"), allowed_);
  ASSERT_OK(root);
  const auto made = root.value()->create(32, context_);
  ASSERT_OK(made);
  for (std::size_t i = 0; i < made->protector.blob.size(); ++i) {
    Protector damaged = made->protector;
    damaged.blob[i] ^= 1;
    EXPECT_CODE(root.value()->open(damaged, context_), Errc::kCorruption) << i;
  }
  EXPECT_CODE(root.value()->open(made->protector, {}), Errc::kCorruption);
  const auto other = open_root(uri("other"), allowed_);
  ASSERT_OK(other);
  EXPECT_CODE(other.value()->open(made->protector, context_), Errc::kDenied);
  EXPECT_OK(root.value()->open(made->protector, context_));  // control
}

TEST_F(FileRootTest, TellsWhatItCanDo) {
  ASSERT_OK(create_root_key(uri("k"), allowed_));
  const auto root = open_root_for_probe(uri("k"), allowed_);
  ASSERT_OK(root);
  const auto report = root.value()->probe();
  ASSERT_OK(report);
  ASSERT_FALSE(report->capabilities.empty());
  EXPECT_TRUE(report->capabilities[0].works);
  EXPECT_GT(report->capabilities[0].per_second, 0);
  Bytes random(64);
  EXPECT_OK(root.value()->random(random));
  EXPECT_NE(random, Bytes(64));
}

TEST_F(FileRootTest, WrappingKeyFileNeedsNoPermissionButTheSameCare) {
  for (const std::size_t len : {16U, 24U, 32U}) {
    write("w", len, 0600);
    const auto key = open_wrapping_key(uri("w"), WrappingUse::kUnwrap, {});
    ASSERT_OK(key);
    EXPECT_EQ(key.value()->access(), WrappingAccess::kValue);
    EXPECT_EQ(key.value()->key_len(), len);
    const auto value = key.value()->take_value();
    ASSERT_OK(value);
    EXPECT_TRUE(secrets_equal(value->expose_secret(), Bytes(len, 'k')));
  }
  write("w", 20, 0600);
  EXPECT_CODE(open_wrapping_key(uri("w"), WrappingUse::kWrap, {}), Errc::kInvalidArgument);
  write("w", 32, 0644);
  EXPECT_CODE(open_wrapping_key(uri("w"), WrappingUse::kWrap, {}), Errc::kDenied);
}

}  // namespace
}  // namespace rewrap
