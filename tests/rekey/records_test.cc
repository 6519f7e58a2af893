// The stored records: round trips, authentication, hostile input.
#include "rekey/records.h"

#include <gtest/gtest.h>

#include <functional>
#include <random>

#include "engine/iv_source.h"

namespace rewrap {
namespace {

Mac make_mac() { return std::move(Mac::create(Bytes(kMacKeyLen, 3))).value(); }

KeysetRecord sample_keyset() {
  KeysetRecord keyset;
  keyset.number = 5;
  keyset.uuid = DekId{1, 2, 3};
  keyset.name = "disks";
  keyset.algorithm = WrapAlgorithm::kGcm;
  keyset.dek_len = 64;
  keyset.created_at = 1'700'000'000;
  keyset.current_version = 4;
  keyset.rekey_target = 4;
  keyset.num_segments = 17;
  keyset.live_deks = 12'345;
  keyset.verified_version = 3;
  keyset.verified_at = 1'700'000'001;
  keyset.tails = {1, 2, 3, 4, 5};
  keyset.gcm_wraps = 0x01234567;
  return keyset;
}

KekVersionRecord sample_version() {
  KekVersionRecord record;
  record.created_at = 77;
  record.mac_key_wrap = Bytes(40, 9);
  Protector protector;
  protector.root_uri = "file:/k";
  protector.key_ref = "k";
  protector.blob = Bytes(40, 1);
  protector.canary = Bytes(40, 2);
  record.protectors = {protector, protector};
  return record;
}

// Every prefix and many mutations of a good encoding must be refused or decoded, never crash.
void attack(const Bytes& good, const std::function<bool(ByteView)>& decode) {
  EXPECT_TRUE(decode(good));
  for (std::size_t len = 0; len < good.size(); ++len)
    EXPECT_FALSE(decode(ByteView(good).first(len))) << len;
  Bytes longer = good;
  longer.push_back(0);
  EXPECT_FALSE(decode(longer));
  std::mt19937 random(7);
  for (int round = 0; round < 20'000; ++round) {
    Bytes changed = good;
    for (auto edits = random() % 6 + 1; edits > 0; --edits) {
      changed[random() % changed.size()] = static_cast<std::uint8_t>(random());
    }
    decode(changed);
  }
}

TEST(Records, AKeysetIsReadBackWhole) {
  Mac mac = make_mac();
  const KeysetRecord in = sample_keyset();
  const KeysetRecord out = open_keyset(seal_keyset(in, &mac).value(), &mac).value();
  EXPECT_EQ(out.number, in.number);
  EXPECT_EQ(out.uuid, in.uuid);
  EXPECT_EQ(out.name, in.name);
  EXPECT_EQ(out.algorithm, in.algorithm);
  EXPECT_EQ(out.dek_len, in.dek_len);
  EXPECT_EQ(out.current_version, in.current_version);
  EXPECT_EQ(out.rekey_target, in.rekey_target);
  EXPECT_EQ(out.num_segments, in.num_segments);
  EXPECT_EQ(out.live_deks, in.live_deks);
  EXPECT_EQ(out.verified_version, in.verified_version);
  EXPECT_EQ(out.verified_at, in.verified_at);
  EXPECT_EQ(out.tails, in.tails);
  EXPECT_EQ(out.gcm_wraps, in.gcm_wraps);
}

// Records of keysets that are not GCM are as they were before there was GCM.
TEST(Records, TheCountOfGcmWrapsIsInGcmRecordsOnly) {
  Mac mac = make_mac();
  KeysetRecord keyset = sample_keyset();
  const std::size_t len = seal_keyset(keyset, &mac).value().size();
  keyset.algorithm = WrapAlgorithm::kKw;
  const Bytes sealed = seal_keyset(keyset, &mac).value();
  EXPECT_EQ(sealed.size() + 8, len);
  EXPECT_EQ(open_keyset(sealed, &mac).value().gcm_wraps, 0U);
}

TEST(Records, MoreGcmWrapsThanThereMayBeAreRefused) {
  Mac mac = make_mac();
  KeysetRecord keyset = sample_keyset();
  keyset.gcm_wraps = kMaxGcmWraps;
  EXPECT_EQ(open_keyset(seal_keyset(keyset, &mac).value(), &mac).value().gcm_wraps, kMaxGcmWraps);
  ++keyset.gcm_wraps;
  EXPECT_EQ(open_keyset(seal_keyset(keyset, &mac).value(), &mac).status().code(),
            Errc::kCorruption);
}

TEST(Records, EveryByteOfAKeysetIsAuthenticated) {
  Mac mac = make_mac();
  const Bytes sealed = seal_keyset(sample_keyset(), &mac).value();
  for (std::size_t at = 0; at < sealed.size(); ++at) {
    Bytes changed = sealed;
    changed[at] ^= 1;
    EXPECT_EQ(open_keyset(changed, &mac).status().code(), Errc::kCorruption) << "byte " << at;
  }
}

TEST(Records, HostileKeysets) {
  Mac mac = make_mac();
  attack(seal_keyset(sample_keyset(), &mac).value(),
         [](ByteView in) { return read_keyset(in).ok(); });
}

TEST(Records, HostileKekVersions) {
  attack(encode(sample_version()), [](ByteView in) { return decode_kek_version(in).ok(); });
  const KekVersionRecord out = decode_kek_version(encode(sample_version())).value();
  EXPECT_EQ(out.protectors.size(), 2U);
  EXPECT_EQ(out.protectors[1].blob, Bytes(40, 1));
}

TEST(Records, HostileQuarantine) {
  const QuarantineRecord in{QuarantineReason::kImport, WrapAlgorithm::kKwp, 6, 99, Bytes(72, 5)};
  attack(encode(in), [](ByteView bytes) { return decode_quarantine(bytes).ok(); });
  const QuarantineRecord out = decode_quarantine(encode(in)).value();
  EXPECT_EQ(out.wrap, in.wrap);
  EXPECT_EQ(out.version, 6U);

  QuarantineRecord gcm{QuarantineReason::kImport,  WrapAlgorithm::kGcm, 0, 99, Bytes(96, 5),
                       Bytes(kMaxForeignAadLen, 6)};
  attack(encode(gcm), [](ByteView bytes) { return decode_quarantine(bytes).ok(); });
  EXPECT_EQ(decode_quarantine(encode(gcm)).value().aad, gcm.aad);
  gcm.aad.push_back(6);
  EXPECT_FALSE(decode_quarantine(encode(gcm)).ok());
}

TEST(Records, KeysetNames) {
  for (const char* good : {"a", "disks-01", "A.b_c", "0"})
    EXPECT_TRUE(is_keyset_name(good)) << good;
  for (const char* bad : {"", ".a", "-a", "a b", "a/b", "\xc3\xa4", "a\n"})
    EXPECT_FALSE(is_keyset_name(bad)) << bad;
  EXPECT_TRUE(is_keyset_name(std::string(64, 'x')));
  EXPECT_FALSE(is_keyset_name(std::string(65, 'x')));
}

TEST(Records, AProtectorContextNamesKeysetAndVersion) {
  EXPECT_NE(protector_context(DekId{1}, 1), protector_context(DekId{1}, 2));
  EXPECT_NE(protector_context(DekId{1}, 1), protector_context(DekId{2}, 1));
}

}  // namespace
}  // namespace rewrap
