// Byte order, UUIDs, base64 and hex.
#include "engine/base/bytes.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "tests/unit/test_keys.h"

namespace rewrap {
namespace {

using test::from_hex;

constexpr char kUuid[] = "00112233-4455-6677-8899-aabbccddeeff";

TEST(Bytes, IntegersAreBigEndianAtAnyAlignment) {
  for (std::size_t offset = 0; offset < 8; ++offset) {
    Bytes bytes(24, 0);
    store_be64(&bytes[offset], 0x0102030405060708);
    EXPECT_EQ(encode_hex(ByteView(bytes).subspan(offset, 9)), "010203040506070800");
    EXPECT_EQ(load_be64(&bytes[offset]), 0x0102030405060708U);
    store_be32(&bytes[offset], 0xf1f2f3f4);
    EXPECT_EQ(encode_hex(ByteView(bytes).subspan(offset, 5)), "f1f2f3f405");
    EXPECT_EQ(load_be32(&bytes[offset]), 0xf1f2f3f4U);
  }
}

TEST(Bytes, CopyOfNothingTakesANullPointer) {
  Bytes to(4, 7);
  copy_bytes(to, {});
  EXPECT_EQ(to, Bytes(4, 7));
  copy_bytes(to, Bytes{1, 2});
  EXPECT_EQ(to, (Bytes{1, 2, 7, 7}));
}

TEST(Hex, IsLowerCase) {
  EXPECT_EQ(encode_hex({}), "");
  EXPECT_EQ(encode_hex(Bytes{0x00, 0x0f, 0xa0, 0xff}), "000fa0ff");
}

TEST(Uuid, IsReadInEitherCaseAndWrittenInLowerCase) {
  DekId id{};
  ASSERT_TRUE(parse_uuid(kUuid, &id));
  EXPECT_EQ(encode_hex(id), "00112233445566778899aabbccddeeff");
  EXPECT_EQ(format_uuid(id), kUuid);
  ASSERT_TRUE(parse_uuid("00112233-4455-6677-8899-AABBCCDDEEFF", &id));
  EXPECT_EQ(format_uuid(id), kUuid);
}

TEST(Uuid, AnyOtherFormIsRefusedAndLeavesTheResultAlone) {
  const std::string good = kUuid;
  std::vector<std::string> bad = {"",
                                  good + "0",
                                  good + "\n",
                                  "{" + good + "}",
                                  "urn:uuid:" + good,
                                  "00112233445566778899aabbccddeeff",
                                  "0011-22334455-6677-8899-aabbccddeeff",
                                  std::string(36, '-'),
                                  std::string(36, '0')};
  for (std::size_t len = 0; len < good.size(); ++len) bad.push_back(good.substr(0, len));
  // One foreign character at each place; the dash is foreign where a digit belongs and the other
  // way round.
  for (std::size_t pos = 0; pos < good.size(); ++pos) {
    for (const char c :
         {'g', ' ', '\0', '\x80', '/', ':', '@', '`', good[pos] == '-' ? '0' : '-'}) {
      std::string text = good;
      text[pos] = c;
      bad.push_back(text);
    }
  }
  for (const std::string& text : bad) {
    DekId id;
    id.fill(0x5a);
    EXPECT_FALSE(parse_uuid(text, &id)) << text;
    EXPECT_EQ(encode_hex(id), "5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a") << text;
  }
}

// RFC 4648 section 10.
TEST(Base64, TestVectorsOfTheRfc) {
  const std::pair<const char*, const char*> vectors[] = {{"", ""},
                                                         {"f", "Zg=="},
                                                         {"fo", "Zm8="},
                                                         {"foo", "Zm9v"},
                                                         {"foob", "Zm9vYg=="},
                                                         {"fooba", "Zm9vYmE="},
                                                         {"foobar", "Zm9vYmFy"}};
  for (const auto& [plain, text] : vectors) {
    EXPECT_EQ(encode_base64(as_bytes(plain)), text);
    Bytes bytes;
    ASSERT_TRUE(decode_base64(text, &bytes)) << text;
    EXPECT_EQ(std::string(bytes.begin(), bytes.end()), plain);
  }
}

TEST(Base64, DecodesWhatItEncodesAtEveryLen) {
  test::Random random(1);
  for (std::size_t len = 0; len < 100; ++len) {
    const Bytes bytes = random.bytes(len);
    Bytes back;
    ASSERT_TRUE(decode_base64(encode_base64(bytes), &back));
    EXPECT_EQ(back, bytes);
  }
}

// Each byte string has exactly one text: of all 64 last digits, those with bits that padding cuts
// off are refused.
TEST(Base64, NonCanonicalTrailingBitsAreRefused) {
  const std::string digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  int one_byte = 0;
  int two_bytes = 0;
  for (const char c : digits) {
    Bytes bytes;
    one_byte += decode_base64(std::string("A") + c + "==", &bytes) ? 1 : 0;
    two_bytes += decode_base64(std::string("AA") + c + "=", &bytes) ? 1 : 0;
  }
  EXPECT_EQ(one_byte, 4);
  EXPECT_EQ(two_bytes, 16);
}

TEST(Base64, EverythingElseIsRefused) {
  const std::string bad[] = {"A",
                             "AA",
                             "AAA",
                             "AAAAA",
                             "=",
                             "==",
                             "===",
                             "====",
                             "A===",
                             "=AAA",
                             "A=AA",
                             "AA=A",
                             "AAA==",
                             "AA==AA==",
                             "AAA=AAAA",
                             "AAAA====",
                             "AAAA=AAA",
                             "AAAA\n",
                             "AAA\n",
                             "AA A",
                             "AAA-",
                             "AAA_",
                             "AAA\x80",
                             "AAA\xff",
                             "AAA*",
                             " AAAA   ",
                             std::string("AAA\0", 4),
                             std::string("\0\0\0\0", 4)};
  for (const std::string& text : bad) {
    Bytes bytes;
    EXPECT_FALSE(decode_base64(text, &bytes)) << text;
  }
}

TEST(Base64, OnlyTheSixtyFourDigitsCount) {
  int accepted = 0;
  for (int c = 0; c < 256; ++c) {
    Bytes bytes;
    accepted += decode_base64(std::string("AAA") + static_cast<char>(c), &bytes) ? 1 : 0;
  }
  EXPECT_EQ(accepted, 65);  // the digits, and '=' after "AAA", whose last digit has no cut bits
}

}  // namespace
}  // namespace rewrap
