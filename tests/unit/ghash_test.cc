// GHASH against the GCM specification's own example, and, with OpenSSL's AES-GCM as the second
// opinion, over random keys and lengths.
#include "engine/ghash.h"

#include <gtest/gtest.h>

#include "engine/ecb_cipher.h"
#include "tests/unit/openssl_reference.h"
#include "tests/unit/test_keys.h"

namespace rewrap {
namespace {

using test::from_hex;

Bytes hash_of(const Bytes& hash_key, ByteView aad, ByteView ciphertext) {
  Ghash hash(hash_key.data());
  hash.absorb(aad);
  hash.pad();
  hash.absorb(ciphertext);
  hash.pad();
  const auto digest = hash.finish(aad.size(), ciphertext.size());
  return {digest.begin(), digest.end()};
}

// Test case 2 and 4 of "The Galois/Counter Mode of Operation" (McGrew and Viega), appendix B.
TEST(Ghash, KnownAnswers) {
  EXPECT_EQ(hash_of(from_hex("66e94bd4ef8a2c3b884cfa59ca342b2e"), {},
                    from_hex("0388dace60b6a392f328c2b971b2fe78")),
            from_hex("f38cbb1ad69223dcc3457ae5b6b0f885"));
  EXPECT_EQ(hash_of(from_hex("b83b533708bf535d0aa6e52980d53b78"),
                    from_hex("feedfacedeadbeeffeedfacedeadbeefabaddad2"),
                    from_hex("42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e"
                             "21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091")),
            from_hex("698e57f70e6ecc7fd9463b7260a9ae5f"));
}

// The tag is the hash under E(0), masked with E(J0).
TEST(Ghash, AsOpenssl) {
  test::Random random(91);
  for (int round = 0; round < 200; ++round) {
    const Bytes kek = random.bytes(32);
    const Bytes aad = random.bytes(random.below(70));
    const Bytes key = random.bytes(1 + random.below(70));
    const Bytes record = test::openssl_gcm_wrap(kek, 3, 9, aad, key);
    Bytes blocks(2 * kBlockLen);
    copy_bytes(ByteSpan(blocks).subspan(kBlockLen), ByteView(record).first(kGcmIvLen));
    blocks.back() = 1;
    ASSERT_TRUE(make_openssl_ecb(test::make_kek(kek)).value()->encrypt(blocks).ok());
    const Bytes hash_key(blocks.begin(), blocks.begin() + kBlockLen);
    Bytes tag = hash_of(hash_key, aad, ByteView(record).subspan(kGcmIvFieldLen, key.size()));
    for (std::size_t i = 0; i < kGcmTagLen; ++i)
      tag[i] = static_cast<std::uint8_t>(tag[i] ^ blocks[kBlockLen + i]);
    EXPECT_EQ(tag, Bytes(record.end() - kGcmTagLen, record.end())) << "round " << round;
  }
}

// However the bytes come in.
TEST(Ghash, PiecesHashAsTheWhole) {
  test::Random random(92);
  const Bytes hash_key = random.bytes(16);
  const Bytes aad = random.bytes(100);
  for (std::size_t cut = 0; cut <= aad.size(); ++cut) {
    Ghash pieces(hash_key.data());
    pieces.absorb(ByteView(aad).first(cut));
    pieces.absorb(ByteView(aad).subspan(cut));
    pieces.pad();
    const auto digest = pieces.finish(aad.size(), 0);
    EXPECT_EQ(Bytes(digest.begin(), digest.end()), hash_of(hash_key, aad, {})) << cut;
  }
}

// A key of ones and a block of ones: the most carries that the integer products can have.
TEST(Ghash, NoCarryLeaks) {
  const Bytes ones(16, 0xff);
  Ghash hash(ones.data());
  hash.absorb(ones);
  const auto digest = hash.finish(0, 0);
  // Bit by bit, by the definition in SP 800-38D §6.3.
  const auto slow_product = [](const Bytes& x, Bytes y) {
    Bytes z(16);
    for (std::size_t i = 0; i < 128; ++i) {
      if ((x[i / 8] >> (7 - i % 8) & 1) != 0) {
        for (std::size_t j = 0; j < 16; ++j) z[j] = static_cast<std::uint8_t>(z[j] ^ y[j]);
      }
      const bool carry = (y[15] & 1) != 0;
      for (std::size_t j = 15; j > 0; --j)
        y[j] = static_cast<std::uint8_t>(y[j] >> 1 | y[j - 1] << 7);
      y[0] = static_cast<std::uint8_t>(y[0] >> 1 ^ (carry ? 0xe1 : 0));
    }
    return z;
  };
  const Bytes want = slow_product(slow_product(ones, ones), ones);
  EXPECT_EQ(Bytes(digest.begin(), digest.end()), want);
}

}  // namespace
}  // namespace rewrap
