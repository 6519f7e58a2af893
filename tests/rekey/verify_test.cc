// Verify finds what it must: each test breaks one thing on purpose; the first is the control.
#include "rekey/verify.h"

#include "rekey/segment.h"
#include "tests/rekey/fixture.h"

namespace rewrap {
namespace {

class VerifyTest : public AlgorithmFixture {
 protected:
  void SetUp() override {
    RekeyFixture::SetUp();
    ids_ = generate(3 * kMaxSegmentDeks);
    number_ = census().keyset.number;
  }

  // change applies `edit` to a stored value of segment `segment`.
  template <typename Edit>
  void change_wraps(SegmentNumber segment, const Edit& edit) {
    auto transaction = ok_value(store_->begin());
    const ByteView stored = ok_value(transaction->wraps(number_, segment));
    Bytes value(stored.begin(), stored.end());
    edit(&value);
    ASSERT_TRUE(transaction->put_wraps(number_, segment, value).ok());
    ASSERT_TRUE(transaction->commit().ok());
  }

  void expect_damage(std::uint64_t damaged) {
    const VerifyReport report = verify_all();
    EXPECT_EQ(report.damaged, damaged);
    EXPECT_EQ(report.ok + report.damaged, report.deks);
    EXPECT_FALSE(report.findings.empty());
    EXPECT_FALSE(report.certified);
  }

  std::vector<DekId> ids_;
  KeysetNumber number_ = 0;
  static constexpr std::size_t kWrapsAt = kSegmentHeaderLen + kMaxSegmentDeks / 8;
};
REWRAP_FOR_EACH_ALGORITHM(VerifyTest);

TEST_P(VerifyTest, ControlAnUntouchedKeysetPasses) {
  const VerifyReport report = verify_all();
  EXPECT_EQ(report.ok, ids_.size());
  EXPECT_EQ(report.damaged, 0U);
  EXPECT_TRUE(report.findings.empty());
  EXPECT_TRUE(report.certified);
}

TEST_P(VerifyTest, FindsTwoWrapsExchanged) {
  const auto len = static_cast<std::ptrdiff_t>(wrapped_len(algorithm(), 32));
  change_wraps(1, [len](Bytes* value) {
    std::swap_ranges(value->begin() + kWrapsAt, value->begin() + kWrapsAt + len,
                     value->begin() + kWrapsAt + 10 * len);
  });
  expect_damage(kMaxSegmentDeks);
}

TEST_P(VerifyTest, FindsTwoSegmentsExchanged) {
  auto transaction = ok_value(store_->begin());
  const ByteView first = ok_value(transaction->wraps(number_, 0));
  const ByteView second = ok_value(transaction->wraps(number_, 1));
  const Bytes a(first.begin(), first.end());
  const Bytes b(second.begin(), second.end());
  ASSERT_TRUE(transaction->put_wraps(number_, 0, b).ok());
  ASSERT_TRUE(transaction->put_wraps(number_, 1, a).ok());
  ASSERT_TRUE(transaction->commit().ok());
  expect_damage(2 * kMaxSegmentDeks);
}

TEST_P(VerifyTest, FindsIdsColumnsExchanged) {
  auto transaction = ok_value(store_->begin());
  const ByteView first = ok_value(transaction->ids(number_, 0));
  const ByteView second = ok_value(transaction->ids(number_, 1));
  const Bytes a(first.begin(), first.end());
  const Bytes b(second.begin(), second.end());
  ASSERT_TRUE(transaction->put_ids(number_, 0, b).ok());
  ASSERT_TRUE(transaction->put_ids(number_, 1, a).ok());
  ASSERT_TRUE(transaction->commit().ok());
  expect_damage(2 * kMaxSegmentDeks);
}

TEST_P(VerifyTest, FindsEachChangedHeaderByte) {
  for (std::size_t at = 0; at < kSegmentHeaderLen; ++at) {
    change_wraps(2, [at](Bytes* value) { (*value)[at] ^= 0x40; });
    EXPECT_EQ(verify_all().damaged, kMaxSegmentDeks) << "header byte " << at;
    change_wraps(2, [at](Bytes* value) { (*value)[at] ^= 0x40; });
  }
  EXPECT_EQ(verify_all().damaged, 0U);
}

TEST_P(VerifyTest, FindsAChangedBitmapWrapOrTag) {
  for (const std::size_t at :
       {kSegmentHeaderLen, kWrapsAt, kWrapsAt + wrapped_len(algorithm(), 32) * kMaxSegmentDeks}) {
    change_wraps(0, [at](Bytes* value) { (*value)[at] ^= 0x01; });
    EXPECT_EQ(verify_all().damaged, kMaxSegmentDeks) << "byte " << at;
    change_wraps(0, [at](Bytes* value) { (*value)[at] ^= 0x01; });
  }
}

TEST_P(VerifyTest, FindsADekThatDoesNotOpen) {
  const DekId bad = add_damaged();
  const VerifyReport report = verify_all();
  EXPECT_EQ(report.damaged, 1U);
  ASSERT_EQ(report.findings.size(), 1U);
  EXPECT_EQ(report.findings.front().id, bad);
}

TEST_P(VerifyTest, FindsASegmentCutShort) {
  change_wraps(2, [](Bytes* value) { value->resize(value->size() - 1); });
  expect_damage(kMaxSegmentDeks);
}

TEST_P(VerifyTest, FindsALostIndexEntry) {
  auto transaction = ok_value(store_->begin());
  ASSERT_TRUE(transaction->drop_location(number_, ids_[5]).ok());
  ASSERT_TRUE(transaction->commit().ok());
  expect_damage(1);
}

TEST_P(VerifyTest, FindsAnIndexEntryThatLeadsElsewhere) {
  auto transaction = ok_value(store_->begin());
  ASSERT_TRUE(transaction->put_location(number_, ids_[5], {1, 77}).ok());
  ASSERT_TRUE(transaction->commit().ok());
  expect_damage(1);
}

TEST_P(VerifyTest, FindsAChangedKeysetRecord) {
  auto transaction = ok_value(store_->begin());
  const ByteView stored = ok_value(transaction->keyset(kName));
  Bytes value(stored.begin(), stored.end());
  value[value.size() - 40] ^= 1;
  ASSERT_TRUE(transaction->put_keyset(kName, value).ok());
  ASSERT_TRUE(transaction->commit().ok());
  const auto report = verify(store_.get(), kName, new_keyring().get(), {&implementation(), 2, {}});
  EXPECT_EQ(report.status().code(), Errc::kCorruption);
}

TEST_P(VerifyTest, FindsProtectorsExchangedBetweenVersions) {
  rekey_all();
  auto transaction = ok_value(store_->begin());
  const ByteView first = ok_value(transaction->kek_version(number_, 1));
  const ByteView second = ok_value(transaction->kek_version(number_, 2));
  const Bytes a(first.begin(), first.end());
  const Bytes b(second.begin(), second.end());
  ASSERT_TRUE(transaction->put_kek_version(number_, 1, b).ok());
  ASSERT_TRUE(transaction->put_kek_version(number_, 2, a).ok());
  ASSERT_TRUE(transaction->commit().ok());
  const auto report = verify(store_.get(), kName, new_keyring().get(), {&implementation(), 2, {}});
  EXPECT_EQ(report.status().code(), Errc::kCorruption);
}

}  // namespace
}  // namespace rewrap
