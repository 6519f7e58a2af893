// The counting root.
#include "tests/rekey/counting_root.h"
#include "hsm/random.h"

#include <algorithm>
#include <memory>
#include <utility>

namespace rewrap::test {
namespace {

class CountingRoot final : public Root {
 public:
  CountingRoot(std::string uri, CountingTpm* tpm) : uri_(std::move(uri)), tpm_(tpm) {}

  Result<ProtectedKek> create(std::size_t kek_len, ByteView context) override {
    ProtectedKek made;
    REWRAP_ASSIGN(made.kek, SecretBuffer::create(kek_len));
    REWRAP_TRY(random_bytes(made.kek.expose_secret()));
    REWRAP_ASSIGN(made.protector, protect(made.kek, context));
    return made;
  }

  Result<Protector> protect(const SecretBuffer& kek, ByteView context) override {
    if (tpm_->counter == 0) {
      tpm_->counter = 1;
      made_counter_ = true;
    }
    Protector protector;
    protector.root_uri = uri_;
    protector.mechanism = Mechanism::kTpm2Seal;
    protector.key_ref = "key" + std::string(kCounterField) + "1";
    protector.blob = {static_cast<std::uint8_t>(tpm_->sealed.size())};
    const ByteView value = kek.expose_secret();
    REWRAP_ASSIGN(protector.check, check_value(value, protector, context));
    tpm_->sealed.push_back({Bytes(value.begin(), value.end()), tpm_->counter + 1});
    if (tpm_->spoils) tpm_->sealed.back().kek.front() ^= 1;
    return protector;
  }

  Result<SecretBuffer> open(const Protector& protector, ByteView /*context*/) override {
    const CountingTpm::Sealed& sealed = tpm_->sealed.at(protector.blob.front());
    if (sealed.value > tpm_->counter) return Status(Errc::kConflict, "not active yet");
    if (sealed.value < tpm_->counter) return Status(Errc::kRefused, "an old copy");
    return SecretBuffer::copy_of(sealed.kek);
  }

  Status activate(const Protector& protector) override {
    if (tpm_->does_not_rise) return {Errc::kUnavailable, "the counter does not rise"};
    tpm_->counter = std::max(tpm_->counter, tpm_->sealed.at(protector.blob.front()).value);
    return {};
  }

  [[nodiscard]] bool made_counter() const override { return made_counter_; }
  Status destroy(const Protector& /*protector*/) override { return {}; }
  Status random(ByteSpan out) override { return random_bytes(out); }
  Result<RootReport> probe() override { return Status(Errc::kUnsupported, "not in this test"); }

 private:
  std::string uri_;
  CountingTpm* tpm_;
  bool made_counter_ = false;
};

}  // namespace

RootOpener opener(CountingTpm* tpm) {
  return
      [tpm](const std::string& uri, const RootOptions& options) -> Result<std::unique_ptr<Root>> {
        if (!uri.starts_with("counting:")) return open_root(uri, options);
        if (tpm->has_wrong_pin) {
          ++tpm->num_pins_tried;
          return Status(Errc::kDenied, "wrong PIN");
        }
        return std::unique_ptr<Root>(std::make_unique<CountingRoot>(uri, tpm));
      };
}

}  // namespace rewrap::test
