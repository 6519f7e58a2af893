// Encoder and Decoder of stored records.
#include "engine/base/codec.h"

#include <gtest/gtest.h>

#include <limits>

#include "tests/unit/test_keys.h"

namespace rewrap {
namespace {

constexpr std::size_t kMaxFieldLen = 16;

Bytes sample_record() {
  Encoder out;
  out.u8(0x11);
  out.u16(0x2122);
  out.u32(0x31323334);
  out.u64(0x4142434445464748);
  out.raw(Bytes{0x51, 0x52, 0x53});
  out.field(Bytes{0x61, 0x62});
  out.field(std::string_view("text"));
  out.raw(Bytes{0x71, 0x72, 0x73, 0x74});
  return out.take();
}

struct Record {
  std::uint8_t u8 = 0;
  std::uint16_t u16 = 0;
  std::uint32_t u32 = 0;
  std::uint64_t u64 = 0;
  Bytes raw;
  Bytes field;
  std::string text;
  std::array<std::uint8_t, 4> array{};
};

Record read_record(Decoder* in) {
  Record record;
  record.u8 = in->u8();
  record.u16 = in->u16();
  record.u32 = in->u32();
  record.u64 = in->u64();
  const ByteView raw = in->raw(3);
  record.raw.assign(raw.begin(), raw.end());
  const ByteView field = in->field(kMaxFieldLen);
  record.field.assign(field.begin(), field.end());
  record.text = in->text(kMaxFieldLen);
  in->read_array(&record.array);
  return record;
}

TEST(Codec, BytesOnTheDiskAreAsWritten) {
  EXPECT_EQ(encode_hex(sample_record()),
            "112122313233344142434445464748515253000000026162000000047465787471727374");
}

TEST(Codec, DecodesWhatItEncodes) {
  const Bytes bytes = sample_record();
  Decoder in(bytes);
  const Record record = read_record(&in);
  EXPECT_TRUE(in.done());
  EXPECT_EQ(record.u8, 0x11);
  EXPECT_EQ(record.u16, 0x2122);
  EXPECT_EQ(record.u32, 0x31323334U);
  EXPECT_EQ(record.u64, 0x4142434445464748U);
  EXPECT_EQ(encode_hex(record.raw), "515253");
  EXPECT_EQ(encode_hex(record.field), "6162");
  EXPECT_EQ(record.text, "text");
  EXPECT_EQ(encode_hex(record.array), "71727374");
}

TEST(Codec, EveryPrefixIsTruncated) {
  const Bytes bytes = sample_record();
  for (std::size_t len = 0; len < bytes.size(); ++len) {
    const Bytes prefix(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(len));
    Decoder in(prefix);
    read_record(&in);
    EXPECT_FALSE(in.ok()) << len;
    EXPECT_FALSE(in.done()) << len;
  }
}

TEST(Codec, AByteTooManyIsOkButNotDone) {
  Bytes bytes = sample_record();
  bytes.push_back(0);
  Decoder in(bytes);
  read_record(&in);
  EXPECT_TRUE(in.ok());
  EXPECT_FALSE(in.done());
}

TEST(Codec, AFailureIsForGood) {
  const Bytes bytes = {1, 2, 3};
  Decoder in(bytes);
  EXPECT_EQ(in.u32(), 0U);
  EXPECT_FALSE(in.ok());
  EXPECT_EQ(in.u8(), 0);  // although a byte is there
  EXPECT_TRUE(in.raw(1).empty());
  EXPECT_TRUE(in.raw(0).empty());
  EXPECT_TRUE(in.field(10).empty());
  EXPECT_FALSE(in.ok());
}

TEST(Codec, FieldsHaveALimit) {
  Encoder out;
  out.field(Bytes(kMaxFieldLen + 1, 9));
  Decoder over(out.bytes());
  EXPECT_TRUE(over.field(kMaxFieldLen).empty());
  EXPECT_FALSE(over.ok());
  Decoder at_limit(out.bytes());
  EXPECT_EQ(at_limit.field(kMaxFieldLen + 1).size(), kMaxFieldLen + 1);
  EXPECT_TRUE(at_limit.done());
}

TEST(Codec, AnAbsurdLenIsNotFollowed) {
  const Bytes bytes = {0xff, 0xff, 0xff, 0xff, 0x00};
  Decoder in(bytes);
  EXPECT_TRUE(in.field(std::numeric_limits<std::uint32_t>::max()).empty());
  EXPECT_FALSE(in.ok());
  Decoder raw(bytes);
  EXPECT_TRUE(raw.raw(std::numeric_limits<std::size_t>::max()).empty());
  EXPECT_FALSE(raw.ok());
}

TEST(Codec, AnArrayThatIsNotThereStaysAsItWas) {
  std::array<std::uint8_t, 4> array{1, 2, 3, 4};
  const Bytes bytes = {9, 9, 9};
  Decoder in(bytes);
  in.read_array(&array);
  EXPECT_FALSE(in.ok());
  EXPECT_EQ(encode_hex(array), "01020304");
}

TEST(Codec, NothingAtAllIsDone) {
  Decoder in({});
  EXPECT_TRUE(in.done());
  EXPECT_TRUE(in.raw(0).empty());
  EXPECT_TRUE(in.done());
}

}  // namespace
}  // namespace rewrap
