// Tokens that are lost at every call of a job, in every way that tokens are known to be lost: the
// work is finished with right results, or fails clearly, and nothing wrong is given out. Every
// result is computed a second time on the host.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstring>
#include <functional>
#include <thread>
#include <utility>
#include <vector>

#include "hsm/file/aes_key_wrap.h"
#include "hsm/pkcs11/connection.h"
#include "hsm/pkcs11/pkcs11_token_kek.h"
#include "hsm/pkcs11/root_key.h"
#include "hsm/pkcs11/token_key.h"
#include "tests/hsm/expect_code.h"
#include "tests/hsm/fault_module.h"
#include "tests/hsm/known_kek.h"
#include "tests/hsm/softhsm_fixture.h"

namespace rewrap {
namespace {

using std::chrono::milliseconds;
using test::Fault;
using test::pattern;

// What tokens answer when they, their session, their login or a handle is gone.
constexpr unsigned long kLostCodes[] = {0x30, 0x32,  0xe0,  0xe1, 0x03, 0x05, 0x06, 0xb3,
                                        0xb0, 0x101, 0x100, 0x82, 0x60, 0x90, 0x190};
// Those after which the module has to be restarted.
constexpr unsigned long kDeviceCodes[] = {0x30, 0x32, 0xe0, 0xe1, 0x03, 0x05, 0x06, 0x190};

constexpr std::size_t kNumDeks = 6;
constexpr std::size_t kNumBatches = 3;
constexpr std::size_t kBatchLen = 1024;
constexpr long kForEver = 1'000'000'000;

const Bytes kOldValue(32, 0x42);
const Bytes kNewValue(32, 0x43);

// Outcome is what a job gave.
struct Outcome {
  std::size_t num_right = 0;
  std::vector<Status> failures;
};

class Connected : public testing::Test {
 protected:
  void SetUp() override {
    faults_ = test::load_faults(REWRAP_FAULT_MODULE);
    ASSERT_NE(faults_.control, nullptr);
    *faults_.control = {};
    faults_.start();
    uri_ = token_.uri_with("", REWRAP_FAULT_MODULE, token_.pin_file());
    options_.reconnect_pause = milliseconds(0);  // so that long outages cost no time
    options_.reconnect_limit = milliseconds(5000);
  }

  void TearDown() override {
    if (faults_.control == nullptr) return;
    *faults_.control = {};
    faults_.start();
  }

  // connect puts two KEKs of known value into the token and opens them on one connection.
  void connect(TokenCustody custody) {
    put_keys(uri_, custody);
    open_keks();
  }

  void put_keys(const std::string& uri, TokenCustody custody) {
    const auto serial = test::token_serial(uri);
    ASSERT_OK(serial);
    for (std::size_t i = 0; i < 2; ++i) {
      const test::RawKey key = test::known_raw_key(custody, i == 0 ? kOldValue[0] : kNewValue[0]);
      ASSERT_OK(test::import_key(uri, key));
      protectors_[i] = test::protect_known(key, serial.value(), {});
    }
  }

  void open_keks() {
    const auto parsed = parse_pkcs11_uri(uri_);
    ASSERT_OK(parsed);
    auto connection = Connection::open(parsed.value(), options_);
    ASSERT_OK(connection);
    connection_ = std::move(connection).value();
    auto old_kek = open_token_kek(connection_, protectors_[0], {});
    auto new_kek = open_token_kek(connection_, protectors_[1], {});
    ASSERT_OK(old_kek);
    ASSERT_OK(new_kek);
    old_ = std::move(old_kek).value();
    new_ = std::move(new_kek).value();
    // What is found first on a session has other handles every second time.
    faults_.control->shuffle = old_->custody() == TokenCustody::kInToken ? 6 : 4;
  }

  // reopen_keks does so on a module that was loaded anew: handles are counted from the start.
  void reopen_keks() {
    faults_.control->shuffle = 0;
    order({});
    old_.reset();
    new_.reset();
    connection_.reset();
    open_keks();
    faults_.control->shuffle = 0;
  }

  // order gives the fault module an order and begins to count.
  void order(const Fault& first, const Fault& second = {}) {
    faults_.control->first = first;
    faults_.control->second = second;
    faults_.start();
  }

  // rewrap_in_token re-wraps a few DEKs from the old KEK to the new one.
  Outcome rewrap_in_token() {
    Outcome outcome;
    for (std::size_t i = 0; i < kNumDeks; ++i) {
      const Bytes dek = pattern(i % 2 == 0 ? 32 : 64, static_cast<std::uint8_t>(i));
      const Bytes wrapped = openssl_wrap(kOldValue, dek).value();
      Bytes out(wrapped.size(), 0x99);
      const Status status = old_->rewrap_key(wrapped, *new_, out);
      if (status.ok()) {
        EXPECT_EQ(out, openssl_wrap(kNewValue, dek).value()) << "a wrong wrap was given out";
        ++outcome.num_right;
      } else {
        EXPECT_EQ(out, Bytes(wrapped.size()));
        outcome.failures.push_back(status);
      }
    }
    return outcome;
  }

  // run_batches decrypts blocks under the old KEK and encrypts them under the new one.
  Outcome run_batches() {
    Outcome outcome;
    for (std::size_t i = 0; i < kNumBatches; ++i) {
      const Bytes plain = pattern(kBatchLen, static_cast<std::uint8_t>(i));
      Bytes blocks = test::ecb_on_host(kOldValue, plain);
      Status status = old_->ecb_decrypt(blocks);
      if (status.ok()) {
        EXPECT_EQ(blocks, plain) << "decrypted under a wrong key";
        status = new_->ecb_encrypt(blocks);
      }
      if (status.ok()) {
        EXPECT_EQ(blocks, test::ecb_on_host(kNewValue, plain)) << "encrypted under a wrong key";
        ++outcome.num_right;
      } else {
        outcome.failures.push_back(status);
      }
    }
    return outcome;
  }

  Outcome run_job() {
    return old_->custody() == TokenCustody::kInToken ? rewrap_in_token() : run_batches();
  }

  std::size_t job_size() const {
    return old_->custody() == TokenCustody::kInToken ? kNumDeks : kNumBatches;
  }

  // at_every_call runs the job once for each of its calls, with the fault there, and gives how often.
  long at_every_call(Fault fault, const std::function<void(const Outcome&)>& judge) {
    for (fault.at = 1;; ++fault.at) {
      order(fault);
      const auto num_recoveries = connection_->num_recoveries();
      const Outcome outcome = run_job();
      if (faults_.control->num_faults == 0) return fault.at - 1;  // past the end of the job
      EXPECT_GT(connection_->num_recoveries(), num_recoveries);
      SCOPED_TRACE(testing::Message() << "fault at call " << fault.at);
      judge(outcome);
      if (testing::Test::HasFailure() || fault.at > 1000) return -1;
    }
  }

  // exchange_old_key lets the token come back with another key under the old KEK's names.
  void exchange_old_key() {
    test::RawKey other = test::known_raw_key(old_->custody(), kOldValue[0]);
    ASSERT_OK(test::destroy_key(uri_, other.label));
    other.value = Bytes(32, 0x99);
    ASSERT_OK(test::import_key(uri_, other));
    order({.rv = 0xb3, .at = 1});
    const Outcome outcome = run_job();
    EXPECT_EQ(outcome.num_right, 0U);
    // By the unwrap's code alone SoftHSM cannot be told from a sick token; ECB gives other bytes.
    const Errc expected =
        old_->custody() == TokenCustody::kInToken ? Errc::kUnavailable : Errc::kDenied;
    for (const Status& failure : outcome.failures) {
      EXPECT_CODE(failure, expected);
      EXPECT_NE(test::words_of(failure).find("another key is under the KEK's name"),
                std::string::npos)
          << test::words_of(failure);
    }
  }

  void expect_all_right(const Outcome& outcome) const {
    EXPECT_EQ(outcome.num_right, job_size());
    for (const Status& failure : outcome.failures) ADD_FAILURE() << test::words_of(failure);
  }

  // A loss may end in a failure, but never in one that speaks of the DEK.
  static void expect_clear_failures(const Outcome& outcome) {
    for (const Status& failure : outcome.failures)
      EXPECT_EQ(failure.code(), Errc::kUnavailable) << test::words_of(failure);
  }

  test::SoftHsmToken token_;
  test::LoadedFaults faults_;
  std::string uri_;
  RootOptions options_;
  std::array<Protector, 2> protectors_;
  std::shared_ptr<Connection> connection_;
  std::shared_ptr<TokenKek> old_;
  std::shared_ptr<TokenKek> new_;
};

class EveryCode : public Connected, public testing::WithParamInterface<unsigned long> {
 protected:
  // The calls that the jobs make when nothing fails.
  static constexpr long kCallsInToken = 3 * kNumDeks;
  static constexpr long kCallsEcb = 4 * kNumBatches;

  // Outages of several calls reach into the recovery, and some into what follows it.
  void run_outages() {
    std::size_t num_right = 0;
    for (const long num : {2L, 7L, 20L}) {
      for (long at = 1; at <= 8; ++at) {
        SCOPED_TRACE(testing::Message() << num << " calls from call " << at);
        order({.rv = GetParam(), .at = at, .num = num});
        const Outcome outcome = run_job();
        EXPECT_GE(faults_.control->num_faults, 2);
        expect_clear_failures(outcome);
        num_right += outcome.num_right;
      }
    }
    EXPECT_GT(num_right, 12 * job_size());  // most are mended
    order({});
    expect_all_right(run_job());  // and in the end the token is there
  }
};

TEST_P(EveryCode, IsMendedAtEveryCallInToken) {
  connect(TokenCustody::kInToken);
  const auto right = [&](const Outcome& outcome) { expect_all_right(outcome); };
  EXPECT_EQ(at_every_call({.rv = GetParam()}, right), kCallsInToken);
  EXPECT_EQ(at_every_call({.rv = GetParam(), .after = 1}, right), kCallsInToken);
  run_outages();
}

TEST_P(EveryCode, IsMendedAtEveryCallOfBulkWork) {
  connect(TokenCustody::kKekInToken);
  const auto right = [&](const Outcome& outcome) { expect_all_right(outcome); };
  EXPECT_EQ(at_every_call({.rv = GetParam()}, right), kCallsEcb);
  EXPECT_EQ(at_every_call({.rv = GetParam(), .after = 1}, right), kCallsEcb);
  run_outages();
}

INSTANTIATE_TEST_SUITE_P(Lost, EveryCode, testing::ValuesIn(kLostCodes));

// --- What codes alone do not say ---

TEST_F(Connected, DeviceThatStaysAwayUntilTheRestartComesBack) {
  connect(TokenCustody::kInToken);
  for (const unsigned long rv : kDeviceCodes) {
    const auto right = [&](const Outcome& outcome) { expect_all_right(outcome); };
    EXPECT_EQ(at_every_call({.rv = rv, .until_restart = 1}, right), 3 * long{kNumDeks}) << rv;
  }
}

TEST_F(Connected, DroppedSessionsAndLoginsAreMended) {
  connect(TokenCustody::kInToken);
  const auto right = [&](const Outcome& outcome) { expect_all_right(outcome); };
  EXPECT_GT(at_every_call({.rv = 0xb3, .drop_sessions = 1}, right), 10);
  EXPECT_GT(at_every_call({.rv = 0x101, .drop_login = 1}, right), 10);
  EXPECT_GT(at_every_call({.rv = 0xb3, .after = 1, .drop_sessions = 1}, right), 10);
}

TEST_F(Connected, DroppedSessionsAndLoginsAreMendedInBulkWork) {
  connect(TokenCustody::kKekInToken);
  const auto right = [&](const Outcome& outcome) { expect_all_right(outcome); };
  EXPECT_GT(at_every_call({.rv = 0xb3, .drop_sessions = 1}, right), 10);
  EXPECT_GT(at_every_call({.rv = 0x101, .drop_login = 1}, right), 10);
}

// A second loss at every call of the recovery from the first.
TEST_F(Connected, LossDuringTheRecoveryIsMended) {
  connect(TokenCustody::kInToken);
  for (const unsigned long rv : {0x30UL, 0xb3UL}) {
    long at = 1;
    for (;; ++at) {
      order({.rv = rv, .at = 4}, {.rv = 0x30, .at = at});
      expect_all_right(run_job());
      if (faults_.control->num_faults < 2) break;
      ASSERT_FALSE(HasFailure()) << "second loss " << at << " calls after the first";
    }
    EXPECT_GT(at, 40);  // find, copy and prove two keys, and the rest of the job
  }
}

// --- Handles that are exchanged with no word from the token ---

TEST_F(Connected, ExchangedHandlesAreFoundOutByEveryEcbCall) {
  constexpr long kToTheOtherCopy = 5;  // the copies are the second and the fourth handle
  put_keys(uri_, TokenCustody::kKekInToken);
  std::uint64_t num_found_out = 0;
  for (long at = 1; at <= 4 * long{kNumBatches}; ++at) {
    reopen_keks();
    order({.at = at, .exchange = kToTheOtherCopy});
    SCOPED_TRACE(testing::Message() << "exchanged at call " << at);
    expect_all_right(run_job());
    EXPECT_EQ(faults_.control->num_faults, 1);
    num_found_out += connection_->num_recoveries();
  }
  EXPECT_EQ(num_found_out, 4 * kNumBatches - 1) << "at the last call it is too late to matter";
}

// The wraps themselves may be wrong, since wrapping checks nothing; but then confirm() says so.
TEST_F(Connected, ExchangedHandlesAreFoundOutByConfirm) {
  constexpr long kToTheOtherCopy = 9;  // the third handle and the seventh: check keys were opened
  put_keys(uri_, TokenCustody::kInToken);
  const Bytes wrapped = openssl_wrap(kOldValue, pattern(32)).value();
  const Bytes right = openssl_wrap(kNewValue, pattern(32)).value();
  std::size_t num_wrong = 0;
  for (long at = 1; at <= 3; ++at) {
    reopen_keks();
    const auto before = old_->confirm(*new_);
    ASSERT_OK(before);
    order({.at = at, .exchange = kToTheOtherCopy});
    Bytes out(40);
    EXPECT_OK(old_->rewrap_key(wrapped, *new_, out));
    num_wrong += out == right ? 0 : 1;
    const auto after = old_->confirm(*new_);
    ASSERT_OK(after);
    EXPECT_NE(after.value(), before.value()) << at;
    EXPECT_OK(old_->rewrap_key(wrapped, *new_, out));
    EXPECT_EQ(out, right);
    EXPECT_EQ(old_->confirm(*new_).value(), after.value());
  }
  EXPECT_GE(num_wrong, 1U) << "the control: else there was nothing to find out";
}

// Damage alone is no reason to do work again, or a run with a damaged DEK in it would never end.
TEST_F(Connected, DamagedDekLeavesNoDoubtAboutTheKeks) {
  connect(TokenCustody::kInToken);
  order({});
  const auto before = old_->confirm(*new_);
  ASSERT_OK(before);
  Bytes wrapped = openssl_wrap(kOldValue, pattern(32)).value();
  wrapped[20] ^= 1;
  Bytes out(40);
  EXPECT_CODE(old_->rewrap_key(wrapped, *new_, out), Errc::kIntegrity);
  EXPECT_EQ(old_->confirm(*new_).value(), before.value());
}

// The negative control of all of the above: without finding the keys again, the old handles would
// have been taken, and they are valid, for the other key.
TEST_F(Connected, OldHandlesNameOtherKeysAfterARestart) {
  connect(TokenCustody::kInToken);
  const auto parsed = parse_pkcs11_uri(uri_);
  ASSERT_OK(parsed);
  old_.reset();
  new_.reset();
  connection_.reset();
  const auto session = Session::open(parsed.value(), SessionMode::kReadWrite, {});
  ASSERT_OK(session);
  faults_.control->shuffle = 2;
  const auto find = [&](std::uint8_t fill) {
    return find_secret_key(*session.value(), "", Bytes(16, fill)).value();
  };
  ASSERT_OK(session.value()->reconnect(false));
  const CK_OBJECT_HANDLE old_before = find(kOldValue[0]);
  const CK_OBJECT_HANDLE new_before = find(kNewValue[0]);
  ASSERT_OK(session.value()->reconnect(false));
  EXPECT_EQ(find(kOldValue[0]), new_before);
  EXPECT_EQ(find(kNewValue[0]), old_before);
}

TEST_F(Connected, KekThatWasExchangedMeanwhileIsDenied) {
  connect(TokenCustody::kInToken);
  exchange_old_key();
}

TEST_F(Connected, KekThatWasExchangedMeanwhileIsDeniedForBulkWork) {
  connect(TokenCustody::kKekInToken);
  exchange_old_key();
}

TEST_F(Connected, DamagedDekIsIntegrityAndRecoversNothingElse) {
  connect(TokenCustody::kInToken);
  Bytes wrapped = openssl_wrap(kOldValue, pattern(32)).value();
  wrapped[20] ^= 1;
  Bytes out(40);
  order({});
  EXPECT_CODE(old_->rewrap_key(wrapped, *new_, out), Errc::kIntegrity);
  EXPECT_EQ(faults_.control->num_logins, 0);  // by new sessions only, not by a restart
  expect_all_right(run_job());
}

// The unwrap says CKR_GENERAL_ERROR for a good DEK, the token opens nothing any more, not even the
// KEK's own blob: the DEK is not to blame.
TEST_F(Connected, TokenThatOpensNothingIsNotTakenForDamage) {
  connect(TokenCustody::kInToken);
  for (const unsigned long rv : {0x05UL, 0x06UL, 0x110UL, 0x40UL}) {
    order({.rv = rv, .function = "C_UnwrapKey", .at = 1, .num = kForEver});
    const Bytes wrapped = openssl_wrap(kOldValue, pattern(32)).value();
    Bytes out(40);
    const Status status = old_->rewrap_key(wrapped, *new_, out);
    EXPECT_FALSE(status.ok());
    EXPECT_NE(status.code(), Errc::kIntegrity) << rv << test::words_of(status);
  }
  order({});
  expect_all_right(run_job());
}

// Two false answers for one DEK, each in a session where the KEK proved right, are not enough.
TEST_F(Connected, TwoFalseAnswersAreNotDamage) {
  connect(TokenCustody::kInToken);
  // After the first, the two KEKs are proven by one C_UnwrapKey each, in the old session and in the
  // new one; the next one is the DEK's.
  order({.rv = 0x05, .function = "C_UnwrapKey", .at = 1},
        {.rv = 0x05, .function = "C_UnwrapKey", .at = 5});
  expect_all_right(run_job());
  EXPECT_EQ(faults_.control->num_faults, 2);
}

// --- Keys and tokens that are not what they were ---

TEST_F(Connected, ReadOnlySessionsKeepTheTokensKeys) {
  connect(TokenCustody::kInToken);
  ASSERT_OK(connection_->run([](Session& session) -> Status {
    const auto kek = find_secret_key(session, "", Bytes(16, kOldValue[0]));
    EXPECT_OK(kek);
    EXPECT_NE(session.api().C_DestroyObject(session.handle(), kek.value()), CKR_OK);
    return {};
  }));
  expect_all_right(run_job());
}

TEST_F(Connected, TokenOfAnotherSerialNumberIsNotTakenForTheLostOne) {
  options_.reconnect_limit = milliseconds(20);
  connect(TokenCustody::kKekInToken);
  std::strncpy(faults_.control->serial, "another", sizeof faults_.control->serial - 1);
  order({.rv = 0x30, .at = 1, .until_restart = 1});
  Bytes blocks(64);
  EXPECT_CODE(old_->ecb_encrypt(blocks), Errc::kUnavailable);
  faults_.control->serial[0] = 0;
  EXPECT_OK(old_->ecb_encrypt(blocks));
}

TEST_F(Connected, OutputThatIsTooShortIsNotTaken) {
  connect(TokenCustody::kKekInToken);
  order({});
  faults_.control->short_by = 16;
  Bytes blocks = pattern(64);
  EXPECT_CODE(old_->ecb_encrypt(blocks), Errc::kUnsupported);
  EXPECT_CODE(old_->ecb_decrypt(blocks), Errc::kUnsupported);
  faults_.control->short_by = 0;
  EXPECT_OK(old_->ecb_encrypt(blocks));
}

TEST_F(Connected, CopyWithOtherUsesIsNotUsed) {
  for (const TokenCustody custody : {TokenCustody::kKekInToken, TokenCustody::kInToken}) {
    const auto session = Session::open(parse_pkcs11_uri(uri_).value(), SessionMode::kReadOnly, {});
    ASSERT_OK(session);
    put_keys(uri_, custody);
    const TokenKey key(decode_key_ref(protectors_[0].key_ref).value(), {custody, 32},
                       protectors_[0], {});
    const auto expect_copy = [&](bool expected) {
      const auto found = key.find(*session.value());
      ASSERT_OK(found);
      EXPECT_EQ(found->is_copy, expected);
      EXPECT_OK(key.prove(*session.value(), found->handle));
    };
    expect_copy(true);
    faults_.control->lie_about_copies_only = 1;
    for (const CK_ATTRIBUTE_TYPE lie : {CKA_ENCRYPT, CKA_WRAP, CKA_SENSITIVE, CKA_EXTRACTABLE}) {
      faults_.control->lie_about = lie;
      expect_copy(false);
    }
    faults_.control->lie_about = 0;
    for (const std::uint8_t fill : {kOldValue[0], kNewValue[0]})
      ASSERT_OK(test::destroy_key(uri_, test::known_raw_key(custody, fill).label));
  }
}

TEST_F(Connected, KekWithAnyOtherUseIsRefused) {
  put_keys(uri_, TokenCustody::kInToken);
  auto root = open_root_for_probe(uri_, options_);
  ASSERT_OK(root);
  for (const CK_ATTRIBUTE_TYPE use : {CKA_SIGN, CKA_VERIFY, CKA_DERIVE}) {
    faults_.control->lie_about = use;
    EXPECT_CODE(root.value()->open_in_token(protectors_[0], {}), Errc::kRefused) << use;
  }
  faults_.control->lie_about = 0;
  EXPECT_OK(root.value()->open_in_token(protectors_[0], {}));
}

TEST_F(Connected, KekThatIsNotMadeAsToldIsDestroyedAgain) {
  auto root = open_root_for_probe(uri_, options_);
  ASSERT_OK(root);
  for (const CK_ATTRIBUTE_TYPE lie :
       {CKA_MODIFIABLE, CKA_ALWAYS_SENSITIVE, CKA_NEVER_EXTRACTABLE}) {
    faults_.control->lie_about = lie;
    const auto made = root.value()->create_in_token(TokenCustody::kInToken, 32, {});
    EXPECT_CODE(made, Errc::kUnsupported) << lie;
    EXPECT_EQ(test::num_token_keys(uri_).value(), 0U) << lie;
  }
}

// A restore or a clone can leave a KEK in the token twice, or another key beside it.
TEST_F(Connected, OfSeveralKeysUnderTheNameTheOneThatProvesIsUsed) {
  for (const TokenCustody custody : {TokenCustody::kKekInToken, TokenCustody::kInToken}) {
    connect(custody);
    test::RawKey other = test::known_raw_key(custody, kOldValue[0]);
    other.value = Bytes(32, 0x99);
    ASSERT_OK(test::import_key(uri_, other));
    reopen_keks();
    expect_all_right(run_job());
    order({.rv = 0xb3, .at = 1, .drop_sessions = 1});
    expect_all_right(run_job());

    other.value = kOldValue;
    ASSERT_OK(test::import_key(uri_, other));
    const auto twice = open_token_kek(connection_, protectors_[0], {});
    EXPECT_CODE(twice, Errc::kConflict);
    EXPECT_NE(test::words_of(twice.status()).find("more than once"), std::string::npos);
    EXPECT_CODE(destroy_token_kek(connection_, protectors_[0]), Errc::kConflict);
    old_.reset();
    ASSERT_OK(test::destroy_keys(uri_, other.label));
    for (const std::uint8_t fill : {std::uint8_t{0x98}, std::uint8_t{0x99}}) {
      other.value = Bytes(32, fill);
      ASSERT_OK(test::import_key(uri_, other));
    }
    const auto none = open_token_kek(connection_, protectors_[0], {});
    EXPECT_CODE(none, Errc::kDenied);
    EXPECT_NE(test::words_of(none.status()).find("none is the KEK"), std::string::npos);
    ASSERT_OK(test::destroy_keys(uri_, other.label));
    ASSERT_OK(test::destroy_keys(uri_, test::known_raw_key(custody, kNewValue[0]).label));
  }
}

// --- Making a root key ---

TEST_F(Connected, RootKeyThatIsNotMadeAsToldIsDestroyedAgain) {
  const auto session = Session::open(parse_pkcs11_uri(uri_).value(), SessionMode::kReadWrite, {});
  ASSERT_OK(session);
  for (const CK_ATTRIBUTE_TYPE lie : {CKA_SENSITIVE, CKA_EXTRACTABLE, CKA_WRAP, CKA_DECRYPT}) {
    faults_.control->lie_about = lie;
    const Status made = make_root_key(*session.value(), Mechanism::kAesKeyWrap, "root", Bytes{1});
    EXPECT_CODE(made, Errc::kUnsupported) << lie;
    EXPECT_NE(test::words_of(made).find("destroyed again"), std::string::npos);
    EXPECT_EQ(test::num_token_keys(uri_).value(), 0U) << lie;
  }
}

TEST_F(Connected, RootKeyPairThatIsHalfMadeIsDestroyedAgain) {
  const auto session = Session::open(parse_pkcs11_uri(uri_).value(), SessionMode::kReadWrite, {});
  ASSERT_OK(session);
  const auto make = [&] {
    return make_root_key(*session.value(), Mechanism::kRsaOaep, "root", Bytes{1});
  };
  // The public half's modulus, and an attribute of the private half; then what destroys them.
  for (const long at : {1L, 2L}) {
    order({.rv = 0x32, .function = "C_GetAttributeValue", .at = at});
    const Status made = make();
    EXPECT_CODE(made, Errc::kUnavailable) << at;
    EXPECT_EQ(made.native_number(), 0x32U);
    for (const CK_OBJECT_CLASS half : {CKO_PRIVATE_KEY, CKO_PUBLIC_KEY})
      EXPECT_CODE(find_key(*session.value(), half, "root", {}), Errc::kNotFound) << at;
  }
  order({.rv = 0x32, .function = "C_GetAttributeValue", .at = 1},
        {.rv = 0x32, .function = "C_DestroyObject", .at = 1});
  const Status kept = make();
  EXPECT_CODE(kept, Errc::kUnavailable);
  EXPECT_NE(test::words_of(kept).find("still in the token"), std::string::npos);
}

// --- Waiting ---

TEST_F(Connected, WaitingEndsAtTheLimitWithTheTokensError) {
  options_.reconnect_limit = milliseconds(20);
  int num_told = 0;
  Status told;
  options_.on_token_lost = [&](const Status& status) {
    ++num_told;
    told = status;
  };
  connect(TokenCustody::kKekInToken);
  order({.rv = 0x30, .at = 1, .num = kForEver});
  Bytes blocks(64);
  const Status status = old_->ecb_encrypt(blocks);
  EXPECT_CODE(status, Errc::kUnavailable);
  EXPECT_EQ(status.native_number(), 0x30U);
  EXPECT_NE(std::string(status.hint()).find("bring the token back"), std::string::npos);
  EXPECT_EQ(num_told, 1);  // once per loss
  EXPECT_EQ(told.native_number(), 0x30U);
  order({});
  EXPECT_OK(old_->ecb_encrypt(blocks));
}

TEST_F(Connected, WaitingEndsWhenTheJobIsStopped) {
  std::atomic<bool> stop = false;
  options_.stop = &stop;
  options_.reconnect_pause = milliseconds(10'000);
  options_.reconnect_limit = milliseconds(60'000);
  options_.on_token_lost = [&](const Status& /*status*/) { stop = true; };
  connect(TokenCustody::kKekInToken);
  order({.rv = 0xe0, .at = 1, .num = kForEver});
  Bytes blocks(64);
  const Status status = old_->ecb_encrypt(blocks);
  EXPECT_CODE(status, Errc::kUnavailable);
  EXPECT_NE(std::string(status.message()).find("stopped"), std::string::npos);
}

TEST_F(Connected, FailuresThatAreNoLossAreNotWaitedFor) {
  connect(TokenCustody::kKekInToken);
  const auto num_recoveries = connection_->num_recoveries();
  order({.rv = 0x70, .function = "C_EncryptInit", .at = 1, .num = kForEver});
  Bytes blocks(64);
  EXPECT_CODE(old_->ecb_encrypt(blocks), Errc::kUnsupported);
  EXPECT_EQ(faults_.control->num_faults, 1);
  EXPECT_EQ(connection_->num_recoveries(), num_recoveries);
}

// A token that is well but fails at one thing again and again is not waited for, either.
TEST_F(Connected, FailureThatComesBackOnAHealthyTokenIsTheAnswer) {
  connect(TokenCustody::kKekInToken);
  order({.rv = 0x06, .function = "C_EncryptInit", .at = 1, .num = kForEver});
  Bytes blocks(64);
  EXPECT_CODE(old_->ecb_encrypt(blocks), Errc::kUnavailable);
  EXPECT_EQ(faults_.control->num_faults, 3);
}

TEST_F(Connected, TokenThatTakesLittleAtOnceIsGivenLess) {
  connect(TokenCustody::kKekInToken);
  const auto num_recoveries = connection_->num_recoveries();
  const Bytes plain = pattern(std::size_t{300} << 10);
  for (const unsigned long max_len : {16384UL, 1024UL}) {
    faults_.control->max_len = max_len;
    Bytes blocks = plain;
    ASSERT_OK(old_->ecb_encrypt(blocks));
    EXPECT_EQ(blocks, test::ecb_on_host(kOldValue, plain));
    ASSERT_OK(old_->ecb_decrypt(blocks));
    EXPECT_EQ(blocks, plain);
  }
  EXPECT_EQ(connection_->num_recoveries(), num_recoveries);
  faults_.control->max_len = 512;
  Bytes blocks = plain;
  EXPECT_CODE(old_->ecb_encrypt(blocks), Errc::kUnsupported);
  EXPECT_CODE(new_->ecb_decrypt(blocks), Errc::kUnsupported);
  faults_.control->max_len = 0;
}

// --- PINs ---

class RefusedPin : public Connected, public testing::WithParamInterface<unsigned long> {};

TEST_P(RefusedPin, IsNeverTriedAgain) {
  connect(TokenCustody::kKekInToken);
  order({.rv = 0x101, .function = "C_EncryptInit", .at = 1, .drop_login = 1},
        {.rv = GetParam(), .function = "C_Login", .at = 1, .num = kForEver});
  Bytes blocks(64);
  const Status status = old_->ecb_encrypt(blocks);
  EXPECT_CODE(status, Errc::kDenied);
  EXPECT_EQ(status.native_number(), GetParam());
  EXPECT_EQ(faults_.control->num_logins, 1);
  // Not by another operation, nor by another KEK, nor when the token would take it.
  faults_.control->second = {};
  faults_.control->first = {};
  EXPECT_CODE(old_->ecb_encrypt(blocks), Errc::kDenied);
  EXPECT_CODE(new_->ecb_encrypt(blocks), Errc::kDenied);
  EXPECT_EQ(faults_.control->num_logins, 1);
}

INSTANTIATE_TEST_SUITE_P(Pins, RefusedPin, testing::Values(0xa0UL, 0xa2UL, 0xa4UL));

TEST_F(Connected, LoginsWithoutAnAnswerAreNotRepeatedForEver) {
  connect(TokenCustody::kKekInToken);
  order({.rv = 0x30, .function = "C_Encrypt", .at = 1, .drop_login = 1},
        {.rv = 0x30, .function = "C_Login", .at = 1, .num = kForEver});
  Bytes blocks(64);
  EXPECT_CODE(old_->ecb_encrypt(blocks), Errc::kDenied);
  EXPECT_EQ(faults_.control->num_logins, 3);
}

// Somebody else's wrong PIN: the token has one try less, and ours may have been changed.
TEST_F(Connected, SecondLoginIsNotTriedAfterSomebodysWrongPin) {
  connect(TokenCustody::kKekInToken);
  faults_.control->token_flags = 0x00010000;  // CKF_USER_PIN_COUNT_LOW
  order({.rv = 0x101, .function = "C_EncryptInit", .at = 1, .drop_login = 1});
  Bytes blocks(64);
  EXPECT_CODE(old_->ecb_encrypt(blocks), Errc::kDenied);
  EXPECT_EQ(faults_.control->num_logins, 0);
  faults_.control->token_flags = 0;
  ASSERT_OK(old_->ecb_encrypt(blocks));
  EXPECT_EQ(faults_.control->num_logins, 1);
}

// The flag that log_in heeds counts in a recovery, too.
TEST_F(Connected, SecondLoginIsNotTriedAsTheFinalTry) {
  for (const bool allowed : {false, true}) {
    options_.allow_final_pin_try = allowed;
    if (!allowed) put_keys(uri_, TokenCustody::kKekInToken);
    reopen_keks();
    faults_.control->token_flags = 0x00020000;  // CKF_USER_PIN_FINAL_TRY
    order({.rv = 0x101, .function = "C_EncryptInit", .at = 1, .drop_login = 1});
    Bytes blocks(64);
    EXPECT_CODE(old_->ecb_encrypt(blocks), allowed ? Errc::kOk : Errc::kDenied);
    EXPECT_EQ(faults_.control->num_logins, allowed ? 1 : 0);
    faults_.control->token_flags = 0;
  }
}

TEST_F(Connected, NobodyIsAskedForThePinASecondTime) {
  int num_asked = 0;
  options_.ask_pin = [&](const std::string& /*token*/) {
    ++num_asked;
    return SecretBuffer::copy_of(as_bytes("1234"));
  };
  const std::string pin_file_uri = uri_;
  uri_ = token_.uri_with("", REWRAP_FAULT_MODULE, "");
  put_keys(pin_file_uri, TokenCustody::kKekInToken);
  open_keks();
  order({.rv = 0x30, .at = 1, .until_restart = 1});
  Bytes blocks(64);
  EXPECT_OK(old_->ecb_encrypt(blocks));
  EXPECT_EQ(faults_.control->num_logins, 1);
  EXPECT_EQ(num_asked, 1);
}

// --- Others in the process ---

TEST_F(Connected, SessionsFromBeforeARestartAreNotUsed) {
  connect(TokenCustody::kKekInToken);
  const auto root = open_root_for_probe(uri_, options_);
  ASSERT_OK(root);
  Bytes random(16);
  ASSERT_OK(root.value()->random(random));
  order({.rv = 0x30, .at = 1, .until_restart = 1});
  Bytes blocks(64);
  ASSERT_OK(old_->ecb_encrypt(blocks));
  const Status stale = root.value()->random(random);
  EXPECT_CODE(stale, Errc::kUnavailable);
  EXPECT_NE(std::string(stale.hint()).find("open the root again"), std::string::npos);
  // Its KEKs go on: their connection finds the restarted module.
  EXPECT_OK(root.value()->create_in_token(TokenCustody::kInToken, 32, {}));
}

TEST_F(Connected, TwoConnectionsAndFourThreadsRecoverSideBySide) {
  connect(TokenCustody::kInToken);
  const auto first_connection = connection_;
  const auto first_old = old_;
  open_keks();  // a second connection, with KEKs of its own
  faults_.control->shuffle = 0;
  order({.rv = 0x30, .every = 211, .until_restart = 1});
  const std::vector<std::pair<TokenKek*, TokenKek*>> jobs = {{old_.get(), new_.get()},
                                                             {first_old.get(), new_.get()},
                                                             {old_.get(), new_.get()},
                                                             {first_old.get(), new_.get()}};
  std::atomic<int> num_right = 0;
  std::vector<std::thread> threads;
  for (const auto& [from, to] : jobs) {
    threads.emplace_back([&num_right, from = from, to = to] {
      for (std::uint8_t i = 0; i < 60; ++i) {
        const Bytes dek = pattern(32, i);
        Bytes out(40);
        const Status status = from->rewrap_key(openssl_wrap(kOldValue, dek).value(), *to, out);
        EXPECT_OK(status);
        if (out == openssl_wrap(kNewValue, dek).value()) ++num_right;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(num_right, 240);
  EXPECT_GT(faults_.control->num_faults, 3);
  EXPECT_GT(first_connection->num_recoveries(), 0U);
  EXPECT_GT(connection_->num_recoveries(), 0U);
}

TEST_F(Connected, ForkedChildIsRefused) {
  connect(TokenCustody::kInToken);
  const pid_t child = fork();
  if (child == 0) {
    Bytes wrapped(40);
    const bool refused = old_->generate_key(wrapped).code() == Errc::kUnavailable;
    old_.reset();
    new_.reset();
    connection_.reset();
    _exit(refused ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  expect_all_right(run_job());  // the child's end left the parent's connection alone
}

// --- Making a KEK ---

TEST_F(Connected, KekThatIsMadeWhileTheTokenIsLostIsMadeOnce) {
  auto root = open_root_for_probe(uri_, options_);
  ASSERT_OK(root);
  const auto first = root.value()->create_in_token(TokenCustody::kInToken, 32, {});  // connects
  ASSERT_OK(first);
  ASSERT_OK(root.value()->destroy(first->protector));
  for (const int after : {0, 1}) {
    long at = 1 + after;
    for (;; at += 4) {  // making a token object takes milliseconds
      order({.rv = 0x30, .at = at, .after = after});
      const auto made = root.value()->create_in_token(TokenCustody::kInToken, 32, {});
      const long num_faults = faults_.control->num_faults;
      order({});
      ASSERT_OK(made);
      ASSERT_EQ(test::num_token_keys(uri_).value(), 1U) << at;
      ASSERT_OK(root.value()->destroy(made->protector));
      ASSERT_EQ(test::num_token_keys(uri_).value(), 0U) << at;
      if (num_faults == 0) break;
    }
    EXPECT_GT(at, 60);
  }
}

TEST_F(Connected, KekThatCannotBeMadeLeavesNothingBehind) {
  auto root = open_root_for_probe(uri_, options_);
  ASSERT_OK(root);
  for (const char* function : {"C_GenerateKey", "C_WrapKey", "C_CreateObject", "C_UnwrapKey"}) {
    order({.rv = 0x54, .at = 1, .num = kForEver});
    std::strncpy(faults_.control->first.function, function,
                 sizeof faults_.control->first.function - 1);
    const auto made = root.value()->create_in_token(TokenCustody::kInToken, 32, {});
    order({});
    EXPECT_CODE(made, Errc::kUnsupported) << function;
    EXPECT_EQ(test::num_token_keys(uri_).value(), 0U) << function;
  }
}

// --- Destroying one ---

// A lost login hides the key: the token says no more than that it finds none.
TEST_F(Connected, LoginLostWhileAKekIsDestroyedLeavesItNotBehind) {
  auto root = open_root_for_probe(uri_, options_);
  ASSERT_OK(root);
  for (long at = 1; at <= 7; ++at) {  // a session for writing, a search, and the destruction
    const auto made = root.value()->create_in_token(TokenCustody::kInToken, 32, {});
    ASSERT_OK(made);
    order({.at = at, .drop_login = 1});
    EXPECT_OK(root.value()->destroy(made->protector)) << at;
    EXPECT_EQ(faults_.control->num_faults, 1);
    order({});
    EXPECT_EQ(test::num_token_keys(uri_).value(), 0U) << at;
  }
}

// The same for what decides whether there is anything to destroy.
TEST_F(Connected, LoginLostWhileAKekIsOpenedDoesNotMakeItMissing) {
  connect(TokenCustody::kInToken);
  for (long at = 1; at <= 4; ++at) {
    order({.at = at, .drop_login = 1});
    EXPECT_OK(open_token_kek(connection_, protectors_[0], {})) << at;
    EXPECT_EQ(faults_.control->num_faults, 1);
  }
}

// --- Threads ---

// Roots that are opened at the same time share the module, its login and its PINs; one that does not
// find its token wants to restart what others use.
TEST(Threads, RootsAreOpenedAndClosedSideBySide) {
  const test::SoftHsmToken token;
  const std::string good = token.uri();
  std::string missing = good;
  missing.replace(missing.find("token=") + 6, 1, "%00");
  std::atomic<int> num_wrong = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 4; ++i) {
        const auto root = open_root_for_probe(t == 0 ? missing : good, {});
        if (root.ok() == (t == 0)) ++num_wrong;
        Bytes random(16);
        if (root.ok() && !root.value()->random(random).ok()) ++num_wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(num_wrong, 0);
}

}  // namespace
}  // namespace rewrap
