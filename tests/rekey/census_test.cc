// The census and the gate of decommissioning (R4).
#include "rekey/census.h"

#include "rekey/keyset_lock.h"
#include "rekey/segment.h"
#include "tests/rekey/fixture.h"

namespace rewrap {
namespace {

class GateTest : public AlgorithmFixture {
 protected:
  Status let_go(KekVersion version) {
    return decommission(store_.get(), kName, version, new_keyring().get());
  }
  void expect_refused(KekVersion version, const char* reason) {
    const Status status = let_go(version);
    EXPECT_EQ(status.code(), Errc::kRefused);
    EXPECT_NE(status.describe().find(reason), std::string::npos) << status.describe();
  }
};
REWRAP_FOR_EACH_ALGORITHM(GateTest);

TEST_P(GateTest, R4ADecommissionedVersionIsGone) {
  const std::vector<DekId> ids = generate(3000);
  rekey_all();
  EXPECT_TRUE(verify_all().certified);
  ASSERT_TRUE(let_go(1).ok());
  const auto snapshot = ok_value(store_->snapshot());
  const auto record =
      ok_value(decode_kek_version(ok_value(snapshot->kek_version(census().keyset.number, 1))));
  EXPECT_EQ(record.state, KekState::kDestroyed);
  EXPECT_TRUE(record.protectors.empty());
  EXPECT_TRUE(record.mac_key_wrap.empty());
  EXPECT_EQ(open_all(ids).size(), ids.size());
  EXPECT_EQ(let_go(1).code(), Errc::kNotFound);
}

TEST_P(GateTest, R4TheOldRootNeedNotBeThereAnyMore) {
  generate(100);
  const std::string other = "file:" + directory_.path() + "/other.key";
  ASSERT_TRUE(create_root_key(other, root_options()).ok());
  RekeyOptions options;
  options.implementation = &implementation();
  options.root_uri = other;
  ASSERT_TRUE(ok_value(rekey(store_.get(), kName, new_keyring().get(), options)).complete());
  ASSERT_TRUE(verify_all().certified);
  ASSERT_EQ(unlink((directory_.path() + "/root.key").c_str()), 0);
  EXPECT_TRUE(let_go(1).ok());
}

TEST_P(GateTest, R4RefusesOnAForgedVerify) {
  generate(10);
  rekey_all();
  auto transaction = ok_value(store_->begin());
  KeysetRecord forged = census().keyset;
  forged.verified_version = forged.current_version;
  Mac wrong = ok_value(Mac::create(Bytes(kMacKeyLen, 1)));
  ASSERT_TRUE(transaction->put_keyset(kName, ok_value(seal_keyset(forged, &wrong))).ok());
  ASSERT_TRUE(transaction->commit().ok());
  EXPECT_EQ(let_go(1).code(), Errc::kCorruption);
}

TEST_P(GateTest, R4RefusesTheCurrentVersion) {
  generate(10);
  verify_all();
  expect_refused(1, "current");
}

TEST_P(GateTest, R4RefusesWithoutAVerifySinceTheRekey) {
  generate(10);
  EXPECT_TRUE(verify_all().certified) << "under version 1, which does not count for version 2";
  rekey_all();
  expect_refused(1, "verify");
  EXPECT_TRUE(verify_all().certified);
  EXPECT_TRUE(let_go(1).ok());
}

TEST_P(GateTest, R4RefusesWhileASegmentNeedsTheVersion) {
  generate(3 * kMaxSegmentDeks);
  const KeysetNumber number = census().keyset.number;
  auto snapshot = ok_value(store_->snapshot());
  const ByteView stored = ok_value(snapshot->wraps(number, 1));
  const Bytes old(stored.begin(), stored.end());
  snapshot.reset();
  rekey_all();
  EXPECT_TRUE(verify_all().certified);
  auto transaction = ok_value(store_->begin());  // as if a backup of one segment had been put back
  ASSERT_TRUE(transaction->put_wraps(number, 1, old).ok());
  ASSERT_TRUE(transaction->commit().ok());
  expect_refused(1, "still need");
  EXPECT_FALSE(verify_all().certified) << "sound, but not all under the current version";
}

TEST_P(GateTest, R4RefusesWhileAQuarantinedDekNeedsTheVersion) {
  generate(10);
  add_damaged();
  EXPECT_EQ(rekey_all().quarantined, 1U);
  EXPECT_TRUE(verify_all().certified);
  expect_refused(1, "quarantine");
  EXPECT_EQ(ok_value(drop_quarantine(store_.get(), kName, {})), 1U);
  EXPECT_TRUE(let_go(1).ok());
  EXPECT_EQ(verify_all().damaged, 0U);
}

TEST_P(GateTest, R4RefusesWhileARekeyIsUnfinishedOrRunning) {
  generate(10);
  rekey_all();
  verify_all();
  {
    const auto lock = ok_value(KeysetLock::acquire(store_->directory(), census().keyset.number));
    EXPECT_EQ(let_go(1).code(), Errc::kConflict);
  }
  std::atomic<bool> stop{true};
  RekeyOptions options;
  options.implementation = &implementation();
  options.stop = &stop;
  EXPECT_TRUE(ok_value(rekey(store_.get(), kName, new_keyring().get(), options)).stopped);
  expect_refused(1, "not finished");
}

TEST_P(GateTest, R4RefusesWhenASegmentIsMissing) {
  generate(3 * kMaxSegmentDeks);
  rekey_all();
  verify_all();
  auto transaction = ok_value(store_->begin());
  ASSERT_TRUE(transaction->put_wraps(census().keyset.number, 2, Bytes(10)).ok());
  ASSERT_TRUE(transaction->commit().ok());
  EXPECT_EQ(census().unreadable_segments, 1U);
  expect_refused(1, "cannot be read");
}

TEST_P(GateTest, AnUnknownVersionIsNotFound) { EXPECT_EQ(let_go(7).code(), Errc::kNotFound); }

TEST_P(GateTest, DroppingAnUnknownDekDropsNothing) {
  generate(10);
  add_damaged();
  rekey_all();
  EXPECT_EQ(drop_quarantine(store_.get(), kName, {DekId{9}}).status().code(), Errc::kNotFound);
  EXPECT_EQ(census().quarantined(), 1U);
}

}  // namespace
}  // namespace rewrap
