// What a probe says about a token whose abilities are known.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "hsm/root.h"
#include "tests/hsm/expect_code.h"
#include "tests/hsm/fault_module.h"
#include "tests/hsm/raw_token.h"
#include "tests/hsm/softhsm_fixture.h"
#include "tests/hsm/spy_module.h"

namespace rewrap {
namespace {

Capability find(const RootReport& report, const std::string& name) {
  const auto found =
      std::find_if(report.capabilities.begin(), report.capabilities.end(),
                   [&](const Capability& capability) { return capability.name == name; });
  if (found != report.capabilities.end()) return *found;
  ADD_FAILURE() << "no capability " << name;
  return {};
}

const Capability& mode(const RootReport& report, const std::string& name) {
  return *std::find_if(report.custody.begin(), report.custody.end(),
                       [&](const Capability& custody) { return custody.name == name; });
}

// num_token_objects counts what SoftHSM keeps: a file for each object, and one for the token.
std::ptrdiff_t num_token_objects(const test::SoftHsmToken& token) {
  using Files = std::filesystem::recursive_directory_iterator;
  return std::count_if(Files(token.folder()), Files(),
                       [](const auto& entry) { return entry.path().extension() == ".object"; });
}

TEST(Probe, FindsWhatSoftHsmCanDo) {
  const test::SoftHsmToken token;
  ASSERT_OK(create_root_key(token.uri("root"), {}));
  EXPECT_EQ(num_token_objects(token), 2);
  const auto root = open_root_for_probe(token.uri("root"), {});
  ASSERT_OK(root);
  const auto report = root.value()->probe();
  ASSERT_OK(report);
  EXPECT_EQ(num_token_objects(token), 2) << "it leaves nothing";
  for (const char* name : {"host", "kek-in-token", "in-token"})
    EXPECT_TRUE(mode(report.value(), name).works)
        << name << ": " << mode(report.value(), name).detail;
  EXPECT_NE(report->description.find("SoftHSM"), std::string::npos) << report->description;
  EXPECT_NE(report->description.find(token.label()), std::string::npos) << report->description;
  EXPECT_NE(report->key_ref.find("label=root"), std::string::npos) << report->key_ref;
  for (const char* name : {"CKM_AES_KEY_GEN session key", "CKA_VALUE of a session key",
                           "root key is fit for use", "CKM_AES_GCM encrypt+decrypt",
                           "token key for ENCRYPT+DECRYPT", "token key for WRAP+UNWRAP"}) {
    EXPECT_TRUE(find(report.value(), name).works)
        << name << ": " << find(report.value(), name).detail;
  }
  for (const char* name : {"CKM_AES_KEY_WRAP wrap+unwrap", "CKM_AES_ECB bulk",
                           "unwrap+wrap+destroy", "C_GenerateRandom"}) {
    const Capability capability = find(report.value(), name);
    EXPECT_TRUE(capability.works) << name << ": " << capability.detail;
    EXPECT_GT(capability.per_second, 10) << name;
  }
  const Capability kwp = find(report.value(), "CKM_AES_KEY_WRAP_KWP wrap+unwrap");
  EXPECT_FALSE(kwp.works);
  EXPECT_NE(kwp.detail.find("CKR_MECHANISM_INVALID"), std::string::npos) << kwp.detail;
  EXPECT_EQ(kwp.per_second, 0);
}

TEST(Probe, NeedsNoRootKeyAndTellsOfAnUnsafeOne) {
  const test::SoftHsmToken token;
  const auto none = open_root_for_probe(token.uri("root"), {});
  ASSERT_OK(none);
  const auto report = none.value()->probe();
  ASSERT_OK(report);
  EXPECT_TRUE(report->key_ref.empty());
  EXPECT_TRUE(find(report.value(), "CKM_AES_KEY_WRAP wrap+unwrap").works);

  ASSERT_OK(test::import_key(token.uri(), {.label = "root", .extractable = true}));
  const auto unsafe = open_root_for_probe(token.uri("root"), {});
  ASSERT_OK(unsafe);
  EXPECT_CODE(unsafe.value()->create(32, {}), Errc::kRefused);
  const auto second = unsafe.value()->probe();
  ASSERT_OK(second);
  EXPECT_FALSE(find(second.value(), "root key is fit for use").works);
}

TEST(Probe, OneFailureDoesNotSpoilTheNextTrial) {
  const test::SoftHsmToken token;
  auto* spy = test::load_spy(REWRAP_SPY_MODULE);
  ASSERT_NE(spy, nullptr);
  *spy = {};
  const auto root =
      open_root_for_probe(token.uri_with("", REWRAP_SPY_MODULE, token.pin_file()), {});
  ASSERT_OK(root);
  spy->decrypt_result = 0x06;  // leaves the operation open
  const auto report = root.value()->probe();
  *spy = {};
  ASSERT_OK(report);
  EXPECT_FALSE(find(report.value(), "CKM_AES_GCM encrypt+decrypt").works);
  EXPECT_FALSE(find(report.value(), "CKM_AES_ECB bulk").works);
  EXPECT_TRUE(find(report.value(), "unwrap+wrap+destroy").works);
  EXPECT_TRUE(find(report.value(), "C_GenerateRandom").works);
}

// A token that does everything with session keys, and keeps none: its policy, or a user who may not.
TEST(Probe, ATokenThatTakesNoKeysToKeepHasOnlyCustodyHost) {
  const test::SoftHsmToken token;
  const auto faults = test::load_faults(REWRAP_FAULT_MODULE);
  ASSERT_NE(faults.control, nullptr);
  *faults.control = {};
  faults.start();
  const std::string uri = token.uri_with("root", REWRAP_FAULT_MODULE, token.pin_file());
  ASSERT_OK(create_root_key(uri, {}));
  faults.control->no_token_keys = 0xb5;  // CKR_SESSION_READ_ONLY
  const auto root = open_root_for_probe(uri, {});
  ASSERT_OK(root);
  const auto report = root.value()->probe();
  ASSERT_OK(report);
  const RootReport& none = report.value();
  for (const TokenCustody custody : {TokenCustody::kKekInToken, TokenCustody::kInToken})
    EXPECT_FALSE(root.value()->create_in_token(custody, 32, {}).ok()) << "what the probe foretells";
  *faults.control = {};
  EXPECT_OK(root.value()->create_in_token(TokenCustody::kInToken, 32, {})) << "control";
  EXPECT_GT(num_token_objects(token), 2);
  EXPECT_TRUE(mode(none, "host").works) << mode(none, "host").detail;
  const Capability kept = find(none, "token key for ENCRYPT+DECRYPT");
  EXPECT_FALSE(kept.works);
  EXPECT_NE(kept.detail.find("CKR_SESSION_READ_ONLY"), std::string::npos) << kept.detail;
  EXPECT_TRUE(find(none, "CKM_AES_ECB bulk").works);
  for (const auto& [custody, need] : {std::pair("kek-in-token", "token key for ENCRYPT+DECRYPT"),
                                      std::pair("in-token", "token key for WRAP+UNWRAP")}) {
    EXPECT_FALSE(mode(none, custody).works) << custody;
    EXPECT_EQ(mode(none, custody).detail, std::string("missing: ") + need);
  }
}

}  // namespace
}  // namespace rewrap
