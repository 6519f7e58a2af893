// Protectors bound to a counter: in which order they are made valid, proven and dropped, which of a
// version's protectors may open it, and what becomes of those that do not.
#include "rekey/protect.h"

#include "rekey/reprotect.h"
#include "tests/rekey/counting_root.h"
#include "tests/rekey/fixture.h"

namespace rewrap {
namespace {

class CounterTest : public RekeyFixture {
 protected:
  void SetUp() override {
    RekeyFixture::SetUp();
    ASSERT_TRUE(create_keyset(store_.get(), {kCounted, kRoot}, keyring().get()).ok());
    ASSERT_TRUE(
        generate_deks(store_.get(), kCounted, keyring().get(), kNumDeks, 32, implementation(), {})
            .ok());
  }

  std::unique_ptr<Keyring> keyring() {
    return std::make_unique<Keyring>(root_options(), test::opener(&tpm_));
  }
  Result<RekeyReport> rekey_counted(const std::string& root = "") {
    RekeyOptions options;
    options.implementation = &implementation();
    options.root_uri = root;
    return rekey(store_.get(), kCounted, keyring().get(), options);
  }
  Result<ReprotectReport> reprotect_counted(const std::string& root, bool add = true) {
    return reprotect(store_.get(), kCounted, keyring().get(), {root, add});
  }
  Result<VerifyReport> verify_with(Keyring* keyring) {
    return verify(store_.get(), kCounted, keyring, {&implementation(), 1, {}});
  }
  std::vector<VersionCount> versions() {
    const auto snapshot = ok_value(store_->snapshot());
    return ok_value(take_census(*snapshot, kCounted)).versions;
  }

  static constexpr const char* kCounted = "counted";
  static constexpr const char* kRoot = "counting:one";
  static constexpr std::uint64_t kNumDeks = 20;
  test::CountingTpm tpm_;
};

TEST_F(CounterTest, ARekeyRaisesTheCounterOnceAndKeepsNothingDead) {
  const std::uint64_t before = tpm_.counter;
  ASSERT_TRUE(rekey_counted().ok());
  EXPECT_EQ(tpm_.counter, before + 1);
  for (const VersionCount& version : versions()) EXPECT_EQ(version.key_refs.size(), 1U);
}

TEST_F(CounterTest, ANewKekIsProvenBeforeAnyDekMovesToIt) {
  tpm_.spoils = true;
  EXPECT_EQ(rekey_counted().status().code(), Errc::kCorruption);
  EXPECT_EQ(versions().at(0).deks, kNumDeks);
  EXPECT_EQ(versions().at(0).key_refs.size(), 2U) << "nothing is dropped before the proof";
}

TEST_F(CounterTest, NothingIsDroppedBeforeTheCounterRises) {
  tpm_.does_not_rise = true;
  EXPECT_EQ(reprotect_counted(kRoot).status().code(), Errc::kUnavailable);
  EXPECT_EQ(versions().at(0).key_refs.size(), 2U);
  EXPECT_EQ(rekey_counted().status().code(), Errc::kUnavailable) << "what is stored waits";
  tpm_.does_not_rise = false;
  EXPECT_EQ(ok_value(verify_with(keyring().get())).ok, kNumDeks) << "opening activates it";
}

TEST_F(CounterTest, WhatACrashLeftBehindIsNotReportedAsBroken) {
  tpm_.does_not_rise = true;
  ASSERT_FALSE(reprotect_counted(kRoot).ok());
  tpm_.does_not_rise = false;
  const auto ring = keyring();
  ASSERT_TRUE(verify_with(ring.get()).ok());
  EXPECT_TRUE(ring->broken().empty());
}

TEST_F(CounterTest, AKeysetIsThereEvenIfItsFirstProtectorCouldNotBeMadeValid) {
  test::CountingTpm late;
  late.does_not_rise = true;
  const auto other = ok_value(open_store(directory_.path() + "/other", OpenMode::kCreate));
  Keyring first(root_options(), test::opener(&late));
  ASSERT_TRUE(create_keyset(other.get(), {"k", kRoot}, &first).ok());
  EXPECT_EQ(first.broken().size(), 1U);
  late.does_not_rise = false;
  Keyring second(root_options(), test::opener(&late));
  EXPECT_TRUE(load_keyset(*ok_value(other->snapshot()), "k", &second).ok());
}

TEST_F(CounterTest, AWrongPinIsTriedOnceForAllVersions) {
  ASSERT_TRUE(reprotect_counted(root_uri_).ok());
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(rekey_counted().ok());
  tpm_.has_wrong_pin = true;
  const auto ring = keyring();
  ring->allow_recovery();
  ASSERT_TRUE(verify_with(ring.get()).ok());
  EXPECT_EQ(ring->broken().size(), 4U);
  EXPECT_EQ(tpm_.num_pins_tried, 1);
}

TEST_F(CounterTest, AnOldCopyIsOpenedForRecoveryOnly) {
  ASSERT_TRUE(reprotect_counted(root_uri_).ok());
  ++tpm_.counter;
  const auto careful = keyring();
  EXPECT_EQ(verify_with(careful.get()).status().code(), Errc::kRefused);
  const auto recovering = keyring();
  recovering->allow_recovery();
  EXPECT_EQ(ok_value(verify_with(recovering.get())).ok, kNumDeks);
  ASSERT_EQ(recovering->broken().size(), 1U);
  EXPECT_EQ(recovering->broken()[0].what.code(), Errc::kRefused);
}

TEST_F(CounterTest, WithoutTheCountersWordNothingElseOpensIt) {
  ASSERT_TRUE(reprotect_counted(root_uri_).ok());
  tpm_.has_wrong_pin = true;
  const Status status = verify_with(keyring().get()).status();
  EXPECT_EQ(status.code(), Errc::kDenied);
  EXPECT_NE(std::string(status.hint()).find("--recover"), std::string::npos);
}

TEST_F(CounterTest, ACounterThatWasThereBeforeIsRefused) {
  EXPECT_EQ(reprotect(store_.get(), kName, keyring().get(), {"counting:two", true}).status().code(),
            Errc::kRefused)
      << "another keyset of this store has it";
  tpm_.sealed.clear();
  const auto other = ok_value(open_store(directory_.path() + "/other", OpenMode::kCreate));
  EXPECT_EQ(create_keyset(other.get(), {"k", kRoot}, keyring().get()).status().code(),
            Errc::kRefused)
      << "it may be that of another store";
  tpm_.counter = 0;
  EXPECT_TRUE(create_keyset(other.get(), {"k", kRoot}, keyring().get()).ok())
      << "control: a new counter";
}

TEST_F(CounterTest, DroppedRootsAreTold) {
  ASSERT_TRUE(reprotect_counted(root_uri_).ok());
  EXPECT_EQ(ok_value(rekey_counted(root_uri_)).dropped_roots, std::vector<std::string>{kRoot});
  EXPECT_EQ(ok_value(reprotect_counted(root_uri_, false)).dropped_roots,
            std::vector<std::string>{kRoot});
  EXPECT_TRUE(ok_value(rekey_counted()).dropped_roots.empty());
}

}  // namespace
}  // namespace rewrap
