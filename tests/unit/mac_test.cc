// GMAC, SHA-256 and random numbers.
#include "engine/mac.h"

#include <gtest/gtest.h>

#include <set>

#include "hsm/random.h"
#include "tests/hsm/expect_code.h"
#include "tests/unit/test_keys.h"

namespace rewrap {
namespace {

using test::flip_bit;
using test::from_hex;

MacNonce nonce_of(ByteView bytes) {
  MacNonce nonce{};
  copy_bytes(nonce, bytes);
  return nonce;
}

struct KnownTag {
  const char* key;
  const char* nonce;
  const char* message;
  const char* tag;
};

// The first is test case 13 of McGrew and Viega's GCM paper; the others come from
// AESGCM(key).encrypt(nonce, b"", message) of python3-cryptography.
constexpr KnownTag kTags[] = {
    {"0000000000000000000000000000000000000000000000000000000000000000", "000000000000000000000000",
     "", "530f8afbc74536b9a963b4f1c4cb738b"},
    {"0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20", "a0a1a2a3a4a5a6a7a8a9aaab",
     "61626361626361626361626361626361626361626321", "f1cbacc844b0f1a90b064abe42d792b1"},
    {"0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20", "b0b1b2b3b4b5b6b7b8b9babb",
     "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2"
     "e2f303132333435363738393a3b3c3d3e3f",
     "8b26b489553126b6c6433bfaae2bf066"},
};

TEST(Mac, KnownTags) {
  for (const KnownTag& known : kTags) {
    auto mac = Mac::create(from_hex(known.key));
    ASSERT_OK(mac);
    const auto tag = mac->tag(nonce_of(from_hex(known.nonce)), from_hex(known.message));
    ASSERT_OK(tag);
    EXPECT_EQ(encode_hex(tag.value()), known.tag);
  }
}

TEST(Mac, OneMacServesManyMessagesInAnyOrder) {
  auto mac = Mac::create(from_hex(kTags[1].key));
  ASSERT_OK(mac);
  for (int turn = 0; turn < 3; ++turn) {
    for (const std::size_t i : {1U, 2U}) {
      const auto tag = mac->tag(nonce_of(from_hex(kTags[i].nonce)), from_hex(kTags[i].message));
      ASSERT_OK(tag);
      EXPECT_EQ(encode_hex(tag.value()), kTags[i].tag);
    }
  }
}

// What follows changes one bit at a time of a record that verifies.
class MacBits : public testing::Test {
 protected:
  MacBits() : mac_(Mac::create(key_).value()), tag_(mac_.tag(nonce_, message_).value()) {}

  test::Random random_{7};
  Bytes key_ = random_.bytes(kMacKeyLen);
  MacNonce nonce_ = nonce_of(random_.bytes(kMacNonceLen));
  Bytes message_ = random_.bytes(75);  // not a multiple of the block
  Mac mac_;
  Tag tag_;
};

TEST_F(MacBits, UnchangedVerifies) { EXPECT_OK(mac_.verify(nonce_, message_, tag_)); }

TEST_F(MacBits, OfTheMessage) {
  for (std::size_t bit = 0; bit < 8 * message_.size(); ++bit) {
    Bytes message = message_;
    flip_bit(message, bit);
    EXPECT_CODE(mac_.verify(nonce_, message, tag_), Errc::kIntegrity);
  }
}

TEST_F(MacBits, OfTheNonce) {
  for (std::size_t bit = 0; bit < 8 * kMacNonceLen; ++bit) {
    MacNonce nonce = nonce_;
    flip_bit(nonce, bit);
    EXPECT_CODE(mac_.verify(nonce, message_, tag_), Errc::kIntegrity);
  }
}

TEST_F(MacBits, OfTheTag) {
  for (std::size_t bit = 0; bit < 8 * kTagLen; ++bit) {
    Tag tag = tag_;
    flip_bit(tag, bit);
    EXPECT_CODE(mac_.verify(nonce_, message_, tag), Errc::kIntegrity);
  }
}

TEST_F(MacBits, OfTheKey) {
  for (std::size_t bit = 0; bit < 8 * kMacKeyLen; ++bit) {
    Bytes key = key_;
    flip_bit(key, bit);
    auto other = Mac::create(key);
    ASSERT_OK(other);
    EXPECT_CODE(other->verify(nonce_, message_, tag_), Errc::kIntegrity);
  }
}

TEST_F(MacBits, LenCounts) {
  for (std::size_t len = 0; len < message_.size(); ++len) {
    EXPECT_CODE(mac_.verify(nonce_, ByteView(message_).first(len), tag_), Errc::kIntegrity);
  }
  message_.push_back(0);
  EXPECT_CODE(mac_.verify(nonce_, message_, tag_), Errc::kIntegrity);
}

TEST_F(MacBits, AMovedMacGoesOn) {
  Mac moved = std::move(mac_);
  EXPECT_OK(moved.verify(nonce_, message_, tag_));
}

TEST(Mac, OnlyKeysOf32Bytes) {
  for (const std::size_t len : {0U, 16U, 24U, 31U, 33U, 64U}) {
    EXPECT_CODE(Mac::create(Bytes(len)), Errc::kInvalidArgument);
  }
}

// FIPS 180-2 appendix B.1 and the empty message.
TEST(Sha256, KnownDigests) {
  EXPECT_EQ(encode_hex(sha256(as_bytes("abc")).value()),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(encode_hex(sha256({}).value()),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST(RandomBytes, DoNotRepeat) {
  std::set<Bytes> seen;
  for (int i = 0; i < 100; ++i) {
    Bytes bytes(16);
    ASSERT_OK(random_bytes(bytes));
    seen.insert(bytes);
  }
  EXPECT_EQ(seen.size(), 100U);
}

TEST(RandomBytes, FillAllOfAnyLen) {
  for (const std::size_t len : {0U, 1U, 31U, 4096U}) {
    Bytes ever_set(len, 0);
    for (int turn = 0; turn < 16; ++turn) {
      Bytes bytes(len);
      ASSERT_OK(random_bytes(bytes));
      for (std::size_t i = 0; i < len; ++i)
        ever_set[i] = static_cast<std::uint8_t>(ever_set[i] | bytes[i]);
    }
    for (const std::uint8_t b : ever_set) EXPECT_NE(b, 0);
  }
}

}  // namespace
}  // namespace rewrap
