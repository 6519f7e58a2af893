// AES-ECB inside a token: the KEK never leaves it, yet a batch costs one call per key-wrap step.
#include "engine/ecb_cipher.h"

namespace rewrap {
namespace {

// One C_Encrypt of 64 KiB: large enough that a call's fixed cost hardly counts.
constexpr std::size_t kLanes = 4096;

class TokenEcb final : public EcbCipher {
 public:
  explicit TokenEcb(WrappingKey* key) : key_(key) {}
  Status encrypt(ByteSpan blocks) override { return key_->ecb_encrypt(blocks); }
  Status decrypt(ByteSpan blocks) override { return key_->ecb_decrypt(blocks); }
  [[nodiscard]] std::size_t preferred_lanes() const override { return kLanes; }

 private:
  WrappingKey* key_;
};

}  // namespace

std::unique_ptr<EcbCipher> make_token_ecb(WrappingKey* key) {
  return std::make_unique<TokenEcb>(key);
}

}  // namespace rewrap
