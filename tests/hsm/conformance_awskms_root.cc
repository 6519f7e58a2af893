// The AWS KMS root, for the conformance suite: a key behind an alias, in a stand-in of its own.
#include <unistd.h>

#include <string>

#include "tests/hsm/awskms_fixture.h"
#include "tests/hsm/conformance_root.h"

namespace rewrap::test {
namespace {

class AwsKmsUnderTest final : public RootUnderTest {
 public:
  Status make() override { return lead_alias_to_new_key(); }
  [[nodiscard]] std::string uri() const override { return kms_.uri(kAlias); }
  [[nodiscard]] Mechanism mechanism() const override { return Mechanism::kAwsKms; }
  [[nodiscard]] bool has_canary() const override { return false; }  // the blob names its key

  std::string wrong_auth_uri() override {
    num_refused_before_ = kms_.count("num_refused");
    kms_.command(
        R"(credentials {"file":"wrong","key_id":"AKIDTEST","secret":"wrong","known":false})");
    return kms_.uri(kAlias, "", "wrong");
  }
  [[nodiscard]] int num_auth_tries() const override {
    return kms_.count("num_refused") - num_refused_before_;
  }

  Status delete_root_key() override {
    kms_.command("delete_key {\"key\":\"" + arn_ + "\"}");
    return {};
  }
  // The name is the alias. A key's ARN is never given to another key.
  Status replace_root_key() override { return lead_alias_to_new_key(); }

  Result<std::string> make_other() override { return kms_.uri(kms_.create_key()); }

  // What the KMS keeps for a root are connections; it sees a moment late that they are closed.
  Result<std::size_t> num_held() override {
    constexpr int kMaxLooks = 400;
    int num = kms_.count("num_connections");
    for (int i = 0; i < kMaxLooks && num > 0; ++i) {
      usleep(5000);
      num = kms_.count("num_connections");
    }
    return static_cast<std::size_t>(num);
  }
  [[nodiscard]] int num_cycles() const override { return 25; }  // two TLS handshakes each

 private:
  static constexpr char kAlias[] = "alias/rewrap-test";

  Status lead_alias_to_new_key() {
    arn_ = kms_.create_key();
    kms_.command(std::string(R"(set_alias {"name":")") + kAlias + R"(","key":")" + arn_ + "\"}");
    return {};
  }

  KmsServer kms_;
  std::string arn_;
  int num_refused_before_ = 0;
};

}  // namespace

std::unique_ptr<RootUnderTest> make_awskms_root_under_test() {
  return std::make_unique<AwsKmsUnderTest>();
}

}  // namespace rewrap::test
