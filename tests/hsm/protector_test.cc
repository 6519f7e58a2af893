// The stored form of protectors, and the check value.
#include "hsm/protector.h"

#include <gtest/gtest.h>

#include <random>

#include "tests/hsm/expect_code.h"

namespace rewrap {
namespace {

Protector sample() {
  Protector protector;
  protector.root_uri = "pkcs11:token=t;object=o?module-path=/m.so";
  protector.key_ref = "serial=1;id=01;label=o";
  protector.blob = Bytes(40, 0xb0);
  protector.canary = Bytes(40, 0xca);
  protector.check.fill(0xcc);
  return protector;
}

void expect_same(const Protector& a, const Protector& b) {
  EXPECT_EQ(a.root_uri, b.root_uri);
  EXPECT_EQ(a.mechanism, b.mechanism);
  EXPECT_EQ(a.key_ref, b.key_ref);
  EXPECT_EQ(a.blob, b.blob);
  EXPECT_EQ(a.canary, b.canary);
  EXPECT_EQ(a.check, b.check);
}

TEST(Protector, MechanismHasTheStandardsName) {
  EXPECT_STREQ(mechanism_name(Mechanism::kAesKeyWrap), "AES-KW (RFC 3394)");
}

TEST(Protector, DecodesWhatItEncodes) {
  const auto back = decode_protector(encode_protector(sample()));
  ASSERT_OK(back);
  expect_same(back.value(), sample());
}

TEST(Protector, FieldsAtTheirLimitsFit) {
  Protector protector = sample();
  protector.root_uri.assign(kMaxRootUriLen, 'u');
  protector.key_ref.assign(kMaxKeyRefLen, 'k');
  protector.blob.assign(kMaxBlobLen, 1);
  protector.canary.assign(kMaxBlobLen, 2);
  const auto back = decode_protector(encode_protector(protector));
  ASSERT_OK(back);
  expect_same(back.value(), protector);
}

TEST(Protector, FieldsBeyondTheirLimitsAreNotEncoded) {
  for (int field = 0; field < 4; ++field) {
    Protector protector = sample();
    if (field == 0) protector.root_uri.assign(kMaxRootUriLen + 1, 'u');
    if (field == 1) protector.key_ref.assign(kMaxKeyRefLen + 1, 'k');
    if (field == 2) protector.blob.assign(kMaxBlobLen + 1, 1);
    if (field == 3) protector.canary.assign(kMaxBlobLen + 1, 2);
    EXPECT_TRUE(encode_protector(protector).empty()) << field;
  }
}

TEST(Protector, EveryPrefixAndEveryLongerFormIsRefused) {
  Bytes stored = encode_protector(sample());
  for (std::size_t len = 0; len < stored.size(); ++len) {
    EXPECT_CODE(decode_protector(ByteView(stored).first(len)), Errc::kCorruption);
  }
  stored.push_back(0);
  EXPECT_CODE(decode_protector(stored), Errc::kCorruption);
}

TEST(Protector, RandomMutationsNeverBreakTheDecoder) {
  // NOLINTNEXTLINE(cert-msc32-c,cert-msc51-cpp): the same ones each time
  std::mt19937 random(20261122);
  const Bytes stored = encode_protector(sample());
  for (int i = 0; i < 10000; ++i) {
    Bytes mutated = stored;
    const std::size_t num_changes = 1 + random() % 8;
    for (std::size_t k = 0; k < num_changes; ++k)
      mutated[random() % mutated.size()] = static_cast<std::uint8_t>(random());
    if (random() % 4 == 0) mutated.resize(random() % (2 * stored.size()));
    const auto decoded = decode_protector(mutated);
    // Each text has one meaning: what decodes, encodes to the same bytes.
    if (decoded.ok()) {
      EXPECT_EQ(encode_protector(decoded.value()), mutated);
    } else {
      EXPECT_CODE(decoded, Errc::kCorruption);
    }
  }
}

TEST(Protector, GarbageNeverBreaksTheDecoder) {
  // NOLINTNEXTLINE(cert-msc32-c,cert-msc51-cpp): the same ones each time
  std::mt19937 random(7);
  for (int i = 0; i < 10000; ++i) {
    Bytes garbage(random() % 200);
    for (auto& byte : garbage) byte = static_cast<std::uint8_t>(random());
    if (garbage.size() > 2 && random() % 2 == 0) garbage[0] = garbage[1] = 1;
    (void)decode_protector(garbage).ok();
  }
}

// Computed with Python's hmac module: HKDF-SHA256 without salt over 32 bytes 0x11, then HMAC-SHA256
// over 01 | len context | "ctx" | len key_ref | "ref" | len blob | 40 bytes 0xb0.
TEST(CheckValue, IsWhatTheHeaderSays) {
  Protector protector;
  protector.key_ref = "ref";
  protector.blob = Bytes(40, 0xb0);
  const auto check = check_value(Bytes(32, 0x11), protector, as_bytes("ctx"));
  ASSERT_OK(check);
  EXPECT_EQ(encode_hex(check.value()), "b3669b2557f1cc87b36a782ee32b21b0");
}

TEST(CheckValue, DependsOnEachOfItsInputs) {
  const Bytes kek(32, 0x11);
  const auto base = check_value(kek, sample(), as_bytes("ctx"));
  ASSERT_OK(base);
  EXPECT_EQ(check_value(kek, sample(), as_bytes("ctx")).value(), base.value());
  EXPECT_NE(check_value(Bytes(32, 0x12), sample(), as_bytes("ctx")).value(), base.value());
  EXPECT_NE(check_value(kek, sample(), as_bytes("ctX")).value(), base.value());
  Protector changed = sample();
  changed.blob[0] ^= 1;
  EXPECT_NE(check_value(kek, changed, as_bytes("ctx")).value(), base.value());
  changed = sample();
  changed.key_ref += "x";
  EXPECT_NE(check_value(kek, changed, as_bytes("ctx")).value(), base.value());
}

TEST(CheckValue, MovingBytesBetweenFieldsChangesIt) {
  Protector a;
  a.key_ref = "bc";
  Protector b;
  b.key_ref = "c";
  const Bytes kek(32, 0x11);
  EXPECT_NE(check_value(kek, a, as_bytes("a")).value(),
            check_value(kek, b, as_bytes("ab")).value());
}

TEST(CheckValue, DoesNotDependOnTheUriWhichMayMove) {
  const Bytes kek(32, 0x11);
  Protector moved = sample();
  moved.root_uri = "pkcs11:token=t;object=o?module-path=/elsewhere.so";
  EXPECT_EQ(check_value(kek, moved, as_bytes("ctx")).value(),
            check_value(kek, sample(), as_bytes("ctx")).value());
}

}  // namespace
}  // namespace rewrap
