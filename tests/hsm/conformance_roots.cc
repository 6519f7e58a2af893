// The roots that the conformance suite is run against.
#include <sys/stat.h>
#include <unistd.h>

#include "tests/hsm/conformance_root.h"
#include "tests/hsm/nss_fixture.h"
#include "tests/hsm/raw_token.h"
#include "tests/hsm/softhsm_fixture.h"
#include "tests/hsm/spy_module.h"

namespace rewrap::test {
namespace {

class FileRootUnderTest final : public RootUnderTest {
 public:
  FileRootUnderTest() = default;
  FileRootUnderTest(const FileRootUnderTest&) = delete;
  FileRootUnderTest& operator=(const FileRootUnderTest&) = delete;
  ~FileRootUnderTest() override { remove_folder(folder_); }

  Status make() override { return create_root_key(uri(), options()); }
  [[nodiscard]] std::string uri() const override { return "file:" + path_; }
  [[nodiscard]] RootOptions options() const override {
    RootOptions options;
    options.allow_file_root = true;
    return options;
  }
  [[nodiscard]] Mechanism mechanism() const override { return Mechanism::kAesKeyWrap; }

  std::string wrong_auth_uri() override {
    std::string readable = folder_ + "/readable";
    const bool made =
        create_root_key("file:" + readable, options()).ok() && chmod(readable.c_str(), 0640) == 0;
    return made ? "file:" + readable : std::string();
  }
  [[nodiscard]] int num_auth_tries() const override { return 0; }
  [[nodiscard]] int tries_of_a_wrong_one() const override { return 0; }

  Status delete_root_key() override {
    if (unlink(path_.c_str()) == 0) return {};
    return {Errc::kIo, "cannot remove the key file"};
  }
  Status replace_root_key() override {
    REWRAP_TRY(delete_root_key());
    return make();
  }

  Result<std::string> make_other() override {
    std::string other = "file:" + folder_ + "/other";
    REWRAP_TRY(create_root_key(other, options()));
    return other;
  }

  Result<std::size_t> num_held() override { return std::size_t{0}; }

 private:
  std::string folder_ = make_private_folder();
  std::string path_ = folder_ + "/root-key";
};

// What the tokens have in common. The root key's id is given, so that its successor has the same.
class TokenUnderTest : public RootUnderTest {
 public:
  Status make() override { return make_key(kLabel, 1, 1); }
  [[nodiscard]] std::string uri() const override { return uri_with(kName, module(), pin_file()); }
  [[nodiscard]] Mechanism mechanism() const override { return mechanism_; }
  [[nodiscard]] int num_cycles() const override {
    return mechanism_ == Mechanism::kRsaOaep ? 200 : 1000;  // RSA takes milliseconds
  }

  std::string wrong_auth_uri() override { return spied_uri(wrong_pin_file()); }
  [[nodiscard]] int num_auth_tries() const override {
    return spy_ == nullptr ? -1 : spy_->num_logins;
  }

  Status delete_root_key() override { return destroy_keys(uri(), kLabel); }
  Status replace_root_key() override {
    REWRAP_TRY(delete_root_key());
    return make_key(kLabel, 1, 2);
  }

  Result<std::string> make_other() override {
    REWRAP_TRY(make_key("other", 3, 3));
    return uri_with("other;id=%03", module(), pin_file());
  }

  std::string counted_uri() override { return spied_uri(pin_file()); }
  Result<std::size_t> num_held() override {
    REWRAP_ASSIGN(const std::size_t objects,
                  num_session_objects(uri_with(kName, spy_module(), pin_file())));
    return static_cast<std::size_t>(spy_->num_open_sessions) + objects;
  }

 protected:
  explicit TokenUnderTest(Mechanism mechanism) : mechanism_(mechanism) {}

  [[nodiscard]] virtual std::string uri_with(const std::string& object, const std::string& module,
                                             const std::string& pin_file) const = 0;
  [[nodiscard]] virtual std::string module() const = 0;
  [[nodiscard]] virtual const char* spy_module() const = 0;
  [[nodiscard]] virtual std::string pin_file() const = 0;
  virtual std::string wrong_pin_file() = 0;

 private:
  static constexpr char kLabel[] = "root";
  static constexpr char kName[] = "root;id=%01";

  std::string spied_uri(const std::string& with_pin_file) {
    spy_ = load_spy(spy_module());
    if (spy_ == nullptr) return {};
    *spy_ = {};
    return uri_with(kName, spy_module(), with_pin_file);
  }

  // make_key makes another key for each `seed`. Not by create_root_key, whose
  // choice is tested elsewhere, and whose RSA keys take long to make.
  Status make_key(const std::string& label, std::uint8_t id, std::uint8_t seed) {
    const std::string token = uri();
    if (mechanism_ == Mechanism::kRsaOaep) return make_rsa_pair(token, label, {id});
    const bool wraps = mechanism_ == Mechanism::kAesKeyWrap;
    return import_key(token, {.label = label,
                              .id = {id},
                              .value = Bytes(32, seed),
                              .encrypt = !wraps,
                              .decrypt = !wraps,
                              .wrap = wraps,
                              .unwrap = wraps});
  }

  Mechanism mechanism_;
  SpyControl* spy_ = nullptr;
};

class SoftHsmUnderTest final : public TokenUnderTest {
 public:
  SoftHsmUnderTest(Mechanism mechanism, const std::string& mechanisms)
      : TokenUnderTest(mechanism), token_("conformance", mechanisms) {}

 protected:
  [[nodiscard]] std::string uri_with(const std::string& object, const std::string& module,
                                     const std::string& pin_file) const override {
    return token_.uri_with(object, module, pin_file);
  }
  [[nodiscard]] std::string module() const override { return SoftHsmToken::module_path(); }
  [[nodiscard]] const char* spy_module() const override { return REWRAP_SPY_MODULE; }
  [[nodiscard]] std::string pin_file() const override { return token_.pin_file(); }
  std::string wrong_pin_file() override { return token_.write_file("wrong", "4321\n"); }

 private:
  SoftHsmToken token_;
};

class NssUnderTest final : public TokenUnderTest {
 public:
  explicit NssUnderTest(Mechanism mechanism) : TokenUnderTest(mechanism) {}

 protected:
  [[nodiscard]] std::string uri_with(const std::string& object, const std::string& module,
                                     const std::string& pin_file) const override {
    return token_.uri_with(object, module, pin_file);
  }
  [[nodiscard]] std::string module() const override { return NssToken::module_path(); }
  [[nodiscard]] const char* spy_module() const override { return REWRAP_SPY_MODULE_FOR_NSS; }
  [[nodiscard]] std::string pin_file() const override { return token_.pin_file(); }
  std::string wrong_pin_file() override { return token_.write_file("wrong", "4321\n"); }

 private:
  NssToken token_;
};

}  // namespace

std::unique_ptr<RootUnderTest> make_file_root() { return std::make_unique<FileRootUnderTest>(); }

std::unique_ptr<RootUnderTest> make_softhsm_root() {
  return std::make_unique<SoftHsmUnderTest>(Mechanism::kAesKeyWrap, "ALL");
}

std::unique_ptr<RootUnderTest> make_softhsm_root_for_gcm() {
  return std::make_unique<SoftHsmUnderTest>(Mechanism::kAesGcm, kWithoutKeyWrap);
}

std::unique_ptr<RootUnderTest> make_softhsm_root_for_oaep() {
  return std::make_unique<SoftHsmUnderTest>(Mechanism::kRsaOaep, kOnlyOaep);
}

std::unique_ptr<RootUnderTest> make_nss_root() {
  return std::make_unique<NssUnderTest>(Mechanism::kAesKeyWrap);
}

std::unique_ptr<RootUnderTest> make_nss_root_for_gcm() {
  return std::make_unique<NssUnderTest>(Mechanism::kAesGcm);
}

std::unique_ptr<RootUnderTest> make_nss_root_for_oaep() {
  return std::make_unique<NssUnderTest>(Mechanism::kRsaOaep);
}

}  // namespace rewrap::test
