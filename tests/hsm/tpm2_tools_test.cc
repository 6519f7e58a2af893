// A second opinion: what we seal opens with tpm2-tools, and what they seal opens with us.
#include <gtest/gtest.h>

#include "hsm/root.h"
#include "hsm/tpm2/blob_file.h"
#include "tests/hsm/expect_code.h"
#include "tests/hsm/swtpm_fixture.h"

namespace rewrap {
namespace {

constexpr char kParent[] = "0x81000001";
constexpr char kStays[] = "fixedtpm|fixedparent";

class Tpm2ToolsTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK(create_root_key(uri(), {}));
    pin_ = "&pin-source=file:" + tpm_.write_file("pin", as_bytes("correct horse"));
  }

  [[nodiscard]] std::string uri(const std::string& more = "") const {
    return tpm_.uri("handle=0x81000001" + more);
  }

  // seal_with_us gives the KEK, and leaves our.pub and our.priv for the tools.
  SecretBuffer seal_with_us(const std::string& terms) {
    const auto root = open_root(uri(terms), {});
    EXPECT_OK(root);
    auto made = root.value()->create(32, context_);
    EXPECT_OK(made);
    const auto files = export_sealed(made->protector);
    EXPECT_OK(files);
    tpm_.write_file("our.pub", files->pub);
    tpm_.write_file("our.priv", files->priv);
    tpm_.tool({"load", "-C", kParent, "-u", tpm_.path("our.pub"), "-r", tpm_.path("our.priv"), "-c",
               tpm_.path("our.ctx")});
    tpm_.tool({"flushcontext", "-t"});
    return std::move(made->kek);
  }

  // unseal_with_tools says whether they find the same KEK, which is never printed.
  bool unseal_with_tools(const std::string& auth, const SecretBuffer& kek) {
    std::vector<std::string> words = {"unseal", "-c", tpm_.path("our.ctx"), "-o", tpm_.path("out")};
    if (!auth.empty()) words.insert(words.end(), {"-p", auth});
    const bool opened = tpm_.try_tool(words);
    tpm_.tool({"flushcontext", "-t"});
    const Bytes seen = opened ? tpm_.read_file("out") : Bytes();
    return secrets_equal(seen, kek.expose_secret());
  }

  // seal_with_tools seals kKek with the words given.
  SealedFiles seal_with_tools(const std::vector<std::string>& more, std::size_t len = 32) {
    tpm_.write_file("kek", ByteView(kek_).first(len));
    std::vector<std::string> words = {
        "create",           "-C", kParent, "-i", tpm_.path("kek"), "-u", tpm_.path("t.pub"), "-r",
        tpm_.path("t.priv")};
    words.insert(words.end(), more.begin(), more.end());
    tpm_.tool(words);
    tpm_.tool({"flushcontext", "-t"});
    return {.pub = tpm_.read_file("t.pub"), .priv = tpm_.read_file("t.priv")};
  }

  // policy writes the digest for PCRs 7 and 11, and with `with_pin` the auth value, to a file.
  std::string policy(bool with_pin) {
    const std::string session = tpm_.path("trial.ctx");
    const std::string file = tpm_.path("policy");
    tpm_.tool({"startauthsession", "-S", session});
    tpm_.tool({"policypcr", "-S", session, "-l", "sha256:7,11", "-L", file});
    if (with_pin) tpm_.tool({"policypassword", "-S", session, "-L", file});
    tpm_.tool({"flushcontext", session});
    return file;
  }

  void expect_imports(const std::string& terms, const SealedFiles& files) {
    const auto made = import_sealed(uri(terms), files, context_, {});
    ASSERT_OK(made);
    EXPECT_TRUE(secrets_equal(made->kek.expose_secret(), kek_));
    const auto opened = open_root(uri(terms), {}).value()->open(made->protector, context_);
    ASSERT_OK(opened);
    EXPECT_TRUE(secrets_equal(opened->expose_secret(), kek_));
    EXPECT_EQ(tpm_.leftovers(), "");
  }

  test::SoftTpm tpm_;
  std::string pin_;
  const std::string pcrs_ = "&pcrs=sha256:7+11";
  Bytes context_ = {1, 2, 3};
  const Bytes kek_ = {1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15, 16,
                      17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32};
};

TEST_F(Tpm2ToolsTest, OursOpensThereWithAPin) {
  const SecretBuffer kek = seal_with_us(pin_);
  EXPECT_FALSE(unseal_with_tools("", kek));
  EXPECT_TRUE(unseal_with_tools("file:" + tpm_.path("pin"), kek));
}

TEST_F(Tpm2ToolsTest, OursOpensThereWithPcrs) {
  const SecretBuffer kek = seal_with_us(pcrs_);
  EXPECT_FALSE(unseal_with_tools("", kek));
  EXPECT_TRUE(unseal_with_tools("pcr:sha256:7,11", kek));
  tpm_.extend_pcr(11);
  EXPECT_FALSE(unseal_with_tools("pcr:sha256:7,11", kek));
}

TEST_F(Tpm2ToolsTest, OursOpensThereWithPcrsAndAPin) {
  const SecretBuffer kek = seal_with_us(pcrs_ + pin_);
  EXPECT_FALSE(unseal_with_tools("pcr:sha256:7,11", kek));
  EXPECT_FALSE(unseal_with_tools("file:" + tpm_.path("pin"), kek));
  const std::string session = tpm_.path("policy.ctx");
  tpm_.tool({"startauthsession", "--policy-session", "-S", session});
  tpm_.tool({"policypcr", "-S", session, "-l", "sha256:7,11"});
  tpm_.tool({"policypassword", "-S", session});
  EXPECT_TRUE(unseal_with_tools("session:" + session + "+correct horse", kek));
}

TEST_F(Tpm2ToolsTest, OursDoesNotOpenThereAfterTheCounterWasRaised) {
  const auto root = open_root(uri("&counter=0x01800100"), {});
  ASSERT_OK(root);
  const SecretBuffer kek = seal_with_us("&counter=0x01800100");
  const auto unseal = [&] {
    const std::string session = tpm_.path("policy.ctx");
    const std::string value = tpm_.path("value");
    tpm_.tool({"startauthsession", "--policy-session", "-S", session});
    tpm_.tool({"nvread", "0x01800100", "-o", value});
    const bool met = tpm_.try_tool({"policynv", "-S", session, "-i", value, "0x01800100", "eq"});
    const bool opened = met && unseal_with_tools("session:" + session, kek);
    tpm_.tool({"flushcontext", "-l"});
    return opened;
  };
  EXPECT_FALSE(unseal());  // made for the value to come
  tpm_.tool({"nvincrement", "0x01800100"});
  EXPECT_TRUE(unseal());
  tpm_.tool({"nvincrement", "0x01800100"});
  EXPECT_FALSE(unseal());
}

TEST_F(Tpm2ToolsTest, TheirsOpensHereInEachMode) {
  expect_imports("", seal_with_tools({"-a", std::string(kStays) + "|userwithauth|noda"}));
  expect_imports(pin_, seal_with_tools({"-p", "file:" + tpm_.path("pin")}));
  expect_imports(pcrs_,
                 seal_with_tools({"-L", policy(false), "-a", std::string(kStays) + "|noda"}));
  expect_imports(pcrs_ + pin_, seal_with_tools({"-L", policy(true), "-p",
                                                "file:" + tpm_.path("pin"), "-a", kStays}));
}

TEST_F(Tpm2ToolsTest, WhatIsNotSafeOrNotAsSaidIsNotImported) {
  const auto import = [&](const std::string& terms, const SealedFiles& files) {
    return import_sealed(uri(terms), files, context_, {});
  };
  const SealedFiles pcrs = seal_with_tools({"-L", policy(false), "-a", kStays});
  EXPECT_OK(import(pcrs_, pcrs));  // control
  EXPECT_CODE(import("", pcrs), Errc::kDenied);
  EXPECT_CODE(import("&pcrs=sha256:7", pcrs), Errc::kDenied);
  EXPECT_CODE(import(pcrs_ + pin_, pcrs), Errc::kDenied);
  EXPECT_CODE(import(pcrs_ + "&counter=0x01800100", pcrs), Errc::kInvalidArgument);
  // With userwithauth an empty auth value goes past the policy.
  EXPECT_CODE(import(pcrs_, seal_with_tools({"-L", policy(false), "-a",
                                             std::string(kStays) + "|userwithauth"})),
              Errc::kRefused);
  EXPECT_CODE(import("", seal_with_tools({"-a", "userwithauth"})), Errc::kRefused);  // may leave
  EXPECT_CODE(import("", seal_with_tools({}, 31)), Errc::kInvalidArgument);
  SealedFiles damaged = pcrs;
  damaged.priv[40] ^= 1;
  EXPECT_CODE(import(pcrs_, damaged), Errc::kDenied);
  damaged = pcrs;
  damaged.pub.pop_back();
  EXPECT_CODE(import(pcrs_, damaged), Errc::kDenied);
  const test::SoftTpm other;
  EXPECT_CODE(import_sealed(other.uri("pcrs=sha256:7+11"), pcrs, context_, {}), Errc::kDenied);
  tpm_.extend_pcr(7);
  EXPECT_CODE(import(pcrs_, pcrs), Errc::kDenied);
  EXPECT_EQ(tpm_.leftovers(), "");
}

}  // namespace
}  // namespace rewrap
