// Keysets of GCM wraps: no IV comes twice, whatever fails; the limit of a KEK version; and each
// wrap opens in its own record only.
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <mutex>
#include <set>

#include "hsm/random.h"
#include "rekey/dek_wrap.h"
#include "rekey/import.h"
#include "rekey/jsonl.h"
#include "rekey/rekey.h"
#include "tests/rekey/faulty_store.h"
#include "tests/rekey/fixture.h"

namespace rewrap {
namespace {

// Ledger is every KEK and IV that a wrap was made with, in the store or lost on the way to it.
class Ledger {
 public:
  void enter(const Bytes& kek, ByteView iv) {
    const std::lock_guard lock(mutex_);
    Bytes entry = kek;
    entry.insert(entry.end(), iv.begin(), iv.end());
    num_repeated_ += entries_.insert(std::move(entry)).second ? 0 : 1;
  }
  void clear() {
    entries_.clear();
    num_repeated_ = 0;
  }
  [[nodiscard]] std::size_t num_entries() const { return entries_.size(); }
  [[nodiscard]] std::size_t num_repeated() const { return num_repeated_; }

 private:
  std::mutex mutex_;
  std::set<Bytes> entries_;
  std::size_t num_repeated_ = 0;
};
Ledger
    ledger;  // NOLINT(cppcoreguidelines-avoid-non-const-global-variables): of the one test program

// Recording enters the IV of each wrap that the real transform makes.
class Recording final : public Transform {
 public:
  Recording(std::unique_ptr<Transform> real, ByteView kek)
      : real_(std::move(real)), kek_(kek.begin(), kek.end()) {}
  [[nodiscard]] std::size_t in_len() const override { return real_->in_len(); }
  [[nodiscard]] std::size_t out_len() const override { return real_->out_len(); }

 private:
  Status transform(const Batch& batch) override {
    REWRAP_TRY(real_->run(batch));
    for (std::size_t k = 0; k < batch.verdicts.size(); ++k) {
      if (batch.verdicts[k] == kIntact)
        ledger.enter(kek_, batch.out.subspan(k * out_len(), kGcmIvLen));
    }
    return {};
  }
  std::unique_ptr<Transform> real_;
  Bytes kek_;
};

Result<std::unique_ptr<Transform>> make_recording(const TransformSpec& spec) {
  REWRAP_ASSIGN(const Implementation* real, choose_implementation(""));
  REWRAP_ASSIGN(auto transform, real->make(spec));
  if (!spec.to || spec.to->algorithm != WrapAlgorithm::kGcm) return transform;
  return std::unique_ptr<Transform>(
      std::make_unique<Recording>(std::move(transform), spec.to->kek->expose_secret()));
}
constexpr Implementation kRecording{"recording", "enters IVs", "any CPU",
                                    [](const CpuFeatures&) { return true; }, make_recording};

class GcmKeysetTest : public RekeyFixture {
 protected:
  void SetUp() override {
    RekeyFixture::SetUp();
    ledger.clear();
  }
  [[nodiscard]] WrapAlgorithm algorithm() const override { return WrapAlgorithm::kGcm; }

  Result<std::vector<DekId>> generate_in(Store* store, std::uint64_t count) {
    return generate_deks(store, kName, new_keyring().get(), count, 32, kRecording, {});
  }
  Result<RekeyReport> rekey_in(Store* store) {
    RekeyOptions options;
    options.implementation = &kRecording;
    options.num_threads = 2;
    return rekey(store, kName, new_keyring().get(), options);
  }

  // write_foreign writes `count` RFC 3394 lines under a KEK in a file of its own.
  void write_foreign(std::size_t count) {
    const auto key = ok_value(SecretBuffer::create(32));
    std::ofstream(directory_.path() + "/foreign.kek", std::ios::binary)
        << std::string(key.expose_secret().begin(), key.expose_secret().end());
    ASSERT_EQ(chmod((directory_.path() + "/foreign.kek").c_str(), 0600), 0);
    const Kek kek = ok_value(Kek::create(ok_value(SecretBuffer::copy_of(key.expose_secret()))));
    const WrapSide side{WrapAlgorithm::kKw, &kek};
    auto wrap = ok_value(implementation().make({32, std::nullopt, side, false}));
    std::ofstream lines(directory_.path() + "/foreign.jsonl");
    Bytes one(40);
    Bytes verdict(1);
    for (std::size_t k = 0; k < count; ++k) {
      DekId id{};
      ASSERT_TRUE(random_bytes(id).ok());
      ASSERT_TRUE(wrap->run(Bytes(32, 9), one, verdict).ok());
      lines << format_wrap_line({id, WrapAlgorithm::kKw, 32, one, {}, 0});
    }
  }
  Result<ImportReport> import_in(Store* store) {
    const auto from = ok_value(open_wrapping_key("file:" + directory_.path() + "/foreign.kek",
                                                 WrappingUse::kUnwrap, root_options()));
    ImportOptions options;
    options.path = directory_.path() + "/foreign.jsonl";
    options.from = from.get();
    options.implementation = &kRecording;
    return import_deks(store, kName, new_keyring().get(), options);
  }

  // set_used moves the count of the current version, as many wraps do.
  void set_used(std::uint64_t gcm_wraps) {
    const auto keyring = new_keyring();
    auto transaction = ok_value(store_->begin());
    KeysetRecord keyset = ok_value(load_keyset(*transaction, kName, keyring.get()));
    keyset.gcm_wraps = gcm_wraps;
    ASSERT_TRUE(store_keyset(transaction.get(), keyset, *keyring).ok());
    ASSERT_TRUE(transaction->commit().ok());
  }

  // edit_segment changes segment 0 and seals it again, as only a holder of the MAC key could.
  template <typename Edit>
  void edit_segment(const Edit& edit) {
    const auto keyring = new_keyring();
    auto transaction = ok_value(store_->begin());
    const KeysetRecord keyset = ok_value(load_keyset(*transaction, kName, keyring.get()));
    const ByteView value = ok_value(transaction->wraps(keyset.number, 0));
    const SegmentView view = ok_value(parse_segment(value, keyset.uuid, 0));
    SegmentBuilder builder(view.header);
    builder.copy_live(view);
    copy_bytes(builder.wraps(), view.wraps);
    edit(&builder);
    Mac mac = ok_value(keyring->find(view.header.version)->make_mac());
    const Bytes sealed = ok_value(builder.seal(&mac));
    ASSERT_TRUE(transaction->put_wraps(keyset.number, 0, sealed).ok());
    ASSERT_TRUE(transaction->commit().ok());
  }
};

TEST_F(GcmKeysetTest, NoIvComesTwiceWhicheverCommitFails) {
  std::size_t num_failed = 0;
  for (int fail_at = 1; fail_at <= 4; ++fail_at) {
    FaultyStore faulty(store_.get(), fail_at);
    num_failed += generate_in(&faulty, 300).ok() ? 0 : 1;
    EXPECT_TRUE(generate_in(store_.get(), 2100).ok());
  }
  EXPECT_EQ(num_failed, 2U) << "the reservation, and what was wrapped with it";
  for (int fail_at = 1; fail_at <= 5; ++fail_at) {
    FaultyStore faulty(store_.get(), fail_at);
    num_failed += rekey_in(&faulty).ok() ? 0 : 1;
    EXPECT_TRUE(generate_in(store_.get(), 100).ok());
    EXPECT_TRUE(ok_value(rekey_in(store_.get())).complete());
  }
  EXPECT_GE(num_failed, 6U) << "start, reservation, segments, finish";
  EXPECT_GT(ledger.num_entries(), 2000U);
  EXPECT_EQ(ledger.num_repeated(), 0U);
  EXPECT_EQ(verify_all().damaged, 0U);
}

// What the order is for: if the reservation is not durable before the wraps are made, the same IVs
// come again.
TEST_F(GcmKeysetTest, ControlALostReservationRepeatsIvs) {
  FaultyStore lying(store_.get(), 1, FaultyStore::Fault::kLies);
  ASSERT_TRUE(generate_in(&lying, 300).ok());
  EXPECT_EQ(ledger.num_repeated(), 0U);
  ASSERT_TRUE(generate_in(store_.get(), 10).ok());
  EXPECT_EQ(ledger.num_repeated(), 10U);
}

TEST_F(GcmKeysetTest, NoIvComesTwiceWhicheverCommitOfAnImportFails) {
  ASSERT_TRUE(generate_in(store_.get(), 10).ok());
  for (int fail_at = 1; fail_at <= 2; ++fail_at) {
    write_foreign(200);
    FaultyStore faulty(store_.get(), fail_at);
    EXPECT_EQ(import_in(&faulty).status().code(), Errc::kExhausted);
    EXPECT_EQ(ok_value(import_in(store_.get())).imported, 200U);
  }
  EXPECT_EQ(ledger.num_entries(), 10U + 200 + 2 * 200) << "one import wrapped in vain";
  EXPECT_EQ(ledger.num_repeated(), 0U);
  EXPECT_EQ(verify_all().ok, 410U);
}

TEST_F(GcmKeysetTest, ThreadsShareTheNumbersOfARekey) {
  generate(20 * kMaxSegmentDeks + 5);
  ASSERT_TRUE(ok_value(rekey_in(store_.get())).complete());
  EXPECT_EQ(ledger.num_entries(), 20 * kMaxSegmentDeks + 5);
  EXPECT_EQ(ledger.num_repeated(), 0U);
  EXPECT_EQ(census().keyset.gcm_wraps, 20 * kMaxSegmentDeks + 5);
}

TEST_F(GcmKeysetTest, AVersionMakesItsLastWrapAndNoMore) {
  set_used(kMaxGcmWraps - 100);
  const std::vector<DekId> ids = ok_value(generate_in(store_.get(), 100));
  EXPECT_EQ(census().keyset.gcm_wraps, kMaxGcmWraps);
  const auto refused = generate_in(store_.get(), 1);
  EXPECT_EQ(refused.status().code(), Errc::kExhausted);
  EXPECT_NE(std::string(refused.status().hint()).find("rewrap rekey"), std::string::npos);
  EXPECT_EQ(open_all(ids).size(), 100U);

  const auto before = open_all(ids);
  const RekeyReport report = ok_value(rekey_in(store_.get()));
  EXPECT_TRUE(report.complete());
  EXPECT_EQ(census().keyset.gcm_wraps, 100U) << "a new version starts afresh";
  EXPECT_EQ(open_all(ids), before);
  EXPECT_TRUE(generate_in(store_.get(), 1).ok());
  EXPECT_EQ(ledger.num_repeated(), 0U);
}

TEST_F(GcmKeysetTest, ABatchThatDoesNotFitTakesNothing) {
  set_used(kMaxGcmWraps - 100);
  EXPECT_EQ(generate_in(store_.get(), 101).status().code(), Errc::kExhausted);
  EXPECT_EQ(census().keyset.gcm_wraps, kMaxGcmWraps - 100);
  EXPECT_EQ(ledger.num_entries(), 0U);
}

// An unfinished rekey whose target has lost its numbers is ended by one more version, not stuck.
TEST_F(GcmKeysetTest, AWornOutTargetIsReplaced) {
  const std::vector<DekId> ids = generate(3000);
  const DekId bad = add_damaged();
  const auto before = open_all(ids);
  std::atomic<bool> stop{true};
  RekeyOptions options;
  options.implementation = &kRecording;
  options.stop = &stop;
  ASSERT_TRUE(ok_value(rekey(store_.get(), kName, new_keyring().get(), options)).stopped);
  ASSERT_EQ(census().keyset.rekey_target, 2U);
  set_used(kMaxGcmWraps - 3000);  // one too few
  EXPECT_TRUE(generate_in(store_.get(), 7).ok());
  EXPECT_EQ(ok_value(plan_rekey(store_.get(), kName, new_keyring().get())).to_version, 3U);
  const RekeyReport report = ok_value(rekey_in(store_.get()));
  EXPECT_TRUE(report.resumed);
  EXPECT_EQ(report.to_version, 3U);
  EXPECT_EQ(report.quarantined, 1U);
  EXPECT_EQ(open_all(ids), before);
  EXPECT_EQ(get_dek(store_.get(), kName, bad, nullptr).status().code(), Errc::kIntegrity);
  for (const VersionCount& count : census().versions) {
    EXPECT_EQ(count.deks, count.version == 3 ? 3007U : 0U);
  }
  EXPECT_EQ(census().keyset.rekey_target, 0U);
  EXPECT_EQ(ledger.num_repeated(), 0U);
}

TEST_F(GcmKeysetTest, ATargetThatHasJustEnoughIsKept) {
  generate(3000);
  std::atomic<bool> stop{true};
  RekeyOptions options;
  options.implementation = &kRecording;
  options.stop = &stop;
  ASSERT_TRUE(ok_value(rekey(store_.get(), kName, new_keyring().get(), options)).stopped);
  set_used(kMaxGcmWraps - 3000);
  const RekeyReport report = ok_value(rekey_in(store_.get()));
  EXPECT_TRUE(report.complete());
  EXPECT_EQ(report.to_version, 2U);
  EXPECT_EQ(census().keyset.gcm_wraps, kMaxGcmWraps);
}

TEST_F(GcmKeysetTest, AReservationOfAnotherVersionIsRefused) {
  generate(10);
  const auto keyring = new_keyring();
  const auto snapshot = ok_value(store_->snapshot());
  const KeysetRecord before = ok_value(load_keyset(*snapshot, kName, keyring.get()));
  rekey_all();
  EXPECT_EQ(reserve_ivs(store_.get(), before, *keyring, 1).status().code(), Errc::kConflict);
  const KeysetRecord after =
      ok_value(load_keyset(*ok_value(store_->snapshot()), kName, keyring.get()));
  EXPECT_EQ(reserve_ivs(store_.get(), before, *keyring, 1).status().code(), Errc::kConflict);
  EXPECT_TRUE(reserve_ivs(store_.get(), after, *keyring, 1).ok());
}

// Two wraps exchanged behind the segment's tag: with GCM each is bound to its record.
void exchange_two_wraps(SegmentBuilder* builder) {
  const ByteSpan a = builder->wrap(3);
  std::swap_ranges(a.begin(), a.end(), builder->wrap(70).begin());
}

TEST_F(GcmKeysetTest, ExchangedWrapsDoNotOpen) {
  const std::vector<DekId> ids = generate(100);
  edit_segment(exchange_two_wraps);
  const VerifyReport verified = verify_all();
  EXPECT_EQ(verified.damaged, 2U);
  const RekeyReport report = rekey_all();
  EXPECT_EQ(report.quarantined, 2U);
  EXPECT_EQ(report.rewrapped, 98U);
  std::set<DekId> bad;
  for (const QuarantinedDek& dek : ok_value(list_quarantine(store_.get(), kName))) {
    bad.insert(dek.id);
    EXPECT_EQ(dek.record.aad.size(), 32U);
  }
  EXPECT_EQ(bad, (std::set<DekId>{ids[3], ids[70]}));
  EXPECT_EQ(verify_all().damaged, 0U);
  // Their slots are dead now; the next rekey passes over them.
  EXPECT_EQ(rekey_all().rewrapped, 98U);
  EXPECT_EQ(verify_all().ok, 98U);
}

class KwKeysetTest : public GcmKeysetTest {
 protected:
  [[nodiscard]] WrapAlgorithm algorithm() const override { return WrapAlgorithm::kKw; }
};

// Key wrap itself binds nothing: there only the segment's tag stands in the way.
TEST_F(KwKeysetTest, ControlExchangedWrapsOpenInAKeyWrapKeyset) {
  generate(100);
  edit_segment(exchange_two_wraps);
  EXPECT_EQ(verify_all().damaged, 0U);
}

TEST_F(GcmKeysetTest, AWrapDoesNotOpenAsThatOfAnotherKeyset) {
  const DekId id = generate(1).front();
  const auto keyring = new_keyring();
  const WrappedDek dek = ok_value(get_dek(store_.get(), kName, id, keyring.get()));
  KeysetRecord keyset = census().keyset;
  const auto verdict_in = [&](const KeysetRecord& where) {
    const WrapSide side = dek_side(where, keyring->find(dek.version)->kek);
    auto check = ok_value(implementation().make({32, side, std::nullopt, true}));
    Bytes verdict(1, 0xee);
    EXPECT_TRUE(check->run({dek.wrap, {}, verdict, {id, id.size(), id.size()}, {}}).ok());
    return verdict[0];
  };
  EXPECT_EQ(verdict_in(keyset), kIntact);
  keyset.uuid[5] ^= 1;
  EXPECT_EQ(verdict_in(keyset), kDamaged);
}

TEST_F(GcmKeysetTest, AChangedIdsColumnLeavesItsSegmentAsItIs) {
  const std::vector<DekId> ids = generate(2 * kMaxSegmentDeks);
  const KeysetNumber number = census().keyset.number;
  auto transaction = ok_value(store_->begin());
  const ByteView stored = ok_value(transaction->ids(number, 0));
  Bytes changed(stored.begin(), stored.end());
  changed[5 * kIdSlotLen] ^= 1;
  ASSERT_TRUE(transaction->put_ids(number, 0, changed).ok());
  ASSERT_TRUE(transaction->commit().ok());
  const RekeyReport report = rekey_all();
  EXPECT_EQ(report.damaged_segments, std::vector<SegmentNumber>{0});
  EXPECT_EQ(report.rewrapped, kMaxSegmentDeks);
  changed.pop_back();
  transaction = ok_value(store_->begin());
  ASSERT_TRUE(transaction->put_ids(number, 0, changed).ok());
  ASSERT_TRUE(transaction->commit().ok());
  EXPECT_EQ(rekey_all().damaged_segments, std::vector<SegmentNumber>{0});
}

}  // namespace
}  // namespace rewrap
