// A KEK in a token whose value the test knows, so that everything the token does with it can be
// computed a second time on the host.
#ifndef REWRAP_TESTS_HSM_KNOWN_KEK_H_
#define REWRAP_TESTS_HSM_KNOWN_KEK_H_

#include "hsm/protector.h"
#include "hsm/token_kek.h"
#include "tests/hsm/raw_token.h"

namespace rewrap::test {

struct KnownKek {
  RawKey key;
  Protector protector;
};

// known_raw_key has the attributes of a KEK that rewrap makes, and the value 32 times `fill`.
RawKey known_raw_key(TokenCustody custody, std::uint8_t fill);

// protect_known makes the protector on the host that create_in_token would have made.
Protector protect_known(const RawKey& key, const std::string& serial, ByteView context);

// ecb_on_host encrypts whole blocks under an AES-256 key.
Bytes ecb_on_host(const Bytes& key, const Bytes& plain);

// pattern gives bytes that repeat nowhere near.
Bytes pattern(std::size_t len, std::uint8_t start = 0);

}  // namespace rewrap::test

#endif  // REWRAP_TESTS_HSM_KNOWN_KEK_H_
