// The TPM fails, dies or changes in the middle of an operation.
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>

#include "hsm/root.h"
#include "hsm/tpm2/sealed_blob.h"
#include "hsm/tpm2/tpm2_root.h"
#include "tests/hsm/expect_code.h"
#include "tests/hsm/memory_search.h"
#include "tests/hsm/swtpm_fixture.h"

namespace rewrap {
namespace {

constexpr char kAny[] = "0";
constexpr char kCreate[] = "0x153";
constexpr char kLoad[] = "0x157";
constexpr char kUnseal[] = "0x15e";
constexpr char kFlush[] = "0x165";

class Tpm2FaultTest : public testing::Test {
 protected:
  void SetUp() override {
    auto root = open_root(tpm_.uri(terms_), {});
    ASSERT_OK(root);
    auto made = root.value()->create(32, context_);
    ASSERT_OK(made);
    protector_ = made->protector;
  }

  // through names the TPM behind the proxy, which acts at the nth command of that code.
  [[nodiscard]] std::string through(const std::string& code, unsigned nth,
                                    const std::string& action, const std::string& argument,
                                    const std::string& terms = "pcrs=sha256:7+11") const {
    std::string command = std::string(REWRAP_TPM_PROXY) + " " + tpm_.path("tpm") + " " + code +
                          " " + std::to_string(nth) + " " + action + " " + argument;
    for (std::size_t i = 0; (i = command.find(' ', i)) != std::string::npos;)
      command.replace(i, 1, "%20");
    return "tpm2:?tcti=cmd:" + command + "&" + terms;
  }

  // open_through opens the protector with a root that skips the look at the parent: each operation
  // has a proxy of its own, which begins to count at its first command.
  Result<SecretBuffer> open_through(const std::string& uri) {
    const auto root = open_root_for_probe(uri, {});
    EXPECT_OK(root);
    return root.value()->open(protector_, context_);
  }

  unsigned num_commands() {
    EXPECT_OK(open_through(through(kAny, 1, "count", tpm_.path("count"))));
    return static_cast<unsigned>(tpm_.read_file("count").size());
  }

  test::SoftTpm tpm_;
  const std::string terms_ = "pcrs=sha256:7+11";
  Bytes context_ = {1, 2, 3};
  Protector protector_;
};

TEST_F(Tpm2FaultTest, APcrThatChangesMeanwhileCostsOneMoreSession) {
  EXPECT_OK(open_through(through(kUnseal, 1, "extend", "10")));
  const auto ours = open_through(through(kUnseal, 1, "extend", "11"));
  EXPECT_CODE(ours, Errc::kDenied);
  EXPECT_NE(test::words_of(ours.status()).find("sha256:11,"), std::string::npos);
  EXPECT_EQ(tpm_.leftovers(), "");
}

TEST_F(Tpm2FaultTest, AnErrorAtAnyCommandIsReportedAndLeavesNothing) {
  const unsigned last = num_commands();
  ASSERT_GT(last, 8U);
  unsigned num_refused = 0;
  for (unsigned nth = 1; nth <= last; ++nth) {
    const auto opened = open_through(through(kAny, nth, "answer", "0x101"));  // TPM_RC_FAILURE
    const auto num_left = flush_leftovers(tpm_.uri());
    ASSERT_OK(num_left);
    if (opened.ok()) continue;  // a flush failed, and what it did not flush is left
    ++num_refused;
    EXPECT_CODE(opened, Errc::kUnavailable) << nth;
    EXPECT_EQ(num_left.value(), 0U) << nth;
  }
  EXPECT_GE(num_refused, last - 4);  // all but three flushes, and the overwriting of the residue
  EXPECT_OK(open_through(tpm_.uri(terms_)));
}

TEST_F(Tpm2FaultTest, ATpmKilledAtAnyCommandIsUnavailableAndChangesNothing) {
  const unsigned last = num_commands();
  unsigned num_refused = 0;
  for (unsigned nth = 1; nth <= last; ++nth) {
    const auto opened = open_through(through(kAny, nth, "kill", std::to_string(tpm_.process_id())));
    tpm_.stop();
    tpm_.start();
    EXPECT_OK(open_through(tpm_.uri(terms_))) << nth;
    if (opened.ok()) continue;  // it had its answer already
    ++num_refused;
    EXPECT_CODE(opened, Errc::kUnavailable) << nth;
  }
  EXPECT_GE(num_refused, last - 4);
  EXPECT_EQ(tpm_.leftovers(), "");
}

TEST_F(Tpm2FaultTest, FullTpmIsNamed) {
  const auto opened = open_through(through(kLoad, 1, "answer", "0x902"));
  EXPECT_CODE(opened, Errc::kUnavailable);
  EXPECT_NE(test::words_of(opened.status()).find("rewrap root flush"), std::string::npos);
  // The same from a resource manager's layer.
  EXPECT_CODE(open_through(through(kLoad, 1, "answer", "0xb0903")), Errc::kUnavailable);
}

TEST_F(Tpm2FaultTest, AFailureWhileSealingLeavesNoKekInMemory) {
  for (const char* code : {kCreate, kLoad, kUnseal, kFlush}) {
    const auto root = open_root_for_probe(through(code, 1, "answer", "0x101"), {});
    ASSERT_OK(root);
    Bytes kek;
    {
      auto secret = SecretBuffer::create(32);
      ASSERT_OK(secret);
      ASSERT_OK(root.value()->random(secret->expose_secret()));
      kek = test::masked(secret->expose_secret());
      EXPECT_GE(test::count_in_process(kek), 1U) << "control: the search finds what is there";
      EXPECT_EQ(root.value()->protect(secret.value(), context_).ok(), code == kFlush);
    }
    EXPECT_EQ(test::count_in_process(kek), 0U) << code;
    ASSERT_OK(flush_leftovers(tpm_.uri()));
  }
}

// Whatever activate() does last, one set of protectors opens, and doing it again ends it.
TEST_F(Tpm2FaultTest, ATpmKilledWhileActivatingLeavesExactlyOneSetThatOpens) {
  const std::string terms = "counter=0x01800100";
  const auto direct = open_root(tpm_.uri(terms), {});
  ASSERT_OK(direct);
  auto old = direct.value()->create(32, context_);
  ASSERT_OK(old);
  ASSERT_OK(direct.value()->activate(old->protector));
  unsigned num_failed = 0;
  bool failed = true;
  for (unsigned nth = 1; failed || num_failed == 0; ++nth) {
    ASSERT_LT(nth, 40U);
    auto next = direct.value()->create(32, context_);
    ASSERT_OK(next);
    const auto root = open_root_for_probe(
        through(kAny, nth, "kill", std::to_string(tpm_.process_id()), terms), {});
    ASSERT_OK(root);
    failed = !root.value()->activate(next->protector).ok();
    num_failed += failed ? 1 : 0;
    tpm_.stop();
    tpm_.start();
    const bool old_opens = direct.value()->open(old->protector, context_).ok();
    const bool next_opens = direct.value()->open(next->protector, context_).ok();
    EXPECT_NE(old_opens, next_opens) << nth;
    EXPECT_TRUE(failed || next_opens) << nth;
    EXPECT_OK(direct.value()->activate(next->protector)) << nth;
    EXPECT_OK(direct.value()->open(next->protector, context_)) << nth;
    EXPECT_CODE(direct.value()->open(old->protector, context_), Errc::kRefused) << nth;
    old = std::move(next);
  }
  EXPECT_GT(num_failed, 4U);
}

TEST_F(Tpm2FaultTest, NeitherKekNorPinCrossesTheBusInClear) {
  const std::string pin = "0123456789-pin";
  const std::string with_pin = "pin-source=file:" + tpm_.write_file("pin", as_bytes(pin));
  const Bytes kek = {0xd1, 0x5e, 0xa5, 0xed, 0x00, 0x11, 0x22, 0x33,
                     0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb};
  const auto secret = SecretBuffer::copy_of(kek);
  ASSERT_OK(secret);
  for (const std::string& terms :
       {std::string("pcrs=sha256:7"), with_pin, with_pin + "&pcrs=sha256:7"}) {
    tpm_.write_file("bus", {});
    const auto root = open_root_for_probe(through(kAny, 0, "record", tpm_.path("bus"), terms), {});
    ASSERT_OK(root);
    const auto protector = root.value()->protect(secret.value(), context_);
    ASSERT_OK(protector);
    ASSERT_OK(root.value()->open(protector.value(), context_));
    const Bytes bus = tpm_.read_file("bus");
    const auto num_seen = [&](ByteView what) {
      std::size_t num = 0;
      for (auto at = bus.begin();; ++at, ++num) {
        at = std::search(at, bus.end(), what.begin(), what.end());
        if (at == bus.end()) return num;
      }
    };
    EXPECT_GT(num_seen(decode_sealed_blob(protector->blob)->priv), 0U) << "control";
    EXPECT_EQ(num_seen(kek), 0U) << terms;
    EXPECT_EQ(num_seen(as_bytes(pin)), 0U) << terms;
    // TPM2_StartAuthSession with tpmKey = TPM_RH_NULL is not salted, so that whoever listens can
    // decrypt. Only trials of a policy may be such: one to seal, one to check.
    const Bytes any_session = {0, 0, 1, 0x76};
    const Bytes unsalted = {0, 0, 1, 0x76, 0x40, 0, 0, 7};
    const bool has_policy = terms != with_pin;
    EXPECT_EQ(num_seen(any_session), has_policy ? 5U : 3U) << terms;
    EXPECT_EQ(num_seen(unsalted), has_policy ? 2U : 0U) << terms;
  }
}

// libtss2 writes to a pipe that nobody reads any more; the signal would end this test. Here it is
// the flushing of the object that meets the broken pipe.
TEST_F(Tpm2FaultTest, ABrokenConnectionRaisesNoSignal) {
  const auto handler = std::signal(SIGPIPE, SIG_DFL);
  EXPECT_CODE(open_through(through(kUnseal, 1, "hang-up", "0x101")), Errc::kUnavailable);
  sigset_t mask;
  sigset_t pending;
  ASSERT_EQ(pthread_sigmask(SIG_SETMASK, nullptr, &mask), 0);
  ASSERT_EQ(sigpending(&pending), 0);
  EXPECT_EQ(sigismember(&mask, SIGPIPE), 0);
  EXPECT_EQ(sigismember(&pending, SIGPIPE), 0);
  std::signal(SIGPIPE, handler);  // NOLINT(cert-err33-c): it cannot fail for SIGPIPE
  ASSERT_OK(flush_leftovers(tpm_.uri()));
  EXPECT_OK(open_through(tpm_.uri(terms_)));
}

}  // namespace
}  // namespace rewrap
