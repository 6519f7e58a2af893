// AES-ECB inside a token: the KEK never leaves it, yet a batch costs one call per key-wrap step.
#include <utility>

#include "engine/ecb_cipher.h"

namespace rewrap {
namespace {

// One call of 32 KiB, the blocks of one segment (and, under a KEK of ours, one block more that proves
// the key): large enough that a call's fixed cost hardly counts
// (half of it at 512 blocks, measured on SoftHSM). More is slower there: from 64 KiB on C_Decrypt
// takes twice as long per block.
constexpr std::size_t kTokenLanes = 2048;

// Holder points, in whichever way, to what has the key.
template <typename Holder>
class TokenEcb final : public EcbCipher {
 public:
  explicit TokenEcb(Holder key) : key_(std::move(key)) {}
  Status encrypt(ByteSpan blocks) override { return key_->ecb_encrypt(blocks); }
  Status decrypt(ByteSpan blocks) override { return key_->ecb_decrypt(blocks); }
  [[nodiscard]] std::size_t preferred_lanes() const override { return kTokenLanes; }

 private:
  Holder key_;
};

}  // namespace

std::unique_ptr<EcbCipher> make_token_ecb(WrappingKey* key) {
  return std::make_unique<TokenEcb<WrappingKey*>>(key);
}

std::unique_ptr<EcbCipher> make_token_ecb(std::shared_ptr<TokenKek> kek) {
  return std::make_unique<TokenEcb<std::shared_ptr<TokenKek>>>(std::move(kek));
}

Result<std::unique_ptr<EcbCipher>> make_ecb(const Kek& kek) {
  if (kek.token() == nullptr) return make_openssl_ecb(kek);
  if (kek.token()->custody() != TokenCustody::kKekInToken)
    return Status(Errc::kUnsupported, "the token lets this KEK wrap and unwrap keys only");
  return make_token_ecb(kek.token());
}

}  // namespace rewrap
