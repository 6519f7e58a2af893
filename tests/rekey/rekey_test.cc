// The invariants of a rekey, R1 to R9 of rekey/rekey.h; the tests carry the numbers.
#include "rekey/rekey.h"

#include <atomic>
#include <set>
#include <thread>

#include "rekey/dek_wrap.h"
#include "rekey/keyset_lock.h"
#include "rekey/segment.h"
#include "tests/rekey/faulty_store.h"
#include "tests/rekey/fixture.h"

namespace rewrap {
namespace {

// Ends a rekey once `num_deks` are done, as a signal would.
struct StopAfter {
  std::atomic<bool> stop{false};
  ProgressFn progress(std::uint64_t num_deks) {
    return [this, num_deks](const Progress& at) { stop = stop || at.done >= num_deks; };
  }
};

// A rate low enough that groups are of one segment each.
constexpr double kOneSegmentPerGroup = 20'000;

class RekeyTest : public AlgorithmFixture {
 protected:
  // interrupted_rekey stops after its first commit.
  RekeyReport interrupted_rekey() {
    StopAfter after;
    RekeyOptions options;
    options.implementation = &implementation();
    options.num_threads = 1;
    options.max_deks_per_second = kOneSegmentPerGroup;
    options.stop = &after.stop;
    options.progress = after.progress(1);
    const RekeyReport report = ok_value(rekey(store_.get(), kName, new_keyring().get(), options));
    EXPECT_TRUE(report.stopped);
    return report;
  }
};
REWRAP_FOR_EACH_ALGORITHM(RekeyTest);

TEST_P(RekeyTest, MovesEveryDekAndKeepsItsKey) {
  std::vector<DekId> ids = generate(5000);
  for (const std::size_t len : {16U, 24U, 48U, 64U}) {
    const auto more = generate(100, len);
    ids.insert(ids.end(), more.begin(), more.end());
  }
  const auto before = open_all(ids);
  const RekeyReport report = rekey_all();
  EXPECT_TRUE(report.complete());
  EXPECT_EQ(report.rewrapped, ids.size());
  EXPECT_EQ(report.from_version, 1U);
  EXPECT_EQ(report.to_version, 2U);
  EXPECT_EQ(open_all(ids), before);
  EXPECT_EQ(verify_all().ok, ids.size());
  EXPECT_EQ(census().versions.at(0).segments, 0U);
}

TEST_P(RekeyTest, AnEmptyKeysetGetsANewVersion) {
  const RekeyReport report = rekey_all();
  EXPECT_TRUE(report.complete());
  EXPECT_EQ(report.to_version, 2U);
  EXPECT_EQ(generate(1).size(), 1U);
}

// R1, R2, R9: whichever commit fails, every DEK still opens through a new keyring, the job stops
// there, and running it again ends with nothing left under the old version.
TEST_P(RekeyTest, R1R2R9EveryCommitMayFail) {
  const std::vector<DekId> ids = generate(3000);
  const auto before = open_all(ids);
  KekVersion target = 2;
  int failures = 0;
  for (int fail_at = 1; fail_at < 50; ++fail_at, ++target) {
    FaultyStore faulty(store_.get(), fail_at);
    const auto report = rekey_with(&faulty);
    if (report.ok()) {
      EXPECT_FALSE(faulty.has_failed());
      break;
    }
    ++failures;
    EXPECT_EQ(report.status().code(), Errc::kExhausted);
    EXPECT_EQ(open_all(ids), before) << "after a failure of commit " << fail_at;
    EXPECT_EQ(verify_all().damaged, 0U);
    EXPECT_TRUE(rekey_all().complete());
    const Census counted = census();
    for (const VersionCount& count : counted.versions) {
      EXPECT_TRUE(count.segments == 0 || count.version == counted.keyset.current_version);
    }
  }
  EXPECT_GE(failures, 3) << "start, at least one group, finish";
  EXPECT_EQ(open_all(ids), before);
}

// R1, negative control: a segment that names a version without a protector is lost, and open_all
// would say so.
TEST_P(RekeyTest, R1ControlAVersionWithoutProtectorCannotBeOpened) {
  const std::vector<DekId> ids = generate(10);
  const KeysetNumber number = census().keyset.number;
  auto transaction = ok_value(store_->begin());
  KekVersionRecord record =
      ok_value(decode_kek_version(ok_value(transaction->kek_version(number, 1))));
  record.protectors.clear();
  ASSERT_TRUE(transaction->put_kek_version(number, 1, encode(record)).ok());
  ASSERT_TRUE(transaction->commit().ok());
  const auto got = get_dek(store_.get(), kName, ids.front(), new_keyring().get());
  EXPECT_EQ(got.status().code(), Errc::kCorruption);
}

TEST_P(RekeyTest, R3NewDeksGoUnderTheNewVersionFromTheStart) {
  generate(20 * kMaxSegmentDeks);
  StopAfter after;
  RekeyOptions options;
  options.implementation = &implementation();
  options.max_deks_per_second = kOneSegmentPerGroup;
  options.stop = &after.stop;
  options.progress = after.progress(1);
  const RekeyReport stopped = ok_value(rekey(store_.get(), kName, new_keyring().get(), options));
  EXPECT_TRUE(stopped.stopped);
  EXPECT_LT(stopped.rewrapped, stopped.deks);
  const DekId id = generate(1).front();
  const auto keyring = new_keyring();
  EXPECT_EQ(ok_value(get_dek(store_.get(), kName, id, keyring.get())).version, 2U);

  // A batch that was wrapped before the rekey is refused, not stored under the old version.
  NewDeks late;
  late.version = 1;
  late.dek_len = 32;
  late.ids.resize(1, DekId{1});
  late.wraps.resize(wrapped_len(algorithm(), 32));
  EXPECT_EQ(append_deks(store_.get(), kName, *keyring, late).code(), Errc::kConflict);
}

TEST_P(RekeyTest, R5AStoppedRekeyGoesOnAndRunningTwiceChangesNothing) {
  const std::vector<DekId> ids = generate(20 * kMaxSegmentDeks);
  StopAfter after;
  RekeyOptions options;
  options.implementation = &implementation();
  options.max_deks_per_second = kOneSegmentPerGroup;
  options.stop = &after.stop;
  options.progress = after.progress(3 * kMaxSegmentDeks);
  const RekeyReport stopped = ok_value(rekey(store_.get(), kName, new_keyring().get(), options));
  ASSERT_TRUE(stopped.stopped);
  EXPECT_EQ(census().keyset.rekey_target, 2U);
  EXPECT_EQ(verify_all().damaged, 0U) << "a mixed keyset is a sound one";
  const RekeyReport rest = rekey_all();
  EXPECT_TRUE(rest.resumed);
  EXPECT_EQ(rest.to_version, 2U);
  EXPECT_EQ(stopped.rewrapped + rest.rewrapped, ids.size());
  EXPECT_EQ(census().keyset.rekey_target, 0U);
}

// Every DEK comes once, in the same order before and after; what is in quarantine does not come.
TEST_P(RekeyTest, DeksAreListedPageByPage) {
  const std::vector<DekId> ids = generate(2 * kMaxSegmentDeks + 10);
  const std::vector<DekId> large = generate(3, 64);
  const auto list = [&](std::size_t max) {
    const KekVersion version = census().keyset.current_version;
    std::vector<DekId> listed;
    DekPage page;
    do {
      page = ok_value(list_deks(store_.get(), kName, page.next.value_or(DekPosition{}), max));
      EXPECT_LE(page.deks.size(), max);
      EXPECT_FALSE(page.deks.empty());
      for (const DekInfo& dek : page.deks) {
        listed.push_back(dek.id);
        EXPECT_EQ(dek.version, version);
        EXPECT_EQ(dek.algorithm, algorithm());
        EXPECT_NE(dek.created_at, 0U);
      }
    } while (page.next);
    return listed;
  };
  const std::vector<DekId> before = list(1000);
  std::set<DekId> expected(ids.begin(), ids.end());
  expected.insert(large.begin(), large.end());
  EXPECT_EQ(before.size(), expected.size());
  EXPECT_EQ(std::set<DekId>(before.begin(), before.end()), expected);
  const DekId bad = add_damaged();
  EXPECT_FALSE(rekey_all().complete());
  EXPECT_EQ(list(kMaxSegmentDeks), before)
      << "with another page size, and without " << format_uuid(bad);
  EXPECT_EQ(list(expected.size()), before) << "the last page is the only one";
  EXPECT_EQ(list_deks(store_.get(), "none", {}, 1).status().code(), Errc::kNotFound);
}

TEST_P(RekeyTest, R6OneRekeyPerKeysetAtATime) {
  generate(10);
  const auto lock = KeysetLock::acquire(store_->directory(), census().keyset.number);
  ASSERT_TRUE(lock.ok());
  EXPECT_EQ(rekey_with(store_.get()).status().code(), Errc::kConflict);
  EXPECT_EQ(census().keyset.current_version, 1U);
}

TEST_P(RekeyTest, R7ADamagedDekIsKeptByteForByteAndTheOthersGoOn) {
  const std::vector<DekId> ids = generate(3000);
  const auto before = open_all(ids);
  const DekId bad = add_damaged();
  const Bytes wrap = ok_value(get_dek(store_.get(), kName, bad, nullptr)).wrap;
  const RekeyReport report = rekey_all();
  EXPECT_FALSE(report.complete());
  EXPECT_EQ(report.quarantined, 1U);
  EXPECT_EQ(report.rewrapped, ids.size());
  EXPECT_EQ(open_all(ids), before);
  const auto quarantine = ok_value(list_quarantine(store_.get(), kName));
  ASSERT_EQ(quarantine.size(), 1U);
  EXPECT_EQ(quarantine.front().id, bad);
  EXPECT_EQ(quarantine.front().record.wrap, wrap);
  EXPECT_EQ(quarantine.front().record.version, 1U);
  EXPECT_EQ(get_dek(store_.get(), kName, bad, nullptr).status().code(), Errc::kIntegrity);
  const VerifyReport verified = verify_all();
  EXPECT_EQ(verified.damaged, 0U);
  EXPECT_EQ(verified.ok, ids.size());
  EXPECT_EQ(verified.quarantined, 1U);
}

TEST_P(RekeyTest, R7AGoodCopyReplacesAQuarantinedDek) {
  generate(100);
  const DekId bad = add_damaged();
  rekey_all();
  const auto keyring = new_keyring();
  const auto snapshot = ok_value(store_->snapshot());
  const KeysetRecord keyset = ok_value(load_keyset(*snapshot, kName, keyring.get()));
  const Bytes key(32, 0x5a);
  const auto ivs = ok_value(reserve_ivs(store_.get(), keyset, *keyring, 1));
  const WrapSide side = dek_side(keyset, keyring->find(keyset.current_version)->kek, ivs.get());
  auto wrapper = ok_value(implementation().make({32, std::nullopt, side, false}));
  NewDeks deks{keyset.current_version, 32, {bad}, Bytes(wrapped_len(algorithm(), 32))};
  std::array<std::uint8_t, 1> verdict{};
  ASSERT_TRUE(wrapper->run({key, deks.wraps, verdict, {}, {bad, bad.size(), bad.size()}}).ok());
  ASSERT_TRUE(append_deks(store_.get(), kName, *keyring, deks).ok());
  EXPECT_EQ(open_all({bad}).at(bad), key);
  EXPECT_EQ(verify_all().damaged, 0U);
  EXPECT_TRUE(ok_value(list_quarantine(store_.get(), kName)).empty());
  EXPECT_EQ(append_deks(store_.get(), kName, *keyring, deks).code(), Errc::kAlreadyExists);
}

TEST_P(RekeyTest, R7AnInterruptedRekeyRemembersWhatItSetAside) {
  add_damaged();
  generate(20 * kMaxSegmentDeks);
  ASSERT_EQ(interrupted_rekey().quarantined, 1U);
  const RekeyReport second = rekey_all();
  EXPECT_TRUE(second.resumed);
  EXPECT_EQ(second.quarantined, 1U) << "or the last run would say that all is well";
  EXPECT_FALSE(second.complete());
}

TEST_P(RekeyTest, R7WhatWasSetAsideIsKnownWhateverTheClockSaid) {
  const auto say_since = [&](KekVersion version, std::uint64_t since) {
    const KeysetNumber number = census().keyset.number;
    auto transaction = ok_value(store_->begin());
    for (const QuarantinedDek& dek : ok_value(list_quarantine(store_.get(), kName))) {
      QuarantineRecord record = dek.record;
      if (record.version != version) continue;
      record.since = since;
      ASSERT_TRUE(transaction->put_quarantined(number, dek.id, encode(record)).ok());
    }
    ASSERT_TRUE(transaction->commit().ok());
  };
  add_damaged();
  add_damaged();
  ASSERT_EQ(rekey_all().quarantined, 2U);
  say_since(1, now_seconds() + 1'000'000);
  add_damaged();
  generate(20 * kMaxSegmentDeks);
  ASSERT_EQ(interrupted_rekey().quarantined, 1U);
  say_since(2, 1);
  const RekeyReport second = rekey_all();
  EXPECT_TRUE(second.resumed);
  EXPECT_EQ(second.quarantined, 1U) << "that of version 2, not those of version 1";
}

TEST_P(RekeyTest, R7ADamagedDekWithoutAProvenIdKeepsItsSegmentAsItIs) {
  const std::vector<DekId> ids = generate(kMaxSegmentDeks - 1);
  add_damaged();  // fills segment 0
  generate(2 * kMaxSegmentDeks);
  const KeysetNumber number = census().keyset.number;
  auto transaction = ok_value(store_->begin());
  const ByteView stored = ok_value(transaction->ids(number, 0));
  Bytes changed(stored.begin(), stored.end());
  changed[100] ^= 1;
  ASSERT_TRUE(transaction->put_ids(number, 0, changed).ok());
  ASSERT_TRUE(transaction->commit().ok());
  const RekeyReport report = rekey_all();
  EXPECT_EQ(report.damaged_segments, std::vector<SegmentNumber>{0});
  EXPECT_EQ(report.rewrapped, 2 * kMaxSegmentDeks) << "the others go on";
  EXPECT_EQ(report.quarantined, 0U);
}

TEST_P(RekeyTest, R7WhatQuarantineKeepsIsNeverOverwritten) {
  const auto keyring = new_keyring();
  const auto snapshot = ok_value(store_->snapshot());
  ASSERT_TRUE(load_keyset(*snapshot, kName, keyring.get()).ok());
  for (const std::uint8_t fill : {std::uint8_t{1}, std::uint8_t{2}}) {
    NewDeks deks;
    deks.version = 1;
    deks.dek_len = 32;
    deks.damaged = {{DekId{7}, WrapAlgorithm::kKw, Bytes(40, fill)}};
    ASSERT_TRUE(append_deks(store_.get(), kName, *keyring, deks).ok());
  }
  const auto kept = ok_value(list_quarantine(store_.get(), kName));
  ASSERT_EQ(kept.size(), 1U);
  EXPECT_EQ(kept.front().record.wrap, Bytes(40, 1));
}

TEST_P(RekeyTest, AnAcceptedSegmentMustAtLeastHaveItsNumberOfDeks) {
  generate(kMaxSegmentDeks);
  const KeysetNumber number = census().keyset.number;
  auto transaction = ok_value(store_->begin());
  const ByteView stored = ok_value(transaction->wraps(number, 0));
  Bytes changed(stored.begin(), stored.end());
  changed[kSegmentHeaderLen] ^= 1;  // the first slot looks empty
  ASSERT_TRUE(transaction->put_wraps(number, 0, changed).ok());
  ASSERT_TRUE(transaction->commit().ok());
  RekeyOptions options;
  options.implementation = &implementation();
  options.accept_damaged_segments = true;
  const RekeyReport report = ok_value(rekey(store_.get(), kName, new_keyring().get(), options));
  EXPECT_EQ(report.damaged_segments, std::vector<SegmentNumber>{0});
  EXPECT_TRUE(report.accepted_segments.empty());
}

TEST_P(RekeyTest, AnUnfinishedRekeyRefusesAnotherRoot) {
  generate(10);
  std::atomic<bool> stop{true};
  RekeyOptions options;
  options.implementation = &implementation();
  options.stop = &stop;
  ASSERT_TRUE(ok_value(rekey(store_.get(), kName, new_keyring().get(), options)).stopped);
  options.stop = nullptr;
  options.root_uri = root_uri_;
  EXPECT_EQ(rekey(store_.get(), kName, new_keyring().get(), options).status().code(),
            Errc::kConflict);
  EXPECT_TRUE(rekey_all().complete());
}

TEST_P(RekeyTest, R8ReadsAndInsertsGoOnDuringARekey) {
  std::vector<DekId> ids = generate(20 * kMaxSegmentDeks);
  const std::vector<DekId> sample(ids.begin(), ids.begin() + 50);
  const auto before = open_all(sample);
  std::atomic<bool> done{false};
  std::vector<DekId> added;
  std::uint64_t rounds = 0;
  {
    std::jthread others([&] {
      do {
        const auto more = generate(7);
        added.insert(added.end(), more.begin(), more.end());
        EXPECT_EQ(open_all(sample), before);
        ++rounds;
      } while (!done);
    });
    EXPECT_TRUE(rekey_all().complete());
    EXPECT_TRUE(rekey_all().complete());
    done = true;
  }
  EXPECT_GE(rounds, 1U);
  EXPECT_EQ(open_all(added).size(), added.size());
  EXPECT_TRUE(rekey_all().complete());
  EXPECT_EQ(verify_all().ok, ids.size() + added.size());
}

TEST_P(RekeyTest, ASegmentThatFailsAuthenticationIsLeftAloneUnlessAsked) {
  const std::vector<DekId> ids = generate(3 * kMaxSegmentDeks);
  const KeysetNumber number = census().keyset.number;
  auto transaction = ok_value(store_->begin());
  const ByteView stored = ok_value(transaction->wraps(number, 1));
  Bytes changed(stored.begin(), stored.end());
  changed[changed.size() / 2] ^= 1;
  ASSERT_TRUE(transaction->put_wraps(number, 1, changed).ok());
  ASSERT_TRUE(transaction->commit().ok());

  const RekeyReport left = rekey_all();
  EXPECT_EQ(left.damaged_segments, std::vector<SegmentNumber>{1});
  EXPECT_EQ(left.rewrapped, 2 * kMaxSegmentDeks);
  EXPECT_EQ(ok_value(ok_value(store_->snapshot())->wraps(number, 1)).size(), changed.size());
  EXPECT_EQ(census().keyset.rekey_target, 2U) << "not finished";
  const auto kept = ok_value(store_->snapshot());
  const ByteView after = ok_value(kept->wraps(number, 1));
  EXPECT_TRUE(std::equal(after.begin(), after.end(), changed.begin(), changed.end()));

  RekeyOptions options;
  options.implementation = &implementation();
  options.accept_damaged_segments = true;
  const RekeyReport accepted = ok_value(rekey(store_.get(), kName, new_keyring().get(), options));
  EXPECT_TRUE(accepted.resumed);
  EXPECT_EQ(accepted.accepted_segments, std::vector<SegmentNumber>{1});
  EXPECT_EQ(accepted.quarantined, 1U);
  EXPECT_EQ(accepted.rewrapped, kMaxSegmentDeks - 1);
  EXPECT_EQ(verify_all().ok, ids.size() - 1);
}

TEST_P(RekeyTest, ANewRootForTheNewVersion) {
  const std::vector<DekId> ids = generate(100);
  const auto before = open_all(ids);
  const std::string other = "file:" + directory_.path() + "/other.key";
  ASSERT_TRUE(create_root_key(other, root_options()).ok());
  RekeyOptions options;
  options.implementation = &implementation();
  options.root_uri = other;
  ASSERT_TRUE(ok_value(rekey(store_.get(), kName, new_keyring().get(), options)).complete());
  ASSERT_EQ(unlink((directory_.path() + "/root.key").c_str()), 0);
  EXPECT_EQ(open_all(ids), before) << "the old root is not needed any more";
}

TEST_P(RekeyTest, AMissingRootChangesNothing) {
  const std::vector<DekId> ids = generate(100);
  const std::string key = directory_.path() + "/root.key";
  ASSERT_EQ(rename(key.c_str(), (key + ".away").c_str()), 0);
  EXPECT_FALSE(rekey_with(store_.get()).ok());
  EXPECT_EQ(census().keyset.current_version, 1U);
  EXPECT_EQ(census().keyset.rekey_target, 0U);
}

TEST_P(RekeyTest, APlanChangesNothing) {
  generate(100);
  const RekeyReport plan = ok_value(plan_rekey(store_.get(), kName, new_keyring().get()));
  EXPECT_EQ(plan.rewrapped, 100U);
  EXPECT_EQ(plan.to_version, 2U);
  EXPECT_EQ(census().keyset.current_version, 1U);
}

}  // namespace
}  // namespace rewrap
