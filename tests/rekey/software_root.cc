// The software root.
#include "tests/rekey/software_root.h"
#include "hsm/random.h"

namespace rewrap::test {
namespace {

class SoftwareRoot final : public Root {
 public:
  SoftwareRoot(std::string uri, SoftwareHsm* hsm) : uri_(std::move(uri)), hsm_(hsm) {}

  Result<ProtectedKek> create(std::size_t, ByteView) override { return none(); }
  Result<SecretBuffer> open(const Protector&, ByteView) override { return none(); }
  Status random(ByteSpan) override { return none(); }
  Result<RootReport> probe() override { return none(); }

  Result<ProtectedTokenKek> create_in_token(TokenCustody custody, std::size_t kek_len,
                                            ByteView context) override {
    ProtectedTokenKek made;
    REWRAP_TRY(hsm_->token->call([&]() -> Status {
      SoftwareHsm::Key key{custody, Bytes(kek_len)};
      REWRAP_TRY(random_bytes(key.value));
      made.protector.root_uri = uri_;
      made.protector.mechanism = Mechanism::kTokenKey;
      made.protector.key_ref = uri_ + "/kek-" + std::to_string(++hsm_->num_made);
      REWRAP_ASSIGN(made.protector.check, check_value(key.value, made.protector, context));
      hsm_->keys[made.protector.key_ref] = std::move(key);
      return {};
    }));
    made.kek = kek(made.protector);
    return made;
  }

  Result<std::shared_ptr<TokenKek>> open_in_token(const Protector& protector,
                                                  ByteView context) override {
    REWRAP_TRY(hsm_->token->call([&]() -> Status {
      const auto key = hsm_->keys.find(protector.key_ref);
      if (key == hsm_->keys.end()) return Status(Errc::kNotFound, "no such key");
      REWRAP_ASSIGN(const auto check, check_value(key->second.value, protector, context));
      return check == protector.check ? Status() : Status(Errc::kCorruption, "another key");
    }));
    return kek(protector);
  }

  Status destroy(const Protector& protector) override {
    return hsm_->token->call([&]() -> Status {
      hsm_->keys.erase(protector.key_ref);
      return {};
    });
  }

 private:
  static Status none() { return Status(Errc::kUnsupported, "not in this test"); }

  std::shared_ptr<TokenKek> kek(const Protector& protector) {
    const SoftwareHsm::Key& key = hsm_->keys.at(protector.key_ref);
    return std::make_shared<SoftwareTokenKek>(hsm_->token, key.custody, key.value);
  }

  std::string uri_;
  SoftwareHsm* hsm_;
};

}  // namespace

RootOpener opener(std::map<std::string, SoftwareHsm>* hsms) {
  return [hsms](const std::string& uri, const RootOptions&) -> Result<std::unique_ptr<Root>> {
    const auto hsm = hsms->find(uri);
    if (hsm == hsms->end()) return Status(Errc::kNotFound, "no such token");
    return std::unique_ptr<Root>(std::make_unique<SoftwareRoot>(uri, &hsm->second));
  };
}

}  // namespace rewrap::test
