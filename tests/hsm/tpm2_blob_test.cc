// The stored form of a sealed object.
#include <gtest/gtest.h>

#include "hsm/tpm2/sealed_blob.h"
#include "tests/hsm/expect_code.h"

namespace rewrap {
namespace {

SealedBlob some_blob() {
  SealedBlob blob;
  blob.parent_name = Bytes(34, 1);
  blob.pub = Bytes(80, 2);
  blob.priv = Bytes(160, 3);
  blob.needs_pin = true;
  blob.pcrs = {.bank = PcrBank::kSha256, .mask = 1U << 7 | 1U << 11};
  blob.pcr_values = {Bytes(32, 4), Bytes(32, 5)};
  blob.counter = 0x01800100;
  blob.counter_value = 23;
  return blob;
}

TEST(SealedBlob, ComesBackAsItWas) {
  const SealedBlob blob = some_blob();
  const auto back = decode_sealed_blob(encode_sealed_blob(blob));
  ASSERT_OK(back);
  EXPECT_EQ(back->parent_name, blob.parent_name);
  EXPECT_EQ(back->pub, blob.pub);
  EXPECT_EQ(back->priv, blob.priv);
  EXPECT_TRUE(back->needs_pin);
  EXPECT_EQ(back->pcrs, blob.pcrs);
  EXPECT_EQ(back->pcr_values, blob.pcr_values);
  EXPECT_EQ(back->counter, blob.counter);
  EXPECT_EQ(back->counter_value, blob.counter_value);
}

TEST(SealedBlob, EveryChangedBitAndEveryCutIsCorruption) {
  const Bytes stored = encode_sealed_blob(some_blob());
  for (std::size_t bit = 0; bit < 8 * stored.size(); ++bit) {
    Bytes damaged = stored;
    damaged[bit / 8] = static_cast<std::uint8_t>(damaged[bit / 8] ^ (1U << (bit % 8)));
    EXPECT_CODE(decode_sealed_blob(damaged), Errc::kCorruption) << bit;
  }
  for (std::size_t len = 0; len < stored.size(); ++len)
    EXPECT_CODE(decode_sealed_blob(ByteView(stored).first(len)), Errc::kCorruption) << len;
  Bytes longer = stored;
  longer.push_back(0);
  EXPECT_CODE(decode_sealed_blob(longer), Errc::kCorruption);
}

TEST(SealedBlob, SenselessTermsAreCorruptionThoughTheChecksumFits) {
  const auto refused = [](void (*change)(SealedBlob*)) {
    SealedBlob blob = some_blob();
    change(&blob);
    EXPECT_CODE(decode_sealed_blob(encode_sealed_blob(blob)), Errc::kCorruption);
  };
  refused([](SealedBlob* b) { b->pcrs.bank = static_cast<PcrBank>(4); });
  refused([](SealedBlob* b) { b->pcrs.mask |= 1U << 24; });
  refused([](SealedBlob* b) { b->pcrs.mask |= 1U << 23; });  // a value is missing
  refused([](SealedBlob* b) { b->pcr_values.pop_back(); });
  refused([](SealedBlob* b) { b->pcr_values.emplace_back(32); });
  refused([](SealedBlob* b) { b->counter = 0; });  // but a value
  refused([](SealedBlob* b) { b->parent_name.clear(); });
  refused([](SealedBlob* b) { b->parent_name.resize(67); });
  refused([](SealedBlob* b) { b->pub.clear(); });
  refused([](SealedBlob* b) { b->priv.resize(1025); });
}

TEST(SealedBlob, PcrsAreNamed) {
  EXPECT_EQ(format_pcrs({.bank = PcrBank::kSha512, .mask = 1U | 1U << 10}), "sha512:0+10");
}

}  // namespace
}  // namespace rewrap
