// The development root: a key file and OpenSSL.
#include "hsm/file/file_root.h"

#include <chrono>
#include <utility>

#include "hsm/file/aes_key_wrap.h"
#include "hsm/key_wrap_root.h"
#include "hsm/random.h"
#include "hsm/secret_file.h"

namespace rewrap {
namespace {

constexpr auto kProbeTime = std::chrono::milliseconds(200);

// fingerprint names the key without telling it: a check value over a protector that never exists
// otherwise.
Result<std::string> fingerprint(const SecretBuffer& key) {
  REWRAP_ASSIGN(const auto digest,
                check_value(key.expose_secret(), Protector{}, as_bytes("file root fingerprint")));
  return "file-key=" + encode_hex(digest);
}

Status check_allowed(const RootOptions& options) {
  if (options.allow_file_root) return {};
  return {Errc::kRefused, "a root key in a file is for development only",
          "use a pkcs11: root, or say --allow-file-root if this is not production"};
}

class FileRoot final : public KeyWrapRoot {
 public:
  FileRoot(std::string uri, SecretBuffer key, std::string key_ref)
      : KeyWrapRoot(std::move(uri)), key_(std::move(key)), key_ref_(std::move(key_ref)) {}

  Status random(ByteSpan out) override {
    REWRAP_TRY(check_process());
    REWRAP_TRY(check_random_len(out.size()));
    return random_bytes(out);
  }

  Result<RootReport> probe() override;

 protected:
  Status ready() override { return {}; }

  [[nodiscard]] const std::string& key_ref() const override { return key_ref_; }

  [[nodiscard]] Mechanism mechanism() const override { return Mechanism::kAesKeyWrap; }

  Result<Bytes> seal_new_key(std::size_t len, ByteView binding) override {
    REWRAP_ASSIGN(const SecretBuffer key, random_key(len));
    return seal_key(key, binding);
  }

  Result<Bytes> seal_key(const SecretBuffer& key, ByteView /*binding*/) override {
    return openssl_wrap(key_.expose_secret(), key.expose_secret());
  }

  Result<SecretBuffer> open_key(ByteView blob, ByteView /*binding*/) override {
    return openssl_unwrap(key_.expose_secret(), blob);
  }

  Status try_key(ByteView blob, ByteView binding) override {
    return open_key(blob, binding).status();
  }

 private:
  SecretBuffer key_;
  std::string key_ref_;
};

Result<RootReport> FileRoot::probe() {
  REWRAP_TRY(check_process());
  RootReport report;
  report.description = "a key file, for development only";
  report.key_ref = key_ref_;
  REWRAP_ASSIGN(const Bytes blob, seal_new_key(kFileRootKeyLen, {}));
  Capability unwraps{
      .name = "AES key wrap: unwrap", .works = true, .detail = "by OpenSSL on the host"};
  const auto start = std::chrono::steady_clock::now();
  double num_done = 0;
  while (unwraps.works && std::chrono::steady_clock::now() - start < kProbeTime) {
    unwraps.works = try_key(blob, {}).ok();
    ++num_done;
  }
  unwraps.per_second =
      num_done / std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  report.chosen = Mechanism::kAesKeyWrap;
  report.protectors.push_back(
      {.name = mechanism_name(Mechanism::kAesKeyWrap), .works = unwraps.works, .detail = {}});
  report.custody.push_back({.name = "host", .works = unwraps.works, .detail = {}});
  for (const char* in_token : {"kek-in-token", "in-token"}) {
    report.custody.push_back(
        {.name = in_token, .works = false, .detail = "a key file holds no KEKs of its own"});
  }
  report.capabilities.push_back(std::move(unwraps));
  return report;
}

}  // namespace

Result<std::unique_ptr<Root>> open_file_root(const std::string& uri, const RootOptions& options) {
  REWRAP_TRY(check_allowed(options));
  REWRAP_ASSIGN(const std::string path, path_of_file_uri(uri));
  auto key = read_key_file(path, kFileRootKeyLen);
  if (!key.ok() && key.status().code() == Errc::kNotFound) {
    return key.status().with_hint("make the root key first: rewrap root create URI");
  }
  if (!key.ok()) return key.status();
  if (key->size() != kFileRootKeyLen) {
    return Status(Errc::kInvalidArgument, "the root key file does not hold exactly 32 bytes");
  }
  REWRAP_ASSIGN(std::string key_ref, fingerprint(key.value()));
  return std::unique_ptr<Root>(
      std::make_unique<FileRoot>(uri, std::move(key).value(), std::move(key_ref)));
}

Status create_file_root_key(const std::string& uri, const RootOptions& options) {
  REWRAP_TRY(check_allowed(options));
  REWRAP_ASSIGN(const std::string path, path_of_file_uri(uri));
  REWRAP_ASSIGN(const SecretBuffer key, random_key(kFileRootKeyLen));
  return write_key_file(path, key.expose_secret());
}

}  // namespace rewrap
