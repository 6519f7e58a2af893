// The seam for step-sliced key wrap: anything that can run AES-ECB over many blocks in one call.
// Belongs to one thread.
#ifndef REWRAP_ENGINE_ECB_CIPHER_H_
#define REWRAP_ENGINE_ECB_CIPHER_H_

#include <cstddef>
#include <memory>

#include "engine/base/bytes.h"
#include "engine/base/status.h"
#include "engine/kek.h"
#include "hsm/wrapping_key.h"

namespace rewrap {

class EcbCipher {
 public:
  EcbCipher() = default;
  EcbCipher(const EcbCipher&) = delete;
  EcbCipher& operator=(const EcbCipher&) = delete;
  virtual ~EcbCipher() = default;

  // encrypt and decrypt work in place on a whole number of 16-byte blocks, at least one.
  virtual Status encrypt(ByteSpan blocks) = 0;
  virtual Status decrypt(ByteSpan blocks) = 0;

  // preferred_lanes is how many blocks per call suit it: enough to hide the cost of a call, few
  // enough for the cache.
  [[nodiscard]] virtual std::size_t preferred_lanes() const = 0;
};

// make_openssl_ecb runs on OpenSSL's EVP, which uses the CPU's AES instructions where there are
// any; runs everywhere. The expanded key lives in OpenSSL's heap until the cipher is destroyed, and
// is wiped then.
Result<std::unique_ptr<EcbCipher>> make_openssl_ecb(const Kek& kek);

// make_token_ecb runs inside a token: under somebody else's key (WrappingAccess::kBulkEcb), which
// must outlive it, or under a KEK of ours (TokenCustody::kKekInToken), which it keeps.
std::unique_ptr<EcbCipher> make_token_ecb(WrappingKey* key);
std::unique_ptr<EcbCipher> make_token_ecb(std::shared_ptr<TokenKek> kek);

// make_ecb runs wherever the KEK is. Errors: kUnsupported if its token lets it wrap keys only.
Result<std::unique_ptr<EcbCipher>> make_ecb(const Kek& kek);

}  // namespace rewrap

#endif  // REWRAP_ENGINE_ECB_CIPHER_H_
