// The TPM 2.0 root in its three ways to seal, for the conformance suite. Each has a swtpm of its own.
#include <string>

#include "tests/hsm/conformance_root.h"
#include "tests/hsm/swtpm_fixture.h"

namespace rewrap::test {
namespace {

// What a cycle leaves is left by each of them, and a sanitizer, which slows each down, names it.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int kManyCycles = 250;
#else
constexpr int kManyCycles = 1000;
#endif

enum class Sealing { kPin, kPcrs, kPinAndPcrs };

class Tpm2UnderTest final : public RootUnderTest {
 public:
  explicit Tpm2UnderTest(Sealing sealing) : sealing_(sealing) {}

  Status make() override { return create_root_key(uri(), {}); }
  [[nodiscard]] std::string uri() const override { return tpm_.uri(terms(pin_file_)); }
  [[nodiscard]] Mechanism mechanism() const override { return Mechanism::kTpm2Seal; }
  [[nodiscard]] bool has_canary() const override { return false; }

  std::string wrong_auth_uri() override {
    if (sealing_ != Sealing::kPcrs) return tpm_.uri(terms(wrong_pin_file_));
    tpm_.extend_pcr(7);
    return uri();
  }
  Status mend_auth() override {
    if (sealing_ != Sealing::kPcrs) return {};
    tpm_.stop();  // PCRs begin anew with the machine
    tpm_.start();
    return {};
  }
  [[nodiscard]] int num_auth_tries() const override {
    const std::string all = tpm_.tool({"getcap", "properties-variable"});
    const std::string name = "TPM2_PT_LOCKOUT_COUNTER: ";
    return std::stoi(all.substr(all.find(name) + name.size()), nullptr, 16);
  }
  [[nodiscard]] int tries_of_a_wrong_one() const override {
    return sealing_ == Sealing::kPcrs ? 0 : 1;
  }

  Status delete_root_key() override {
    tpm_.tool({"evictcontrol", "-C", "o", "-c", "0x81000001"});
    return {};
  }
  // Clearing gives the TPM another seed, so that the same template makes another key.
  Status replace_root_key() override {
    tpm_.tool({"clear"});
    return make();
  }

  Result<std::string> make_other() override {
    other_ = std::make_unique<SoftTpm>();
    const std::string uri = other_->uri(terms(pin_file_));
    REWRAP_TRY(create_root_key(uri, {}));
    return uri;
  }

  Result<std::size_t> num_held() override { return tpm_.leftovers().size(); }
  // A TPM takes milliseconds for each, so that one way to seal stands for the others; they differ in
  // the policy's commands, which all go the same way.
  [[nodiscard]] int num_cycles() const override {
    return sealing_ == Sealing::kPcrs ? kManyCycles : 25;
  }

 private:
  [[nodiscard]] std::string terms(const std::string& pin_file) const {
    std::string terms = "handle=0x81000001";
    if (sealing_ != Sealing::kPcrs) terms += "&pin-source=file:" + pin_file;
    if (sealing_ != Sealing::kPin) terms += "&pcrs=sha256:7+11";
    return terms;
  }

  Sealing sealing_;
  SoftTpm tpm_;
  std::unique_ptr<SoftTpm> other_;
  std::string pin_file_ = tpm_.write_file("pin", as_bytes("correct horse"));
  std::string wrong_pin_file_ = tpm_.write_file("wrong", as_bytes("wrong horse"));
};

}  // namespace

std::unique_ptr<RootUnderTest> make_tpm2_root_with_pin() {
  return std::make_unique<Tpm2UnderTest>(Sealing::kPin);
}

std::unique_ptr<RootUnderTest> make_tpm2_root_with_pcrs() {
  return std::make_unique<Tpm2UnderTest>(Sealing::kPcrs);
}

std::unique_ptr<RootUnderTest> make_tpm2_root_with_both() {
  return std::make_unique<Tpm2UnderTest>(Sealing::kPinAndPcrs);
}

}  // namespace rewrap::test
