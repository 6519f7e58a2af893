// Status, Result and the mapping of errno.
#include "engine/base/status.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <memory>
#include <set>
#include <type_traits>

namespace rewrap {
namespace {

static_assert(std::is_trivially_copyable_v<Status>);
static_assert(sizeof(Status) <= 40);
// Numbers that scripts see.
static_assert(static_cast<int>(Errc::kOk) == 0 && static_cast<int>(Errc::kInvalidArgument) == 1 &&
              static_cast<int>(Errc::kIntegrity) == 3 && static_cast<int>(Errc::kRefused) == 14);

Status pass_on(const Status& status) {
  REWRAP_TRY(status);
  return Status(Errc::kInternal, "not reached for a failure");
}

Result<int> doubled(Result<int> in) {
  REWRAP_ASSIGN(const int value, std::move(in));
  return 2 * value;
}

TEST(Status, DefaultIsSuccess) {
  const Status status;
  EXPECT_TRUE(status.ok());
  EXPECT_EQ(status.code(), Errc::kOk);
  EXPECT_EQ(status.describe(), "");
}

TEST(Status, OwnFailureDescribesItselfWithoutItsHint) {
  const Status status(Errc::kConflict, "somebody else is at it", "wait");
  EXPECT_FALSE(status.ok());
  EXPECT_EQ(status.describe(), "somebody else is at it");
  EXPECT_STREQ(status.hint(), "wait");
  EXPECT_EQ(status.native(), Native::kNone);
}

TEST(Status, NativeFailureNamesCallTextAndNumber) {
  const Status pkcs11 =
      Status::from_native(Errc::kDenied, Native::kPkcs11, 0xa0, "CKR_PIN_INCORRECT", "C_Login",
                          "the PIN is wrong", "check the PIN");
  EXPECT_EQ(pkcs11.describe(), "the PIN is wrong (C_Login: CKR_PIN_INCORRECT, 0xa0)");
  EXPECT_STREQ(pkcs11.call(), "C_Login");
  EXPECT_EQ(pkcs11.native_number(), 0xa0U);
  EXPECT_STREQ(pkcs11.hint(), "check the PIN");
  const Status no_text = Status::from_native(Errc::kIo, Native::kLmdb, 7, nullptr, "mdb_put", "no");
  EXPECT_EQ(no_text.describe(), "no (mdb_put: , 7)");
}

TEST(Status, AnotherHintKeepsTheRest) {
  const Status before = Status::from_errno(EACCES, "open", "cannot open it", "first");
  const Status after = before.with_hint("second");
  EXPECT_STREQ(after.hint(), "second");
  EXPECT_STREQ(before.hint(), "first");
  EXPECT_EQ(after.code(), before.code());
  EXPECT_EQ(after.describe(), before.describe());
}

TEST(Status, ErrnoIsMappedToWhatTheCallerCanDo) {
  const std::pair<int, Errc> cases[] = {
      {ENOENT, Errc::kNotFound},  {ENOTDIR, Errc::kNotFound}, {EEXIST, Errc::kAlreadyExists},
      {EACCES, Errc::kDenied},    {EPERM, Errc::kDenied},     {EROFS, Errc::kDenied},
      {ENOMEM, Errc::kExhausted}, {EAGAIN, Errc::kExhausted}, {EMFILE, Errc::kExhausted},
      {EIO, Errc::kIo},           {EINVAL, Errc::kIo}};
  for (const auto& [error, code] : cases) {
    EXPECT_EQ(Status::from_errno(error, "call", "message").code(), code) << error;
  }
  EXPECT_EQ(Status::from_errno(ENOENT, "open", "cannot open it").describe(),
            "cannot open it (open: No such file or directory, 2)");
}

// status.h promises that ENOSPC has a code of its own kind; a full disk is a limit to raise, not a
// failed disk.
TEST(Status, AFullDiskIsExhausted) {
  EXPECT_EQ(Status::from_errno(ENOSPC, "write", "cannot write").code(), Errc::kExhausted);
}

TEST(Status, EachCodeHasAWordOfItsOwn) {
  std::set<std::string> words;
  for (int code = 0; code <= static_cast<int>(Errc::kRefused); ++code) {
    words.insert(errc_name(static_cast<Errc>(code)));
  }
  EXPECT_EQ(words.size(), static_cast<std::size_t>(Errc::kRefused) + 1);
  EXPECT_EQ(words.count("unknown"), 0U);
  EXPECT_STREQ(errc_name(static_cast<Errc>(200)), "unknown");
}

TEST(Result, HoldsAValueOrTheFailure) {
  const Result<int> good = 4;
  ASSERT_TRUE(good.ok());
  EXPECT_EQ(good.value(), 4);
  EXPECT_TRUE(good.status().ok());
  const Result<int> bad = Status(Errc::kNotFound, "no");
  EXPECT_FALSE(bad.ok());
  EXPECT_EQ(bad.status().code(), Errc::kNotFound);
}

TEST(Result, SuccessWithoutAValueIsABug) {
  const Result<int> result = Status();
  EXPECT_FALSE(result.ok());
  EXPECT_EQ(result.status().code(), Errc::kInternal);
}

TEST(Result, MovesWhatCannotBeCopied) {
  Result<std::unique_ptr<int>> result = std::make_unique<int>(3);
  const std::unique_ptr<int> taken = std::move(result).value();
  EXPECT_EQ(*taken, 3);
}

TEST(Result, TryAndAssignPassFailuresOn) {
  EXPECT_EQ(pass_on(Status(Errc::kDenied, "no")).code(), Errc::kDenied);
  EXPECT_EQ(pass_on({}).code(), Errc::kInternal);
  EXPECT_EQ(doubled(21).value(), 42);
  EXPECT_EQ(doubled(Status(Errc::kIo, "no")).status().code(), Errc::kIo);
}

}  // namespace
}  // namespace rewrap
