// Anti-rollback: at every instant exactly one set of protectors opens, and yesterday's is dead.
#include <gtest/gtest.h>

#include <functional>

#include "hsm/root.h"
#include "hsm/tpm2/sealed_blob.h"
#include "tests/hsm/expect_code.h"
#include "tests/hsm/swtpm_fixture.h"

namespace rewrap {
namespace {

constexpr char kCounter[] = "counter=0x01800100";
constexpr char kIndex[] = "0x01800100";

class Tpm2CounterTest : public testing::Test {
 protected:
  void SetUp() override {
    auto root = open_root(tpm_.uri(kCounter), {});
    ASSERT_OK(root);
    root_ = std::move(root).value();
  }

  Protector make() {
    auto made = root_->create(32, context_);
    EXPECT_OK(made);
    return made.ok() ? made->protector : Protector{};
  }

  Result<SecretBuffer> open(const Protector& protector) { return root_->open(protector, context_); }

  // forged takes a blob that claims other terms, and a checksum that fits.
  static Protector forged(const Protector& from, const std::function<void(SealedBlob*)>& change) {
    auto blob = decode_sealed_blob(from.blob);
    EXPECT_OK(blob);
    change(&blob.value());
    Protector out = from;
    out.blob = encode_sealed_blob(blob.value());
    return out;
  }

  static std::uint64_t value_of(const Protector& protector) {
    return decode_sealed_blob(protector.blob)->counter_value;
  }

  test::SoftTpm tpm_;
  Bytes context_ = {1, 2, 3};
  std::unique_ptr<Root> root_;
};

TEST_F(Tpm2CounterTest, WhoMadeTheCounterIsKnown) {
  EXPECT_FALSE(root_->made_counter());
  make();
  EXPECT_TRUE(root_->made_counter());
  make();
  EXPECT_TRUE(root_->made_counter()) << "it stays so";
  auto later = open_root(tpm_.uri(kCounter), {});
  ASSERT_OK(later);
  ASSERT_OK(later.value()->create(32, context_));
  EXPECT_FALSE(later.value()->made_counter());
}

TEST_F(Tpm2CounterTest, OpensOnlyBetweenItsActivationAndTheNext) {
  const Protector first = make();
  const auto early = open(first);
  EXPECT_CODE(early, Errc::kConflict);
  EXPECT_NE(std::string(early.status().hint()).find("run it again"), std::string::npos);
  EXPECT_OK(root_->activate(first));
  EXPECT_OK(open(first));

  const Protector second = make();  // step 1 and 2 of a rekey: stored, not active
  EXPECT_OK(open(first));
  EXPECT_CODE(open(second), Errc::kConflict);
  EXPECT_OK(root_->activate(second));  // step 3
  const auto late = open(first);
  EXPECT_CODE(late, Errc::kRefused);
  EXPECT_NE(std::string(late.status().message()).find("a rekey has happened since"),
            std::string::npos);
  EXPECT_OK(open(second));
  EXPECT_OK(root_->activate(second));  // again, after a crash: nothing to do
  EXPECT_OK(open(second));
  EXPECT_CODE(root_->activate(first), Errc::kConflict);  // an old store cannot be brought back
  EXPECT_OK(open(second));
  EXPECT_EQ(tpm_.leftovers(), "");
}

TEST_F(Tpm2CounterTest, OneSetOfSeveralKeksIsActivatedTogether) {
  const Protector old = make();
  EXPECT_OK(root_->activate(old));
  const auto kek = SecretBuffer::copy_of(Bytes(32, 9));
  const Protector one = make();
  const auto two = root_->protect(kek.value(), context_);
  ASSERT_OK(two);
  EXPECT_OK(root_->activate(one));
  EXPECT_OK(root_->activate(two.value()));
  EXPECT_OK(open(one));
  EXPECT_OK(open(two.value()));
  EXPECT_CODE(open(old), Errc::kRefused);
}

TEST_F(Tpm2CounterTest, SurvivesAPowerCut) {
  const Protector first = make();
  EXPECT_OK(root_->activate(first));
  const Protector second = make();
  tpm_.stop();
  tpm_.start();
  EXPECT_OK(open(first));
  EXPECT_OK(root_->activate(second));
  tpm_.stop();
  tpm_.start();
  EXPECT_CODE(open(first), Errc::kRefused);
  EXPECT_OK(open(second));
}

TEST_F(Tpm2CounterTest, DeletingTheCounterBringsNothingBack) {
  const Protector first = make();
  EXPECT_OK(root_->activate(first));
  const Protector second = make();
  EXPECT_OK(root_->activate(second));
  tpm_.tool({"nvundefine", kIndex, "-C", "o"});
  const auto gone = open(second);
  EXPECT_CODE(gone, Errc::kDenied);
  EXPECT_NE(std::string(gone.status().message()).find("gone"), std::string::npos);
  EXPECT_CODE(root_->activate(second), Errc::kNotFound);
  const Protector third = make();  // defines it anew
  EXPECT_GT(value_of(third), value_of(second));
  EXPECT_OK(root_->activate(third));
  EXPECT_CODE(open(first), Errc::kRefused);
  EXPECT_CODE(open(second), Errc::kRefused);
  EXPECT_OK(open(third));
}

// It is the TPM that refuses, not our comparison.
TEST_F(Tpm2CounterTest, ForgedValueDoesNotOpen) {
  const Protector first = make();
  EXPECT_OK(root_->activate(first));
  const Protector second = make();
  EXPECT_OK(root_->activate(second));
  const auto now = value_of(second);
  EXPECT_CODE(open(forged(first, [now](SealedBlob* blob) { blob->counter_value = now; })),
              Errc::kDenied);
  const Protector off = forged(first, [](SealedBlob* blob) {
    blob->counter = 0;
    blob->counter_value = 0;
  });
  EXPECT_CODE(open(off), Errc::kDenied);
  EXPECT_OK(open(forged(second, [](SealedBlob*) {})));  // control
}

TEST_F(Tpm2CounterTest, ActivateNeverRaisesForWhatDoesNotLoad) {
  const Protector first = make();
  EXPECT_OK(root_->activate(first));
  const Protector damaged = forged(make(), [](SealedBlob* blob) { blob->priv[20] ^= 1; });
  EXPECT_CODE(root_->activate(damaged), Errc::kCorruption);
  EXPECT_OK(open(first));
  const Protector other = forged(make(), [](SealedBlob* blob) { blob->parent_name[5] ^= 1; });
  EXPECT_CODE(root_->activate(other), Errc::kDenied);
  EXPECT_OK(open(first));
  const Protector far = forged(make(), [](SealedBlob* blob) { ++blob->counter_value; });
  EXPECT_CODE(root_->activate(far), Errc::kConflict);
  EXPECT_CODE(open(far), Errc::kConflict);
  EXPECT_OK(open(first));
}

TEST_F(Tpm2CounterTest, OtherKindsOfIndexAreRefused) {
  tpm_.tool({"nvdefine", "0x01800101", "-C", "o", "-s", "8", "-a", "authread|authwrite|no_da"});
  tpm_.tool(
      {"nvdefine", "0x01800102", "-C", "o", "-s", "8", "-a", "nt=counter|ownerread|ownerwrite"});
  for (const char* counter : {"counter=0x01800101", "counter=0x01800102"}) {
    const auto root = open_root(tpm_.uri(counter), {});
    ASSERT_OK(root);
    EXPECT_CODE(root.value()->create(32, context_), Errc::kRefused) << counter;
  }
}

TEST_F(Tpm2CounterTest, GoesWithPcrsAndAPin) {
  const std::string pin = "pin-source=file:" + tpm_.write_file("pin", as_bytes("1234"));
  const auto root = open_root(tpm_.uri(kCounter + ("&pcrs=sha256:7&" + pin)), {});
  ASSERT_OK(root);
  const auto made = root.value()->create(32, context_);
  ASSERT_OK(made);
  EXPECT_OK(root.value()->activate(made->protector));
  const auto opened = root.value()->open(made->protector, context_);
  ASSERT_OK(opened);
  EXPECT_TRUE(secrets_equal(opened->expose_secret(), made->kek.expose_secret()));
  tpm_.write_file("pin", as_bytes("1235"));
  EXPECT_CODE(root.value()->open(made->protector, context_), Errc::kDenied);
  tpm_.write_file("pin", as_bytes("1234"));
  tpm_.extend_pcr(7);
  EXPECT_CODE(root.value()->open(made->protector, context_), Errc::kDenied);
}

}  // namespace
}  // namespace rewrap
