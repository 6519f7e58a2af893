// Segments: layout, authentication, and hostile input.
#include "rekey/segment.h"

#include <gtest/gtest.h>

#include <random>

namespace rewrap {
namespace {

class SegmentTest : public ::testing::Test {
 protected:
  static Mac make_mac(std::uint8_t fill = 1) {
    return std::move(Mac::create(Bytes(kMacKeyLen, fill))).value();
  }

  static SegmentHeader header(std::uint16_t count = 11) {
    SegmentHeader header;
    header.keyset_uuid = DekId{7};
    header.segment = 3;
    header.version = 2;
    header.dek_len = 32;
    header.count = count;
    header.sequence = 9;
    return header;
  }

  static Bytes sealed(std::uint16_t count = 11) {
    SegmentBuilder builder(header(count));
    for (std::size_t slot = 0; slot < count; ++slot) {
      builder.wrap(slot)[0] = static_cast<std::uint8_t>(slot + 1);
      builder.set_live(slot, slot != 4);
    }
    Mac mac = make_mac();
    return std::move(builder.seal(&mac)).value();
  }
};

TEST_F(SegmentTest, WhatIsSealedIsReadBack) {
  const Bytes value = sealed();
  EXPECT_EQ(value.size(), kSegmentHeaderLen + 2 + 11 * 40 + kTagLen);
  const auto view = parse_segment(value, DekId{7}, 3);
  ASSERT_TRUE(view.ok());
  EXPECT_EQ(view->header.version, 2U);
  EXPECT_EQ(view->header.live, 10U);
  EXPECT_EQ(view->header.sequence, 9U);
  EXPECT_EQ(view->wrap(10)[0], 11);
  EXPECT_FALSE(view->is_live(4));
  EXPECT_TRUE(view->is_live(5));
  Mac mac = make_mac();
  EXPECT_TRUE(authenticate_segment(view.value(), &mac).ok());
}

TEST_F(SegmentTest, EveryByteIsAuthenticated) {
  const Bytes value = sealed();
  Mac mac = make_mac();
  for (std::size_t at = 0; at < value.size(); ++at) {
    Bytes changed = value;
    changed[at] ^= 0x80;
    const auto view = parse_segment(changed, DekId{7}, 3);
    EXPECT_FALSE(view.ok() && authenticate_segment(view.value(), &mac).ok()) << "byte " << at;
  }
}

TEST_F(SegmentTest, AnotherKeyPlaceOrKeysetIsRefused) {
  const Bytes value = sealed();
  Mac other = make_mac(2);
  EXPECT_EQ(authenticate_segment(parse_segment(value, DekId{7}, 3).value(), &other).code(),
            Errc::kCorruption);
  EXPECT_EQ(parse_segment(value, DekId{7}, 4).status().code(), Errc::kCorruption);
  EXPECT_EQ(parse_segment(value, DekId{8}, 3).status().code(), Errc::kCorruption);
}

TEST_F(SegmentTest, TwoSealsOfTheSameBytesHaveDifferentNonces) {
  const Bytes a = sealed();
  const Bytes b = sealed();
  EXPECT_NE(parse_segment(a, DekId{7}, 3)->header.nonce,
            parse_segment(b, DekId{7}, 3)->header.nonce);
}

TEST_F(SegmentTest, TheIdsColumnIsBoundByItsDigest) {
  Bytes ids;
  for (std::uint8_t i = 0; i < 11; ++i) append_id(&ids, DekId{i}, 1000U + i);
  EXPECT_EQ(id_at(ids, 10), DekId{10});
  EXPECT_EQ(created_at(ids, 10), 1010U);
  SegmentHeader with_ids = header();
  with_ids.ids_digest = sha256(ids).value();
  SegmentBuilder builder(with_ids);
  builder.set_all_live();
  Mac mac = make_mac();
  const Bytes value = builder.seal(&mac).value();
  const SegmentView view = parse_segment(value, DekId{7}, 3).value();
  EXPECT_TRUE(authenticate_ids(view, ids).ok());
  for (std::size_t at = 0; at < ids.size(); ++at) {
    Bytes changed = ids;
    changed[at] ^= 1;
    EXPECT_EQ(authenticate_ids(view, changed).code(), Errc::kCorruption);
  }
  EXPECT_FALSE(authenticate_ids(view, ByteView(ids).first(ids.size() - 1)).ok());
}

TEST_F(SegmentTest, EveryTruncationIsRefused) {
  const Bytes value = sealed();
  for (std::size_t len = 0; len < value.size(); ++len) {
    EXPECT_FALSE(parse_segment(ByteView(value).first(len), DekId{7}, 3).ok()) << len;
  }
}

TEST_F(SegmentTest, RandomBytesNeverPassNorCrash) {
  std::mt19937 random(20240501);
  Mac mac = make_mac();
  const Bytes value = sealed(100);
  for (int round = 0; round < 20'000; ++round) {
    Bytes changed = value;
    for (auto edits = random() % 8 + 1; edits > 0; --edits) {
      changed[random() % changed.size()] = static_cast<std::uint8_t>(random());
    }
    if (random() % 4 == 0) changed.resize(random() % (changed.size() + 50));
    const auto view = parse_segment(changed, DekId{7}, 3);
    EXPECT_TRUE(!view.ok() || changed == value || !authenticate_segment(view.value(), &mac).ok());
  }
}

}  // namespace
}  // namespace rewrap
