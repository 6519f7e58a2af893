// A real lost token: the process that holds it is killed under running work, and started again.
#include <gtest/gtest.h>

#include <atomic>
#include <csignal>
#include <thread>

#include "hsm/pkcs11/connection.h"
#include "hsm/pkcs11/pkcs11_token_kek.h"
#include "tests/hsm/expect_code.h"
#include "tests/hsm/known_kek.h"
#include "tests/hsm/remote_token.h"
#include "tests/hsm/softhsm_fixture.h"

namespace rewrap {
namespace {

using std::chrono::milliseconds;

constexpr int kNumKills = 4;
constexpr std::size_t kBatchLen = std::size_t{160} << 10;  // three calls each way
const Bytes kValue(32, 0x42);

class RemoteTest : public testing::Test {
 protected:
  void SetUp() override {
    (void)std::signal(SIGPIPE, SIG_IGN);
    const test::RawKey key = test::known_raw_key(TokenCustody::kKekInToken, kValue[0]);
    ASSERT_OK(test::import_key(token_.uri(), key));
    const auto serial = test::token_serial(token_.uri());
    ASSERT_OK(serial);
    protector_ = test::protect_known(key, serial.value(), {});
    remote_ = std::make_unique<test::RemoteToken>(token_);
    options_.reconnect_pause = milliseconds(2);
    options_.reconnect_limit = milliseconds(20'000);
    uri_ = token_.uri_with("", test::RemoteToken::module_path(), token_.pin_file());
  }

  void open() {
    const auto parsed = parse_pkcs11_uri(uri_);
    ASSERT_OK(parsed);
    auto connection = Connection::open(parsed.value(), options_);
    ASSERT_OK(connection);
    connection_ = std::move(connection).value();
    auto kek = open_token_kek(connection_, protector_, {});
    ASSERT_OK(kek);
    kek_ = std::move(kek).value();
  }

  test::SoftHsmToken token_;
  std::unique_ptr<test::RemoteToken> remote_;
  Protector protector_;
  RootOptions options_;
  std::string uri_;
  std::shared_ptr<Connection> connection_;
  std::shared_ptr<TokenKek> kek_;
};

TEST_F(RemoteTest, BulkWorkGoesOnWhenTheTokensProcessIsKilled) {
  std::atomic<int> num_lost = 0;
  options_.on_token_lost = [&](const Status& /*status*/) { ++num_lost; };
  open();
  ASSERT_NE(kek_, nullptr);
  std::atomic<int> num_batches = 0;
  std::atomic<bool> killed_enough = false;
  // Kills only after a batch or two: SoftHSM's token does not survive a kill in a login.
  std::thread killer([&] {
    for (int i = 0; i < kNumKills; ++i) {
      const int goal = num_batches + 2;
      while (num_batches < goal) std::this_thread::yield();
      std::this_thread::sleep_for(
          std::chrono::microseconds(300 * i));  // at another moment each time
      remote_->kill();
      std::this_thread::sleep_for(milliseconds(5));
      remote_->start();
    }
    killed_enough = true;
  });
  const Bytes plain = test::pattern(kBatchLen);
  const Bytes sealed = test::ecb_on_host(kValue, plain);
  bool failed = false;
  // On after a failure, or the killer would wait for ever.
  while (!killed_enough) {
    Bytes blocks = plain;
    const Status encrypted = kek_->ecb_encrypt(blocks);
    if (encrypted.ok() && blocks != sealed) ADD_FAILURE() << "encrypted to something else";
    const Status decrypted = encrypted.ok() ? kek_->ecb_decrypt(blocks) : encrypted;
    if (decrypted.ok() && blocks != plain) ADD_FAILURE() << "decrypted to something else";
    failed = failed || !decrypted.ok();
    ++num_batches;
  }
  killer.join();
  EXPECT_FALSE(failed);
  Bytes blocks = plain;
  EXPECT_OK(kek_->ecb_encrypt(blocks));
  EXPECT_EQ(blocks, sealed);
  EXPECT_GE(num_lost, kNumKills - 1);  // the last may have met no call
  EXPECT_GE(connection_->num_recoveries(), static_cast<std::uint64_t>(kNumKills));
}

TEST_F(RemoteTest, TokenThatStaysAwayIsUnavailable) {
  options_.reconnect_limit = milliseconds(50);
  open();
  ASSERT_NE(kek_, nullptr);
  remote_->kill();
  Bytes blocks(64);
  EXPECT_CODE(kek_->ecb_encrypt(blocks), Errc::kUnavailable);
  remote_->start();
  EXPECT_OK(kek_->ecb_encrypt(blocks));
}

}  // namespace
}  // namespace rewrap
