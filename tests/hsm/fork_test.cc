// A forked child must not go on with its parent's root.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>

#include "hsm/pkcs11/session.h"
#include "hsm/root.h"
#include "hsm/wrapping_key.h"
#include "tests/hsm/expect_code.h"
#include "tests/hsm/raw_token.h"
#include "tests/hsm/softhsm_fixture.h"

namespace rewrap {
namespace {

// in_child runs `body` in a forked child, which gives its answer by its exit status.
bool in_child(const std::function<bool()>& body) {
  const pid_t child = fork();
  if (child == 0) _exit(body() ? 0 : 1);
  int status = -1;
  waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

TEST(Fork, ChildIsRefusedByEveryOperationOfARoot) {
  const test::SoftHsmToken token;
  ASSERT_OK(create_root_key(token.uri("root"), {}));
  auto root = open_root(token.uri("root"), {});
  ASSERT_OK(root);
  const auto made = root.value()->create(32, {});
  ASSERT_OK(made);
  EXPECT_TRUE(in_child([&] {
    Bytes random(16);
    return root.value()->create(32, {}).status().code() == Errc::kUnavailable &&
           root.value()->open(made->protector, {}).status().code() == Errc::kUnavailable &&
           root.value()->random(random).code() == Errc::kUnavailable &&
           root.value()->probe().status().code() == Errc::kUnavailable;
  }));
  // The child's end leaves the parent's root alone, even if the child lets its copy go.
  EXPECT_TRUE(in_child([&] {
    root.value().reset();
    return true;
  }));
  EXPECT_OK(root.value()->open(made->protector, {}));
}

TEST(Fork, ChildIsRefusedByAWrappingKey) {
  const test::SoftHsmToken token;
  ASSERT_OK(test::import_key(token.uri(), {.label = "k"}));
  const auto key = open_wrapping_key(token.uri("k"), WrappingUse::kUnwrap, {});
  ASSERT_OK(key);
  EXPECT_TRUE(in_child([&] {
    Bytes dek(32);
    return key.value()->unwrap_key(Bytes(40), dek).code() == Errc::kUnavailable;
  }));
}

TEST(Fork, ChildIsRefusedByAFileRoot) {
  const std::string folder = test::make_private_folder();
  RootOptions options;
  options.allow_file_root = true;
  ASSERT_OK(create_root_key("file:" + folder + "/k", options));
  const auto root = open_root("file:" + folder + "/k", options);
  ASSERT_OK(root);
  EXPECT_TRUE(
      in_child([&] { return root.value()->create(32, {}).status().code() == Errc::kUnavailable; }));
  test::remove_folder(folder);
}

// The negative control: without our guard the child would go on with the parent's session, and
// nothing would tell.
TEST(Fork, WithoutTheGuardTheTokenWouldNotNotice) {
  const test::SoftHsmToken token;
  const auto uri = parse_pkcs11_uri(token.uri());
  ASSERT_OK(uri);
  const auto session = Session::open(uri.value(), SessionMode::kReadOnly, {});
  ASSERT_OK(session);
  EXPECT_TRUE(in_child([&] {
    Bytes random(16);
    CK_FUNCTION_LIST& api = session.value()->api();
    return api.C_GenerateRandom(session.value()->handle(), random.data(), random.size()) == CKR_OK;
  }));
}

}  // namespace
}  // namespace rewrap
