// A wrapping key read from a file.
#include "hsm/file/file_wrapping_key.h"

#include <utility>

#include "hsm/process_guard.h"
#include "hsm/secret_file.h"

namespace rewrap {
namespace {

constexpr std::size_t kMaxKekLen = 32;

Status only_value() { return {Errc::kUnsupported, "a key from a file is used by its value"}; }

class FileWrappingKey final : public WrappingKey {
 public:
  explicit FileWrappingKey(SecretBuffer key) : key_(std::move(key)) {}

  [[nodiscard]] WrappingAccess access() const override { return WrappingAccess::kValue; }
  [[nodiscard]] std::size_t key_len() const override { return key_.size(); }

  Result<SecretBuffer> take_value() override {
    REWRAP_TRY(guard_.check());
    return SecretBuffer::copy_of(key_.expose_secret());
  }

  Status ecb_encrypt(ByteSpan /*blocks*/) override { return only_value(); }
  Status ecb_decrypt(ByteSpan /*blocks*/) override { return only_value(); }
  Status unwrap_key(ByteView /*wrapped*/, ByteSpan /*dek*/) override { return only_value(); }

 private:
  SecretBuffer key_;
  ProcessGuard guard_;
};

}  // namespace

Result<std::unique_ptr<WrappingKey>> open_file_wrapping_key(const std::string& uri) {
  REWRAP_ASSIGN(const std::string path, path_of_file_uri(uri));
  REWRAP_ASSIGN(SecretBuffer key, read_key_file(path, kMaxKekLen));
  if (key.size() != 16 && key.size() != 24 && key.size() != 32) {
    return Status(Errc::kInvalidArgument, "a wrapping key file holds 16, 24 or 32 raw bytes");
  }
  return std::unique_ptr<WrappingKey>(std::make_unique<FileWrappingKey>(std::move(key)));
}

}  // namespace rewrap
