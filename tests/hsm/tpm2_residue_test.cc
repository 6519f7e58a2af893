// What stays in this process's memory when the TPM root is done: no KEK.
#include <gtest/gtest.h>

#include "hsm/root.h"
#include "tests/hsm/expect_code.h"
#include "tests/hsm/memory_search.h"
#include "tests/hsm/swtpm_fixture.h"

namespace rewrap {
namespace {

class Tpm2ResidueTest : public testing::Test {
 protected:
  test::SoftTpm tpm_;
  const std::string pin_ = "pin-source=file:" + tpm_.write_file("pin", as_bytes("1234"));
};

TEST_F(Tpm2ResidueTest, AfterCreateAndOpenNothingIsLeft) {
  Bytes kek;
  Protector protector;
  for (const std::string& terms : {pin_, pin_ + "&pcrs=sha256:7"}) {
    SCOPED_TRACE(terms);
    const auto root = open_root(tpm_.uri(terms), {});
    ASSERT_OK(root);
    {
      auto made = root.value()->create(32, {});
      ASSERT_OK(made);
      kek = test::masked(made->kek.expose_secret());
      protector = made->protector;
      EXPECT_GE(test::count_in_process(kek), 1U) << "control: the search finds what is there";
    }
    EXPECT_EQ(test::count_in_process(kek), 0U) << "after create";
    { ASSERT_OK(root.value()->open(protector, {})); }
    EXPECT_EQ(test::count_in_process(kek), 0U) << "after open";
  }
}

}  // namespace
}  // namespace rewrap
