// Secrets at rest in the service's database: AES-256-GCM under a service key, which a root guards.
// Where a secret stands (table, row, column) is bound to it as additional data, so that two rows'
// secrets cannot be exchanged. Any thread.
#ifndef REWRAP_API_SERVICE_SECRET_BOX_H_
#define REWRAP_API_SERVICE_SECRET_BOX_H_

#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "engine/base/bytes.h"
#include "engine/base/secret_buffer.h"
#include "engine/base/status.h"
#include "hsm/protector.h"
#include "hsm/root.h"

namespace rewrap {

inline constexpr std::size_t kServiceKeyLen = 32;
inline constexpr std::size_t kMaxSecretLen = std::size_t{64} * 1024;

// SecretPlace says where a sealed secret stands, e.g. {"aws_kms", row's uuid, "secret_access_key"}.
struct SecretPlace {
  std::string_view table;
  ByteView row;
  std::string_view column;
};

class SecretBox {
 public:
  // make makes a new service key in `root`, and gives the protector, to be stored; open gives the
  // key back from it. Errors: the root's own
  static Result<std::unique_ptr<SecretBox>> make(Root* root, Protector* protector);
  static Result<std::unique_ptr<SecretBox>> open(Root* root, const Protector& protector);

  // seal gives format (1 byte), IV (12), ciphertext, tag (16). Random IVs: SP 800-38D section 8.3
  // allows 2^32 of them under one key. Errors: kInvalidArgument longer than kMaxSecretLen; kInternal
  [[nodiscard]] Result<Bytes> seal(const SecretPlace& place, ByteView secret) const;

  // unseal gives an empty buffer for an empty secret.
  // Errors: kIntegrity  changed, or from another place, or under another service key
  [[nodiscard]] Result<SecretBuffer> unseal(const SecretPlace& place, ByteView sealed) const;

  // derive gives a key for another purpose (HMAC-SHA-256 of its name under the service key), of
  // kServiceKeyLen bytes.
  [[nodiscard]] Result<SecretBuffer> derive(std::string_view purpose) const;

 private:
  static Result<std::unique_ptr<SecretBox>> take(SecretBuffer key);
  explicit SecretBox(SecretBuffer key) : key_(std::move(key)) {}
  SecretBuffer key_;  // only read after it is made, so any thread may
};

}  // namespace rewrap

#endif  // REWRAP_API_SERVICE_SECRET_BOX_H_
