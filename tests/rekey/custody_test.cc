// Keysets whose KEKs stay in a token, in both custodies: the whole life of one, a token that goes
// away at any call, and what is left in the token after each failure.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "rekey/census.h"
#include "rekey/rekey.h"
#include "rekey/segment.h"
#include "rekey/verify.h"
#include "tests/hsm/expect_code.h"
#include "tests/rekey/faulty_store.h"
#include "tests/rekey/fixture.h"
#include "tests/rekey/software_root.h"
#include "tests/unit/openssl_reference.h"
#include "tests/unit/test_keys.h"

namespace rewrap {
namespace {

struct Kind {
  Custody custody;
  WrapAlgorithm algorithm;
};

void PrintTo(const Kind& kind, std::ostream* out) {
  *out << custody_name(kind.custody) << " " << algorithm_name(kind.algorithm);
}

class TokenKeysetTest : public testing::TestWithParam<Kind> {
 protected:
  static constexpr const char* kName = "disks";
  static constexpr const char* kRoot = "pkcs11:one";

  void SetUp() override {
    hsms_[kRoot];
    store_ = ok_value(open_store(directory_.path() + "/store", OpenMode::kCreate));
    ASSERT_OK(create(kName));
  }

  test::SoftwareHsm& hsm() { return hsms_.at(kRoot); }
  test::SoftwareToken& token() { return *hsm().token; }
  std::unique_ptr<Keyring> new_keyring() {
    return std::make_unique<Keyring>(RootOptions{}, test::opener(&hsms_));
  }
  Result<KeysetRecord> create(const char* name) {
    return create_keyset(store_.get(), {name, kRoot, GetParam().algorithm, 32, GetParam().custody},
                         new_keyring().get());
  }
  std::vector<DekId> generate(std::uint64_t count, std::size_t dek_len = 32) {
    return ok_value(generate_deks(store_.get(), kName, new_keyring().get(), count, dek_len,
                                  implementations().back(), {}));
  }
  Result<RekeyReport> rekey_with(Store* store, std::string root_uri = "") {
    RekeyOptions options;
    options.implementation = &implementations().back();
    options.num_threads = num_threads_;
    options.root_uri = std::move(root_uri);
    return rekey(store, kName, new_keyring().get(), options);
  }
  VerifyReport verify_all() {
    return ok_value(
        verify(store_.get(), kName, new_keyring().get(), {&implementations().back(), 2, {}}));
  }
  Census census() {
    const auto snapshot = ok_value(store_->snapshot());
    return ok_value(take_census(*snapshot, kName));
  }
  Status let_go(Store* store, KekVersion version) {
    return decommission(store, kName, version, new_keyring().get());
  }
  KekVersionRecord version_record(KekVersion version) {
    const auto snapshot = ok_value(store_->snapshot());
    return ok_value(
        decode_kek_version(ok_value(snapshot->kek_version(census().keyset.number, version))));
  }

  // open_all opens every DEK without the engine and without the token: with the KEKs' own bytes,
  // and OpenSSL.
  std::map<DekId, Bytes> open_all(const std::vector<DekId>& ids) {
    std::map<DekId, Bytes> deks;
    const auto keyring = new_keyring();
    for (const DekId& id : ids) {
      const WrappedDek dek = ok_value(get_dek(store_.get(), kName, id, keyring.get()));
      const Bytes& kek =
          hsm().keys.at(version_record(dek.version).protectors.front().key_ref).value;
      deks[id] = open_one(dek, kek);
      EXPECT_EQ(deks[id].size(), dek.dek_len) << format_uuid(id);
    }
    return deks;
  }
  static Bytes open_one(const WrappedDek& dek, const Bytes& kek) {
    if (dek.algorithm != WrapAlgorithm::kGcm)
      return test::openssl_unwrap(dek.algorithm, kek, dek.wrap).value_or(Bytes());
    // GCM is its own inverse but for the tag: wrap what comes out, and it must be the same record.
    const ByteView body = ByteView(dek.wrap).subspan(kGcmIvFieldLen, dek.dek_len);
    const std::uint32_t fixed = load_be32(dek.wrap.data());
    const std::uint64_t number = load_be64(dek.wrap.data() + 4);
    const Bytes opened = test::openssl_gcm_wrap(kek, fixed, number, dek.aad, body);
    Bytes key(opened.begin() + kGcmIvFieldLen,
              opened.begin() + static_cast<std::ptrdiff_t>(kGcmIvFieldLen + dek.dek_len));
    const Bytes again = test::openssl_gcm_wrap(kek, fixed, number, dek.aad, key);
    return again == dek.wrap ? key : Bytes();
  }

  // damage flips a bit of the last DEK's wrap, and seals the segment anew.
  void damage(SegmentNumber segment, bool swap_instead) {
    const auto keyring = new_keyring();
    auto snapshot = ok_value(store_->snapshot());
    const KeysetRecord keyset = ok_value(load_keyset(*snapshot, kName, keyring.get()));
    const SegmentView view = ok_value(
        parse_segment(ok_value(snapshot->wraps(keyset.number, segment)), keyset.uuid, segment));
    SegmentBuilder builder(view.header);
    builder.copy_live(view);
    copy_bytes(builder.wraps(), view.wraps);
    const std::size_t len = view.wraps.size() / view.header.count;
    const ByteSpan last = builder.wraps().last(len);
    if (swap_instead) {
      std::swap_ranges(last.begin(), last.end(), builder.wraps().begin());
    } else {
      test::flip_bit(last, 77);
    }
    Mac mac = ok_value(keyring->find(view.header.version)->make_mac());
    const Bytes sealed = ok_value(builder.seal(&mac));
    snapshot.reset();
    auto transaction = ok_value(store_->begin());
    ASSERT_OK(transaction->put_wraps(keyset.number, segment, sealed));
    ASSERT_OK(transaction->commit());
  }

  unsigned num_threads_ = 2;
  TempDirectory directory_;
  std::map<std::string, test::SoftwareHsm> hsms_;
  std::unique_ptr<Store> store_;
};

TEST_P(TokenKeysetTest, ItsWholeLife) {
  std::vector<DekId> ids = generate(2100);
  for (const std::size_t len : {16U, 24U, 48U, 64U}) {
    const auto more = generate(20, len);
    ids.insert(ids.end(), more.begin(), more.end());
  }
  const auto before = open_all(ids);
  const RekeyReport report = ok_value(rekey_with(store_.get()));
  EXPECT_TRUE(report.complete());
  EXPECT_EQ(report.custody, GetParam().custody);
  EXPECT_EQ(report.rewrapped, ids.size());
  EXPECT_EQ(open_all(ids), before);
  EXPECT_EQ(hsm().keys.size(), 2U);
  EXPECT_CODE(let_go(store_.get(), 1), Errc::kRefused);
  EXPECT_TRUE(verify_all().certified);
  ASSERT_OK(let_go(store_.get(), 1));
  EXPECT_EQ(hsm().keys.size(), 1U);
  EXPECT_TRUE(version_record(1).protectors.empty());
  EXPECT_CODE(let_go(store_.get(), 1), Errc::kNotFound);
  EXPECT_EQ(open_all(ids), before);
}

// Whichever call the token fails at, for good: the rekey ends with kUnavailable, nothing is in
// quarantine, every DEK opens; and when the token is back, running again ends it. Before the new
// version is stored, nothing of it stays in the token that answers again.
TEST_P(TokenKeysetTest, ATokenLostAtAnyCallLosesNothing) {
  const std::vector<DekId> ids = generate(kMaxSegmentDeks + 40);
  const auto before = open_all(ids);
  num_threads_ = 1;  // so that every rekey makes as many calls
  token().fail_at(0);
  ASSERT_OK(rekey_with(store_.get()));
  const std::size_t num_calls = token().calls();
  const std::size_t stride = std::max<std::size_t>(1, num_calls / 5);
  std::size_t num_resumed = 0;
  for (std::size_t call = 1; call < num_calls; call += call < 4 ? 1 : stride) {
    SCOPED_TRACE(testing::Message() << "call " << call << " of " << num_calls);
    token().fail_at(call, /*for_good=*/true);
    EXPECT_CODE(rekey_with(store_.get()), Errc::kUnavailable);
    token().fail_at(0);
    EXPECT_EQ(census().quarantined(), 0U);
    ASSERT_EQ(open_all({ids.front(), ids.back()}),
              (std::map<DekId, Bytes>{*before.find(ids.front()), *before.find(ids.back())}));
    const RekeyReport report = ok_value(rekey_with(store_.get()));
    EXPECT_TRUE(report.complete());
    num_resumed += report.resumed ? 1 : 0;
  }
  EXPECT_GE(num_resumed, 1U) << "some of them were met in the middle";
  EXPECT_EQ(open_all(ids), before);
  EXPECT_EQ(verify_all().damaged, 0U);
}

// A token that fails once and answers again, as ours do when they cannot bring something back in
// time: what was made for the new version is gone from the token, unless it was stored.
TEST_P(TokenKeysetTest, AFailureBeforeTheNewVersionIsStoredLeavesNoKeyBehind) {
  generate(10);
  std::size_t failures = 0;
  for (std::size_t call = 1;; ++call) {
    const std::size_t keys_before = hsm().keys.size();
    token().fail_at(call);
    const auto report = rekey_with(store_.get());
    token().fail_at(0);
    const Census counted = census();
    if (counted.keyset.rekey_target != 0 || report.ok()) break;
    ++failures;
    EXPECT_CODE(report, Errc::kUnavailable);
    EXPECT_EQ(hsm().keys.size(), keys_before) << "call " << call;
    EXPECT_EQ(counted.versions.size(), 1U);
  }
  EXPECT_GE(failures, 3U);
}

// A commit that failed may have reached the disk all the same: the key stays.
TEST_P(TokenKeysetTest, AFailedFirstCommitKeepsTheNewKey) {
  generate(10);
  FaultyStore faulty(store_.get(), 1);
  EXPECT_CODE(rekey_with(&faulty), Errc::kExhausted);
  EXPECT_EQ(hsm().keys.size(), 2U);
  EXPECT_TRUE(ok_value(rekey_with(store_.get())).complete());
}

TEST_P(TokenKeysetTest, AKeysetThatIsNotMadeLeavesNoKeyBehind) {
  for (std::size_t call = 1; call < 3; ++call) {
    token().fail_at(call);
    EXPECT_CODE(create("other"), Errc::kUnavailable);
    EXPECT_EQ(hsm().keys.size(), 1U) << "call " << call;
  }
  EXPECT_CODE(create(kName), Errc::kAlreadyExists);
  EXPECT_EQ(hsm().keys.size(), 1U);
}

// The store gives a KEK up before its token does; between the two lies at worst a key too many,
// which the next call removes.
TEST_P(TokenKeysetTest, DecommissionMayFailAnywhere) {
  generate(10);
  ASSERT_OK(rekey_with(store_.get()));
  verify_all();
  FaultyStore first(store_.get(), 1);
  EXPECT_CODE(let_go(&first, 1), Errc::kExhausted);
  EXPECT_EQ(hsm().keys.size(), 2U) << "nothing was given up";
  EXPECT_EQ(version_record(1).state, KekState::kUsable);

  std::size_t call = 1;
  for (; version_record(1).state == KekState::kUsable; ++call) {
    token().fail_at(call);
    EXPECT_CODE(let_go(store_.get(), 1), Errc::kUnavailable);
    EXPECT_EQ(hsm().keys.size(), 2U) << "call " << call;
  }
  EXPECT_GE(call, 3U);
  EXPECT_EQ(version_record(1).protectors.size(), 1U) << "what is left to remove";

  token().fail_at(0);
  FaultyStore last(store_.get(), 1);
  EXPECT_CODE(let_go(&last, 1), Errc::kExhausted);
  EXPECT_EQ(hsm().keys.size(), 1U) << "the key is gone, the record does not say so yet";
  ASSERT_OK(let_go(store_.get(), 1));
  EXPECT_TRUE(version_record(1).protectors.empty());
  EXPECT_EQ(verify_all().ok, 10U);
}

// Whoever can write to the store must not be able to have a key destroyed that is in use.
TEST_P(TokenKeysetTest, AForgedRecordDestroysNothing) {
  generate(10);
  ASSERT_OK(rekey_with(store_.get()));
  verify_all();
  KekVersionRecord forged = version_record(1);
  forged.protectors = version_record(2).protectors;
  auto transaction = ok_value(store_->begin());
  ASSERT_OK(transaction->put_kek_version(census().keyset.number, 1, encode(forged)));
  forged = version_record(2);
  ASSERT_OK(transaction->commit());
  EXPECT_CODE(let_go(store_.get(), 1), Errc::kCorruption);
  EXPECT_EQ(hsm().keys.size(), 2U);

  forged.state = KekState::kDestroyed;  // as if the current version's key had yet to be removed
  transaction = ok_value(store_->begin());
  ASSERT_OK(transaction->put_kek_version(census().keyset.number, 2, encode(forged)));
  ASSERT_OK(transaction->commit());
  EXPECT_CODE(let_go(store_.get(), 2), Errc::kRefused);
  EXPECT_EQ(hsm().keys.size(), 2U);
}

// A record that says another custody than its KEK is in: nothing is done with that KEK. The record's
// tag is right, so that it is not the tag which refuses.
void expect_only_custody(Store* store, const char* name, Custody right,
                         const std::function<std::unique_ptr<Keyring>()>& new_keyring) {
  for (const Custody said : {Custody::kHost, Custody::kKekInToken, Custody::kInToken, right}) {
    const auto keyring = new_keyring();
    auto snapshot = ok_value(store->snapshot());
    KeysetRecord keyset = ok_value(peek_keyset(*snapshot, name));
    keyset.custody = right;
    ASSERT_OK(keyring->open(*snapshot, keyset, keyset.current_version));
    keyset.custody = said;
    snapshot.reset();
    auto transaction = ok_value(store->begin());
    ASSERT_OK(store_keyset(transaction.get(), keyset, *keyring));
    ASSERT_OK(transaction->commit());
    snapshot = ok_value(store->snapshot());
    const auto loaded = load_keyset(*snapshot, name, new_keyring().get());
    if (said == right) {
      EXPECT_OK(loaded);
    } else {
      EXPECT_CODE(loaded, Errc::kCorruption) << custody_name(said);
    }
  }
}

TEST_P(TokenKeysetTest, AKekInAnotherCustodyIsNotOpened) {
  generate(10);
  expect_only_custody(store_.get(), kName, GetParam().custody, [this] { return new_keyring(); });
  EXPECT_EQ(verify_all().ok, 10U);
}

// The same said by the token: the KEK's attributes are those of the other family.
TEST_P(TokenKeysetTest, AKekOfTheOtherFamilyIsNotOpened) {
  generate(10);
  TokenCustody& family = hsm().keys.begin()->second.custody;
  const TokenCustody right =
      std::exchange(family, GetParam().custody == Custody::kInToken ? TokenCustody::kKekInToken
                                                                    : TokenCustody::kInToken);
  EXPECT_CODE(rekey_with(store_.get()), Errc::kCorruption);
  EXPECT_CODE(
      generate_deks(store_.get(), kName, new_keyring().get(), 1, 32, implementations().back(), {}),
      Errc::kCorruption);
  family = right;
  EXPECT_EQ(verify_all().ok, 10U);
}

TEST_P(TokenKeysetTest, VerifyFindsAFlippedBitAndRekeyPutsTheDekAside) {
  generate(50);
  EXPECT_TRUE(verify_all().certified);
  damage(0, /*swap_instead=*/false);
  const VerifyReport found = verify_all();
  EXPECT_EQ(found.damaged, 1U);
  EXPECT_FALSE(found.certified);
  const RekeyReport report = ok_value(rekey_with(store_.get()));
  EXPECT_EQ(report.quarantined, 1U);
  EXPECT_EQ(report.rewrapped, 49U);
  EXPECT_EQ(verify_all().damaged, 0U);
  EXPECT_EQ(verify_all().quarantined, 1U);
}

// With the store's MAC key in hand, wraps can be exchanged; GCM binds each to its id all the same.
TEST_P(TokenKeysetTest, ExchangedWrapsUnderAValidTag) {
  generate(50);
  damage(0, /*swap_instead=*/true);
  EXPECT_EQ(verify_all().damaged, GetParam().algorithm == WrapAlgorithm::kGcm ? 2U : 0U);
}

TEST_P(TokenKeysetTest, MoreDeksComeInDuringARekeyThatWasStopped) {
  const std::vector<DekId> ids = generate(kMaxSegmentDeks + 5);
  const auto before = open_all(ids);
  std::atomic<bool> stop{true};
  RekeyOptions options;
  options.implementation = &implementations().back();
  options.stop = &stop;
  EXPECT_TRUE(ok_value(rekey(store_.get(), kName, new_keyring().get(), options)).stopped);
  generate(7);
  const RekeyReport report = ok_value(rekey_with(store_.get()));
  EXPECT_TRUE(report.complete());
  EXPECT_TRUE(report.resumed);
  EXPECT_EQ(open_all(ids), before);
  EXPECT_EQ(verify_all().ok, ids.size() + 7);
}

// To another token: the plain DEKs may go there by way of the host, or not at all.
TEST_P(TokenKeysetTest, ARekeyToAnotherToken) {
  const char* other = "pkcs11:two";
  hsms_[other];
  const std::vector<DekId> ids = generate(20);
  const auto report = rekey_with(store_.get(), other);
  if (GetParam().custody == Custody::kInToken) {
    EXPECT_CODE(report, Errc::kUnsupported);
    EXPECT_EQ(hsms_.at(other).keys.size(), 0U);
    EXPECT_EQ(census().keyset.current_version, 1U);
    EXPECT_EQ(census().keyset.rekey_target, 0U);
  } else {
    EXPECT_TRUE(ok_value(report).complete());
    EXPECT_EQ(verify_all().ok, 20U);
    hsms_.at(kRoot).token->fail_at(1, /*for_good=*/true);
    EXPECT_EQ(verify_all().ok, 20U) << "the old token is not needed any more";
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, TokenKeysetTest,
                         testing::Values(Kind{Custody::kKekInToken, WrapAlgorithm::kKw},
                                         Kind{Custody::kKekInToken, WrapAlgorithm::kKwp},
                                         Kind{Custody::kKekInToken, WrapAlgorithm::kGcm},
                                         Kind{Custody::kInToken, WrapAlgorithm::kKw}),
                         [](const auto& test) {
                           return std::string(test.param.custody == Custody::kInToken ? "in_token_"
                                                                                      : "kek_") +
                                  algorithm_name(test.param.algorithm);
                         });

TEST(Custody, NamesAndNumbersAreStored) {
  EXPECT_EQ(static_cast<int>(Custody::kHost), 1);
  EXPECT_EQ(static_cast<int>(Custody::kKekInToken), 2);
  EXPECT_EQ(static_cast<int>(Custody::kInToken), 3);
  for (const char* name : {"host", "kek-in-token", "in-token"})
    EXPECT_STREQ(custody_name(find_custody(name).value()), name);
  EXPECT_EQ(find_custody("token"), std::nullopt);
}

TEST(Custody, AKekOnTheHostIsNotOpenedForAnotherCustody) {
  const TempDirectory directory;
  const auto store = ok_value(open_store(directory.path() + "/store", OpenMode::kCreate));
  const std::string root_uri = "file:" + directory.path() + "/root.key";
  const RootOptions options{.allow_file_root = true};
  ASSERT_OK(create_root_key(root_uri, options));
  const auto new_keyring = [&] { return std::make_unique<Keyring>(options); };
  ASSERT_OK(
      create_keyset(store.get(), {"k", root_uri, WrapAlgorithm::kKw, 32}, new_keyring().get()));
  expect_only_custody(store.get(), "k", Custody::kHost, new_keyring);
}

TEST(Custody, InsideATokenThereIsKeyWrapOnly) {
  const TempDirectory directory;
  const auto store = ok_value(open_store(directory.path() + "/store", OpenMode::kCreate));
  std::map<std::string, test::SoftwareHsm> hsms;
  hsms["pkcs11:one"];
  for (const auto algorithm : {WrapAlgorithm::kKwp, WrapAlgorithm::kGcm}) {
    Keyring keyring(RootOptions{}, test::opener(&hsms));
    EXPECT_CODE(
        create_keyset(store.get(), {"k", "pkcs11:one", algorithm, 32, Custody::kInToken}, &keyring),
        Errc::kInvalidArgument);
  }
  EXPECT_EQ(hsms.at("pkcs11:one").num_made, 0);
}

}  // namespace
}  // namespace rewrap
