// The TPM root: the ways to seal, every refusal by name, and nothing left in the TPM.
#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <thread>

#include "hsm/root.h"
#include "hsm/tpm2/sealed_blob.h"
#include "hsm/tpm2/tpm2_root.h"
#include "tests/hsm/expect_code.h"
#include "tests/hsm/softhsm_fixture.h"
#include "tests/hsm/swtpm_fixture.h"

namespace rewrap {
namespace {

constexpr char kHandle[] = "handle=0x81000001";
constexpr char kPcrs[] = "pcrs=sha256:7+11";
constexpr char kPin[] = "correct horse";
const RootOptions kFinalTry = {.allow_final_pin_try = true, .ask_pin = {}};

std::unique_ptr<Root> open_it(const std::string& uri, const RootOptions& options = {}) {
  auto root = open_root(uri, options);
  EXPECT_OK(root);
  return root.ok() ? std::move(root).value() : nullptr;
}

bool says(const Status& status, const std::string& text) {
  return test::words_of(status).find(text) != std::string::npos;
}

bool in_child(const std::function<bool()>& body) {
  const pid_t child = fork();
  if (child == 0) _exit(body() ? 0 : 1);
  int status = -1;
  waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

class Tpm2RootTest : public testing::Test {
 protected:
  std::string pin(const std::string& text = kPin) {
    return "pin-source=file:" + tpm_.write_file("pin", as_bytes(text));
  }

  // modes are the ways to seal, as attributes of a URI: this TPM only, PIN, PCRs, both.
  std::vector<std::string> modes() { return {"", pin(), kPcrs, kPcrs + ("&" + pin())}; }

  // failed_tries is how many wrong PINs the TPM counts.
  [[nodiscard]] std::string failed_tries() const {
    const std::string all = tpm_.tool({"getcap", "properties-variable"});
    const std::string name = "TPM2_PT_LOCKOUT_COUNTER: ";
    return all.substr(all.find(name) + name.size(), 3);
  }

  test::SoftTpm tpm_;
  Bytes context_ = {1, 2, 3};
};

TEST_F(Tpm2RootTest, GivesBackWhatItMadeInEachMode) {
  for (const std::string& mode : modes()) {
    SCOPED_TRACE(mode);
    const auto root = open_it(tpm_.uri(mode));
    for (const std::size_t len : {16U, 24U, 32U}) {
      const auto made = root->create(len, context_);
      ASSERT_OK(made);
      EXPECT_EQ(made->kek.size(), len);
      EXPECT_EQ(made->protector.root_uri, tpm_.uri(mode));
      EXPECT_EQ(made->protector.mechanism, Mechanism::kTpm2Seal);
      const auto opened = root->open(made->protector, context_);
      ASSERT_OK(opened);
      EXPECT_TRUE(secrets_equal(opened->expose_secret(), made->kek.expose_secret()));
    }
    for (const std::size_t len : {0U, 8U, 33U, 64U})
      EXPECT_CODE(root->create(len, context_), Errc::kInvalidArgument);
  }
  EXPECT_EQ(tpm_.leftovers(), "");
}

TEST_F(Tpm2RootTest, OpensAfterAPowerCutFromTheStoredForm) {
  for (const std::string& parent : {std::string(), std::string(kHandle)}) {
    const std::string uri = tpm_.uri(parent.empty() ? kPcrs : parent + "&" + kPcrs);
    if (!parent.empty()) {
      ASSERT_OK(create_root_key(uri, {}));
    }
    const auto made = open_it(uri)->create(32, context_);
    ASSERT_OK(made);
    const Bytes stored = encode_protector(made->protector);
    tpm_.stop();
    tpm_.start();
    const auto protector = decode_protector(stored);
    ASSERT_OK(protector);
    const auto opened = open_it(uri)->open(protector.value(), context_);
    ASSERT_OK(opened);
    EXPECT_TRUE(secrets_equal(opened->expose_secret(), made->kek.expose_secret()));
  }
}

TEST_F(Tpm2RootTest, ProtectsAKekThatExists) {
  const auto kek = SecretBuffer::copy_of(Bytes(32, 7));
  const auto root = open_it(tpm_.uri(kPcrs));
  const auto protector = root->protect(kek.value(), context_);
  ASSERT_OK(protector);
  const auto opened = root->open(protector.value(), context_);
  ASSERT_OK(opened);
  EXPECT_TRUE(secrets_equal(opened->expose_secret(), kek->expose_secret()));
  EXPECT_OK(root->activate(protector.value()));  // without a counter: nothing to do
  EXPECT_OK(root->destroy(protector.value()));
  EXPECT_CODE(root->protect(SecretBuffer::copy_of(Bytes(20, 7)).value(), context_),
              Errc::kInvalidArgument);
}

TEST_F(Tpm2RootTest, WrongPinIsTriedOnce) {
  const auto made = open_it(tpm_.uri(pin()))->create(32, context_);
  ASSERT_OK(made);
  const auto both = open_it(tpm_.uri(kPcrs + ("&" + pin())))->create(32, context_);
  ASSERT_OK(both);
  EXPECT_EQ(failed_tries(), "0x0");
  pin("wrong");
  const auto root = open_it(tpm_.uri(pin("wrong")));
  for (int i = 0; i < 3; ++i) {
    const auto refused = root->open(made->protector, context_);
    EXPECT_CODE(refused, Errc::kDenied);
    EXPECT_TRUE(says(refused.status(), "refused the PIN")) << test::words_of(refused.status());
    EXPECT_EQ(failed_tries(), "0x1");
  }
  EXPECT_CODE(open_it(tpm_.uri(pin("wrong")))->open(both->protector, context_), Errc::kDenied);
  EXPECT_EQ(failed_tries(), "0x2");
  // The next one would lock the TPM, be it right or wrong.
  const auto final_try = open_it(tpm_.uri(pin()))->open(made->protector, context_);
  EXPECT_CODE(final_try, Errc::kDenied);
  EXPECT_TRUE(says(final_try.status(), "none was tried"));
  EXPECT_EQ(failed_tries(), "0x2");
  EXPECT_OK(open_it(tpm_.uri(pin()), kFinalTry)->open(made->protector, context_));
  EXPECT_EQ(tpm_.leftovers(), "");
}

TEST_F(Tpm2RootTest, LockoutIsNamedAndConcernsPinsOnly) {
  const auto with_pin = open_it(tpm_.uri(pin()))->create(32, context_);
  const auto with_pcrs = open_it(tpm_.uri(kPcrs))->create(32, context_);
  const auto bare = open_it(tpm_.uri())->create(32, context_);
  ASSERT_OK(with_pin);
  ASSERT_OK(with_pcrs);
  ASSERT_OK(bare);
  for (int i = 0; i < 3; ++i) {
    const auto wrong = open_it(tpm_.uri(pin("wrong")), kFinalTry);
    EXPECT_CODE(wrong->open(with_pin->protector, context_), Errc::kDenied);
  }
  const auto locked = open_it(tpm_.uri(pin()), kFinalTry)->open(with_pin->protector, context_);
  EXPECT_CODE(locked, Errc::kDenied);
  EXPECT_TRUE(says(locked.status(), "locked")) << test::words_of(locked.status());
  EXPECT_TRUE(says(locked.status(), "every 1000 s")) << test::words_of(locked.status());
  // Without noDA a stranger's wrong PINs would lock the one that nothing but an empty auth value
  // guards; a policy without a PIN asks for none.
  EXPECT_OK(open_it(tpm_.uri())->open(bare->protector, context_));
  EXPECT_OK(open_it(tpm_.uri(kPcrs))->open(with_pcrs->protector, context_));
  EXPECT_OK(open_it(tpm_.uri(kPcrs))->create(32, context_));
  tpm_.tool({"dictionarylockout", "-c"});
  EXPECT_OK(open_it(tpm_.uri(pin()))->open(with_pin->protector, context_));
}

TEST_F(Tpm2RootTest, PinsThatATpmWouldCutAreRefused) {
  for (const std::string& text : {std::string(33, 'x'), std::string("x\0", 2)})
    EXPECT_CODE(open_it(tpm_.uri(pin(text)))->create(32, context_), Errc::kInvalidArgument);
  EXPECT_OK(open_it(tpm_.uri(pin(std::string(32, 'x'))))->create(32, context_));
  const auto made = open_it(tpm_.uri(pin()))->create(32, context_);
  const auto without = open_it(tpm_.uri())->open(made->protector, context_);
  EXPECT_CODE(without, Errc::kDenied);
  EXPECT_TRUE(says(without.status(), "pin-source"));
}

TEST_F(Tpm2RootTest, ExtendedPcrsAreNamed) {
  const auto root = open_it(tpm_.uri(kPcrs));
  const auto made = root->create(32, context_);
  ASSERT_OK(made);
  const auto with_pin = open_it(tpm_.uri(kPcrs + ("&" + pin())))->create(32, context_);
  ASSERT_OK(with_pin);
  tpm_.extend_pcr(10);  // not one of ours
  EXPECT_OK(root->open(made->protector, context_));
  tpm_.extend_pcr(11);
  const auto refused = root->open(made->protector, context_);
  EXPECT_CODE(refused, Errc::kDenied);
  EXPECT_TRUE(says(refused.status(), "these differ: sha256:11,"));
  // The PCRs are looked at before a PIN try is spent.
  EXPECT_CODE(open_it(tpm_.uri(kPcrs + ("&" + pin("wrong"))))->open(with_pin->protector, context_),
              Errc::kDenied);
  EXPECT_EQ(failed_tries(), "0x0");
  tpm_.stop();
  tpm_.start();  // PCRs begin anew
  EXPECT_OK(root->open(made->protector, context_));
}

// forged takes a blob with other terms, and a checksum that fits.
Protector forged(const Protector& from, const std::function<void(SealedBlob*)>& change) {
  auto blob = decode_sealed_blob(from.blob);
  EXPECT_OK(blob);
  change(&blob.value());
  Protector out = from;
  out.blob = encode_sealed_blob(blob.value());
  return out;
}

// It is the TPM that refuses, not our comparison: a blob that claims other terms does not open.
TEST_F(Tpm2RootTest, ForgedTermsDoNotOpen) {
  const auto root = open_it(tpm_.uri(kPcrs + ("&" + pin())));
  const auto made = root->create(32, context_);
  ASSERT_OK(made);
  tpm_.extend_pcr(11);
  const Protector pcrs_off = forged(made->protector, [](SealedBlob* blob) {
    blob->pcrs.mask = 0;
    blob->pcr_values.clear();
  });
  EXPECT_CODE(root->open(pcrs_off, context_), Errc::kDenied);
  const Protector fewer = forged(made->protector, [](SealedBlob* blob) {
    blob->pcrs.mask = 1U << 7;
    blob->pcr_values.pop_back();
  });
  EXPECT_CODE(root->open(fewer, context_), Errc::kDenied);
  tpm_.stop();
  tpm_.start();
  tpm_.tool({"dictionarylockout", "-c"});
  const Protector no_pin =
      forged(made->protector, [](SealedBlob* blob) { blob->needs_pin = false; });
  EXPECT_CODE(root->open(no_pin, context_), Errc::kDenied);
  EXPECT_OK(root->open(forged(made->protector, [](SealedBlob*) {}), context_));  // control
  EXPECT_EQ(tpm_.leftovers(), "");
}

TEST_F(Tpm2RootTest, AnotherTpmIsDenied) {
  const test::SoftTpm other;
  const auto made = open_it(tpm_.uri(kPcrs))->create(32, context_);
  ASSERT_OK(made);
  const auto refused = open_it(other.uri(kPcrs))->open(made->protector, context_);
  EXPECT_CODE(refused, Errc::kDenied);
  EXPECT_TRUE(says(refused.status(), "another TPM"));
  EXPECT_EQ(other.leftovers(), "");
  EXPECT_CODE(open_root(other.uri(kHandle), {}), Errc::kNotFound);
  // Not our comparison alone: with the other parent's name in the blob the TPM refuses it.
  const auto there = open_it(other.uri(kPcrs))->create(32, context_);
  const Bytes their_name = decode_sealed_blob(there->protector.blob)->parent_name;
  const Protector lying =
      forged(made->protector, [&](SealedBlob* blob) { blob->parent_name = their_name; });
  EXPECT_CODE(open_it(other.uri(kPcrs))->open(lying, context_), Errc::kCorruption);
}

TEST_F(Tpm2RootTest, AClearedTpmIsDenied) {
  ASSERT_OK(create_root_key(tpm_.uri(kHandle), {}));
  const auto transient = open_it(tpm_.uri())->create(32, context_);
  ASSERT_OK(transient);
  tpm_.tool({"clear", "-c", "p"});
  EXPECT_CODE(open_it(tpm_.uri())->open(transient->protector, context_), Errc::kDenied);
  EXPECT_CODE(open_root(tpm_.uri(kHandle), {}), Errc::kNotFound);
}

TEST_F(Tpm2RootTest, OwnerPasswordIsNamed) {
  ASSERT_OK(create_root_key(tpm_.uri(kHandle), {}));
  tpm_.tool({"changeauth", "-c", "owner", "secret"});
  const auto refused = open_root(tpm_.uri(), {});
  EXPECT_CODE(refused, Errc::kDenied);
  EXPECT_TRUE(says(refused.status(), "owner hierarchy has a password"));
  EXPECT_OK(open_it(tpm_.uri(kHandle))->create(32, context_));  // the way out that the hint names
}

TEST_F(Tpm2RootTest, EveryChangedByteOfTheBlobIsCorruption) {
  const auto root = open_it(tpm_.uri(kPcrs));
  const auto made = root->create(32, context_);
  ASSERT_OK(made);
  for (std::size_t i = 0; i < made->protector.blob.size(); ++i) {
    Protector damaged = made->protector;
    damaged.blob[i] = static_cast<std::uint8_t>(damaged.blob[i] ^ (1U << (i % 8)));
    EXPECT_CODE(root->open(damaged, context_), Errc::kCorruption) << i;
  }
  EXPECT_OK(root->open(made->protector, context_));  // control
}

// Past the checksum: every byte of what the TPM itself gets.
TEST_F(Tpm2RootTest, EveryChangedByteOfTheSealedObjectIsCorruption) {
  ASSERT_OK(create_root_key(tpm_.uri(kHandle), {}));
  const auto root = open_it(tpm_.uri(kHandle + ("&" + std::string(kPcrs))));
  const auto made = root->create(32, context_);
  ASSERT_OK(made);
  const auto blob = decode_sealed_blob(made->protector.blob);
  for (std::size_t i = 0; i < blob->pub.size() + blob->priv.size(); ++i) {
    const Protector damaged = forged(made->protector, [i](SealedBlob* b) {
      Bytes& part = i < b->pub.size() ? b->pub : b->priv;
      std::uint8_t& byte = part[i < b->pub.size() ? i : i - b->pub.size()];
      byte = static_cast<std::uint8_t>(byte ^ (1U << (i % 8)));
    });
    EXPECT_CODE(root->open(damaged, context_), Errc::kCorruption) << i;
  }
  EXPECT_OK(root->open(made->protector, context_));  // control
  EXPECT_EQ(tpm_.leftovers(), "");
}

TEST_F(Tpm2RootTest, ProtectorsCannotBeExchanged) {
  const auto root = open_it(tpm_.uri(kPcrs));
  const auto one = root->create(32, as_bytes("version 1"));
  const auto two = root->create(32, as_bytes("version 2"));
  ASSERT_OK(one);
  ASSERT_OK(two);
  EXPECT_OK(root->open(one->protector, as_bytes("version 1")));
  EXPECT_CODE(root->open(two->protector, as_bytes("version 1")), Errc::kCorruption);
  Protector mixed = one->protector;
  mixed.blob = two->protector.blob;
  EXPECT_CODE(root->open(mixed, as_bytes("version 1")), Errc::kCorruption);
  mixed = one->protector;
  mixed.check[0] ^= 1;
  EXPECT_CODE(root->open(mixed, as_bytes("version 1")), Errc::kCorruption);
  mixed = one->protector;
  mixed.key_ref += "x";
  EXPECT_CODE(root->open(mixed, as_bytes("version 1")), Errc::kCorruption);
}

TEST_F(Tpm2RootTest, AnotherRootsProtectorIsUnsupported) {
  const std::string folder = test::make_private_folder();
  const RootOptions options = {.allow_file_root = true, .ask_pin = {}};
  ASSERT_OK(create_root_key("file:" + folder + "/k", options));
  const auto made = open_it("file:" + folder + "/k", options)->create(32, context_);
  ASSERT_OK(made);
  EXPECT_CODE(open_it(tpm_.uri())->open(made->protector, context_), Errc::kUnsupported);
  const auto ours = open_it(tpm_.uri())->create(32, context_);
  EXPECT_CODE(open_it("file:" + folder + "/k", options)->open(ours->protector, context_),
              Errc::kUnsupported);
  test::remove_folder(folder);
}

TEST_F(Tpm2RootTest, RootKeyIsMadePersistentOnceAndNothingElseIsOverwritten) {
  const auto no_handle = create_root_key(tpm_.uri(), {});
  EXPECT_CODE(no_handle, Errc::kInvalidArgument);
  EXPECT_TRUE(says(no_handle, "nothing is created"));
  const auto missing = open_root(tpm_.uri(kHandle), {});
  EXPECT_CODE(missing, Errc::kNotFound);
  EXPECT_TRUE(says(missing.status(), "root create"));
  EXPECT_OK(open_root_for_probe(tpm_.uri(kHandle), {}));
  EXPECT_OK(create_root_key(tpm_.uri(kHandle), {}));
  EXPECT_OK(create_root_key(tpm_.uri(kHandle), {}));  // the same key: nothing to do
  // A transient parent and a persistent one are the same key.
  const auto made = open_it(tpm_.uri())->create(32, context_);
  EXPECT_OK(open_it(tpm_.uri(kHandle))->open(made->protector, context_));

  tpm_.tool({"createprimary", "-C", "o", "-G", "rsa", "-c", tpm_.path("rsa.ctx")});
  tpm_.tool({"evictcontrol", "-C", "o", "-c", tpm_.path("rsa.ctx"), "0x81000002"});
  tpm_.tool({"flushcontext", "-t"});
  EXPECT_CODE(create_root_key(tpm_.uri("handle=0x81000002"), {}), Errc::kAlreadyExists);
  EXPECT_OK(open_it(tpm_.uri("handle=0x81000002"))->create(32, context_));  // good enough a parent

  tpm_.tool({"createprimary", "-C", "o", "-G", "ecc", "-a",
             "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|sign", "-c",
             tpm_.path("sign.ctx")});
  tpm_.tool({"evictcontrol", "-C", "o", "-c", tpm_.path("sign.ctx"), "0x81000003"});
  tpm_.tool({"flushcontext", "-t"});
  EXPECT_CODE(open_root(tpm_.uri("handle=0x81000003"), {}), Errc::kRefused);
  EXPECT_EQ(tpm_.leftovers(), "");
}

TEST_F(Tpm2RootTest, GivesRandomBytes) {
  const auto root = open_it(tpm_.uri());
  Bytes one(100);
  Bytes two(100);
  EXPECT_OK(root->random(one));
  EXPECT_OK(root->random(two));
  EXPECT_NE(one, two);
  EXPECT_NE(Bytes(one.end() - 32, one.end()), Bytes(32));
  EXPECT_OK(root->random({}));
  Bytes too_long((1U << 20) + 1);
  EXPECT_CODE(root->random(too_long), Errc::kInvalidArgument);
}

TEST_F(Tpm2RootTest, ProbeSealsAndUnseals) {
  const auto report = open_it(tpm_.uri(kPcrs))->probe();
  ASSERT_OK(report);
  EXPECT_NE(report->description.find("IBM"), std::string::npos) << report->description;
  EXPECT_TRUE(report->key_ref.starts_with("tpm2-parent=000b"));
  EXPECT_EQ(report->capabilities.size(), 5U);
  for (const Capability& capability : report->capabilities)
    EXPECT_TRUE(capability.works) << capability.name << ": " << capability.detail;
  EXPECT_EQ(tpm_.leftovers(), "");
  const auto without_parent = open_root_for_probe(tpm_.uri(kHandle), {}).value()->probe();
  ASSERT_OK(without_parent);
  EXPECT_EQ(without_parent->key_ref, "");
  EXPECT_FALSE(without_parent->capabilities[0].works);
}

TEST_F(Tpm2RootTest, TheConnectionComesFromTheUriOrTheEnvironment) {
  ASSERT_EQ(setenv("TPM2TOOLS_TCTI", tpm_.tcti().c_str(), 1), 0);
  EXPECT_OK(open_root("tpm2:", {}));
  const auto by_uri = open_root("tpm2:?tcti=swtpm:path=" + tpm_.path("none"), {});
  EXPECT_CODE(by_uri, Errc::kUnavailable);
  EXPECT_TRUE(says(by_uri.status(), "tcti= in the URI: swtpm:path=" + tpm_.path("none")))
      << test::words_of(by_uri.status());
  ASSERT_EQ(setenv("TPM2TOOLS_TCTI", "swtpm:path=/nowhere", 1), 0);
  EXPECT_TRUE(says(open_root("tpm2:", {}).status(), "TPM2TOOLS_TCTI in the environment"));
  EXPECT_OK(open_root(tpm_.uri(), {}));  // the URI comes first
  ASSERT_EQ(unsetenv("TPM2TOOLS_TCTI"), 0);
  for (const char* tcti :
       {"device:/nowhere", "nosuch:x", "swtpm:host=127.0.0.1,port=1", "cmd:false"})
    EXPECT_CODE(open_root("tpm2:?tcti=" + std::string(tcti), {}), Errc::kUnavailable) << tcti;
}

TEST_F(Tpm2RootTest, GoneTpmIsUnavailable) {
  const auto root = open_it(tpm_.uri(kPcrs));
  const auto made = root->create(32, context_);
  ASSERT_OK(made);
  tpm_.stop();
  EXPECT_CODE(root->open(made->protector, context_), Errc::kUnavailable);
  EXPECT_CODE(root->create(32, context_), Errc::kUnavailable);
  EXPECT_CODE(root->probe(), Errc::kUnavailable);
  tpm_.start();
  EXPECT_OK(root->open(made->protector, context_));  // a connection of its own each time
}

TEST_F(Tpm2RootTest, ForkedChildIsRefused) {
  const auto root = open_it(tpm_.uri());
  const auto made = root->create(32, context_);
  ASSERT_OK(made);
  EXPECT_TRUE(in_child([&] {
    Bytes random(16);
    return root->create(32, {}).status().code() == Errc::kUnavailable &&
           root->open(made->protector, {}).status().code() == Errc::kUnavailable &&
           root->activate(made->protector).code() == Errc::kUnavailable &&
           root->random(random).code() == Errc::kUnavailable &&
           root->probe().status().code() == Errc::kUnavailable;
  }));
  EXPECT_OK(root->open(made->protector, context_));
}

// swtpm has no resource manager that would clean up: whatever a process leaves stays.
TEST_F(Tpm2RootTest, ExitWithoutCloseLeavesNothing) {
  EXPECT_TRUE(in_child([&] {
    const auto root = open_root(tpm_.uri(kPcrs), {});
    const bool works = root.ok() && root.value()->create(32, context_).ok();
    _exit(works ? 0 : 1);
    return false;
  }));
  EXPECT_EQ(tpm_.leftovers(), "");
}

// Each operation has a connection of its own, so roots wait for each other, and none starves one.
TEST_F(Tpm2RootTest, TwoThreadsWithTwoRoots) {
  std::array<int, 2> num_good{};
  const auto work = [&](std::size_t i) {
    const auto root = open_it(tpm_.uri(kPcrs));
    for (int round = 0; round < 10; ++round) {
      const auto made = root->create(32, context_);
      EXPECT_OK(made);
      if (made.ok() && root->open(made->protector, context_).ok()) ++num_good[i];
    }
  };
  std::thread other(work, 1);
  work(0);
  other.join();
  EXPECT_EQ(num_good[0] + num_good[1], 20);
  EXPECT_EQ(tpm_.leftovers(), "");
}

std::size_t num_open_files() {
  const std::filesystem::directory_iterator files("/proc/self/fd");
  return static_cast<std::size_t>(std::distance(begin(files), end(files)));
}

TEST_F(Tpm2RootTest, ManyOpensAndClosesLeaveNothing) {
  const auto made = open_it(tpm_.uri(kPcrs))->create(32, context_);
  ASSERT_OK(made);
  const std::size_t num_files = num_open_files();
  for (int i = 0; i < 40; ++i) {
    const auto root = open_root(tpm_.uri(kPcrs), {});
    ASSERT_OK(root);
    ASSERT_OK(root.value()->open(made->protector, context_));
  }
  EXPECT_EQ(num_open_files(), num_files);
  EXPECT_EQ(tpm_.leftovers(), "");
}

TEST_F(Tpm2RootTest, LeftoversOfOthersAreNamedAndFlushedOnRequestOnly) {
  const auto root = open_it(tpm_.uri());
  for (int i = 0; i < 3; ++i) tpm_.tool({"createprimary", "-C", "o", "-c", tpm_.path("left.ctx")});
  tpm_.tool({"startauthsession", "-S", tpm_.path("session.ctx")});
  const std::string before = tpm_.leftovers();
  EXPECT_NE(before, "");
  const auto full = root->create(32, context_);
  EXPECT_CODE(full, Errc::kUnavailable);
  EXPECT_TRUE(says(full.status(), "no room")) << test::words_of(full.status());
  EXPECT_TRUE(says(full.status(), "rewrap root flush"));
  EXPECT_EQ(tpm_.leftovers(), before);  // not ours: left alone
  const auto num_flushed = flush_leftovers(tpm_.uri());
  ASSERT_OK(num_flushed);
  EXPECT_EQ(num_flushed.value(), 4U);
  EXPECT_EQ(tpm_.leftovers(), "");
  EXPECT_OK(root->create(32, context_));
  EXPECT_EQ(flush_leftovers(tpm_.uri()).value(), 0U);
}

}  // namespace
}  // namespace rewrap
