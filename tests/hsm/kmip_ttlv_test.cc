// TTLV and the messages made of it: what goes in comes out, and nothing else does anything worse than
// give an error. Every message lies at the very end of its memory, so that AddressSanitizer sees a
// read past it.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <random>

#include "hsm/kmip/messages.h"
#include "hsm/kmip/ttlv.h"
#include "tests/hsm/expect_code.h"
#include "tests/hsm/kmip_scripted_server.h"

namespace rewrap {
namespace {

using kmip::Operation;

constexpr std::uint32_t kTag = kmip::kResponseMessage;

Bytes hex(std::string_view digits) {
  Bytes out;
  std::string clean;
  std::copy_if(digits.begin(), digits.end(), std::back_inserter(clean),
               [](char c) { return c != ' '; });
  for (std::size_t i = 0; i < clean.size(); i += 2)
    out.push_back(static_cast<std::uint8_t>(std::stoi(clean.substr(i, 2), nullptr, 16)));
  return out;
}

// rewrite makes the message anew from its items.
void rewrite(const TtlvItem& item, TtlvWriter* out) {
  if (item.type != TtlvType::kStructure) return out->item(item.tag, item.type, item.value);
  out->structure(item.tag, [&] {
    for (const TtlvItem& inner : children(item)) rewrite(inner, out);
  });
}

Bytes rewritten(const TtlvItem& item) {
  TtlvWriter out;
  rewrite(item, &out);
  return out.take();
}

// Exact owns a copy of bytes in memory of just that size.
class Exact {
 public:
  explicit Exact(ByteView bytes) : size_(bytes.size()), bytes_(new std::uint8_t[bytes.size()]) {
    copy_bytes({bytes_.get(), size_}, bytes);
  }
  [[nodiscard]] ByteView view() const { return {bytes_.get(), size_}; }

 private:
  std::size_t size_;
  std::unique_ptr<std::uint8_t[]> bytes_;  // NOLINT(modernize-avoid-c-arrays): exactly this size
};

// The examples of KMIP 1.2, 9.1.2, which say what the standard means by its types.
TEST(Ttlv, TakesTheExamplesOfTheStandard) {
  for (const char* example :
       {"42002002 00000004 00000008 00000000", "42002003 00000008 01B69B4BA5749200",
        "42002004 00000010 0000000003FD35EB6BC2DF4618080000", "42002005 00000004 000000FF 00000000",
        "42002006 00000008 0000000000000001", "42002007 0000000B 48656C6C6F20576F726C640000000000",
        "42002008 00000003 0102030000000000", "42002009 00000008 0000000047DA67F8",
        "4200200A 00000004 000D2F0000000000",
        "42002001 00000020 42000405 00000004 000000FE00000000 42000502 00000004 "
        "000000FF00000000"}) {
    const Bytes message = hex(example);
    const auto item = parse_ttlv(message);
    ASSERT_OK(item) << example;
    EXPECT_EQ(item->tag, 0x420020U);
    EXPECT_EQ(rewritten(item.value()), message) << example;
  }
}

TEST(Ttlv, RefusesWhatNoTypeAllows) {
  for (const char* broken : {
           "",
           "42002002 000000",                      // half a header
           "42002002 00000004",                    // no value
           "42002002 00000004 00000008",           // no padding
           "42002002 00000004 00000008 00000001",  // padding that is not zero
           "42002002 00000003 0000080000000000",   // integers have 4 bytes
           "42002002 00000008 0000000000000008",
           "42002003 00000004 00000008 00000000",
           "42002004 00000000",
           "42002004 00000004 00000008 00000000",
           "42002006 00000008 0000000000000002",  // neither false nor true
           "42002000 00000000",                   // no such type
           "4200200B 00000000",
           "43002007 00000000",     // no such tag
           "42002007 FFFFFFFF 00",  // overflows when padded
           "42002007 FFFFFFF8 00",
           "42002001 00000004 00000000 00000000",  // half an item inside
           "42002001 00000008 42000402 00000004",  // an item that sticks out
           "42002001 00000008 42000401 FFFFFFF8",
           "42002007 00000000 00",  // something behind it
           "42002002 00000004 00000008 00000000 42002002 00000004 00000008 00000000",
       }) {
    const Exact message(hex(broken));
    EXPECT_CODE(parse_ttlv(message.view()), Errc::kUnavailable) << broken;
  }
}

// nested makes `depth` structures, one in the other.
Bytes nested(int depth) {
  TtlvWriter out;
  const std::function<void(int)> nest = [&](int left) {
    if (left > 0) out.structure(kTag, [&] { nest(left - 1); });
  };
  nest(depth);
  return out.take();
}

Bytes flat(std::size_t num_items) {
  TtlvWriter out;
  out.structure(kTag, [&] {
    for (std::size_t i = 1; i < num_items; ++i) out.integer(kmip::kBatchCount, 1);
  });
  return out.take();
}

TEST(Ttlv, LimitsHold) {
  EXPECT_OK(parse_ttlv(nested(kMaxTtlvDepth)));
  EXPECT_CODE(parse_ttlv(nested(kMaxTtlvDepth + 1)), Errc::kUnavailable);
  EXPECT_CODE(parse_ttlv(nested(5000)), Errc::kUnavailable);
  EXPECT_OK(parse_ttlv(flat(kMaxTtlvItems)));
  EXPECT_CODE(parse_ttlv(flat(kMaxTtlvItems + 1)), Errc::kUnavailable);
  TtlvWriter longest;
  longest.item(kTag, TtlvType::kByteString, Bytes(kMaxTtlvLen - kTtlvHeaderLen));
  EXPECT_OK(parse_ttlv(longest.take()));
  TtlvWriter longer;
  longer.item(kTag, TtlvType::kByteString, Bytes(kMaxTtlvLen - kTtlvHeaderLen + 8));
  EXPECT_CODE(parse_ttlv(longer.take()), Errc::kUnavailable);

  EXPECT_EQ(ttlv_body_len(hex("42007B01 0000FFF8"), kTag).value(), kMaxTtlvLen - kTtlvHeaderLen);
  for (const char* header : {"42007B01 00010000", "42007B01 FFFFFFF8", "42007B01 0000FFF9",
                             "42007B02 00000004", "42007A01 00000008", "42007B01 000000"}) {
    EXPECT_CODE(ttlv_body_len(hex(header), kTag), Errc::kUnavailable) << header;
  }
}

TEST(Ttlv, ChildrenAreTakenByTagAndTypeAndOnce) {
  TtlvWriter out;
  out.structure(kTag, [&] {
    out.integer(kmip::kBatchCount, -7);
    out.enumeration(kmip::kResultStatus, 0xffffffff);
    out.text(kmip::kNameValue, "name");
    out.text(kmip::kAttributeName, "a\nb");
    out.text(kmip::kVendorIdentification, "\xc2\x9b");
    out.integer(kmip::kMaximumItems, 1);
    out.integer(kmip::kMaximumItems, 2);
  });
  const Bytes message = out.take();
  const auto item = parse_ttlv(message);
  ASSERT_OK(item);
  EXPECT_EQ(child_integer(item.value(), kmip::kBatchCount).value(), -7);
  EXPECT_EQ(child_enumeration(item.value(), kmip::kResultStatus).value(), 0xffffffff);
  EXPECT_EQ(child_text(item.value(), kmip::kNameValue, 4).value(), "name");
  EXPECT_TRUE(has_child(item.value(), kmip::kMaximumItems));
  EXPECT_CODE(child_integer(item.value(), kmip::kMaximumItems), Errc::kUnavailable);   // twice
  EXPECT_CODE(child_integer(item.value(), kmip::kKeyBlock), Errc::kUnavailable);       // not there
  EXPECT_CODE(child_integer(item.value(), kmip::kNameValue), Errc::kUnavailable);      // a text
  EXPECT_CODE(child_text(item.value(), kmip::kNameValue, 3), Errc::kUnavailable);      // too long
  EXPECT_CODE(child_text(item.value(), kmip::kAttributeName, 9), Errc::kUnavailable);  // a newline
  EXPECT_CODE(child_text(item.value(), kmip::kVendorIdentification, 9), Errc::kUnavailable);
}

// One request as it was taken from another client's mouth.
TEST(KmipMessages, RequestsAreWhatTheStandardWants) {
  EXPECT_EQ(discover_versions_request(),
            hex("42007801 00000070 42007701 00000048"
                "42006901 00000020 42006A02 00000004 0000000100000000"
                "42006B02 00000004 0000000200000000 42005002 00000004 0001000000000000"
                "42000D02 00000004 0000000100000000"
                "42000F01 00000018 42005C05 00000004 0000001E00000000 42007901 00000000"));
  for (const Bytes& request :
       {discover_versions_request(), query_request(), create_request("n"), locate_request("n", 3),
        get_request("1"), get_attributes_request("1"), activate_request("1"), revoke_request("1"),
        destroy_request("1"), create_request(std::string(kMaxKmipNameLen, 'x'))}) {
    const auto item = parse_ttlv(request);
    ASSERT_OK(item);
    EXPECT_EQ(item->tag, kmip::kRequestMessage);
    EXPECT_EQ(rewritten(item.value()), request);
  }
}

const Bytes kKey = hex("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f");

// try_reading gives a message to the reader of this operation's answers, all the way down.
Status try_reading(ByteView message, Operation operation) {
  const auto payload = payload_of(message, operation);
  if (!payload.ok()) return payload.status();
  switch (operation) {
    case Operation::kDiscoverVersions:
      return read_versions(payload.value()).status();
    case Operation::kQuery:
      return read_server_info(payload.value()).status();
    case Operation::kLocate:
      return read_ids(payload.value()).status();
    case Operation::kGetAttributes:
      return read_attributes(payload.value()).status();
    case Operation::kGet:
      return read_key(payload.value(), "key-1").status();
    default:
      return read_id(payload.value()).status();
  }
}

const std::map<Operation, Bytes>& sound_answers() {
  static const std::map<Operation, Bytes> answers = {
      {Operation::kDiscoverVersions, test::versions_answer()},
      {Operation::kQuery, test::query_answer()},
      {Operation::kLocate, test::locate_answer({"key-1", "key-2"})},
      {Operation::kGetAttributes, test::attributes_answer("key-1", KmipState::kActive)},
      {Operation::kGet, test::key_answer("key-1", kKey)},
      {Operation::kCreate, test::id_answer(Operation::kCreate, "key-1")},
      {Operation::kDestroy, test::failure(Operation::kDestroy, 0x0C)},
  };
  return answers;
}

TEST(KmipMessages, SoundAnswersAreRead) {
  for (const auto& [operation, message] : sound_answers()) {
    const Errc expected = operation == Operation::kDestroy ? Errc::kDenied : Errc::kOk;
    EXPECT_CODE(try_reading(message, operation), expected);
    EXPECT_EQ(rewritten(parse_ttlv(message).value()), message);
  }
  const Bytes got = sound_answers().at(Operation::kGet);
  const auto payload = payload_of(got, Operation::kGet);
  ASSERT_OK(payload);
  const auto key = read_key(payload.value(), "key-1");
  ASSERT_OK(key);
  EXPECT_EQ(Bytes(key->begin(), key->end()), kKey);
  EXPECT_CODE(read_key(payload.value(), "key-2"), Errc::kUnavailable);
  const Bytes listed = sound_answers().at(Operation::kLocate);
  EXPECT_EQ(read_ids(payload_of(listed, Operation::kLocate).value()).value(),
            (std::vector<std::string>{"key-1", "key-2"}));
  const Bytes described = sound_answers().at(Operation::kGetAttributes);
  const auto attributes = read_attributes(payload_of(described, Operation::kGetAttributes).value());
  ASSERT_OK(attributes);
  EXPECT_EQ(attributes->state, KmipState::kActive);
  EXPECT_EQ(attributes->length, 256);
}

TEST(KmipMessages, VendorsNameCannotSteerATerminal) {
  const Bytes message = test::answer(Operation::kQuery, [](TtlvWriter& out) {
    out.text(kmip::kVendorIdentification, "K\xc3\xa9y\x1b[31m\xc2\x9b" + std::string(500, 'x'));
  });
  const auto info = read_server_info(payload_of(message, Operation::kQuery).value());
  ASSERT_OK(info);
  EXPECT_EQ(info->vendor, "K??y?[31m??" + std::string(245, 'x'));
}

TEST(KmipMessages, EveryTruncationIsAnError) {
  for (const auto& [operation, message] : sound_answers()) {
    for (std::size_t len = 0; len < message.size(); ++len) {
      const Exact cut(ByteView(message).first(len));
      EXPECT_CODE(try_reading(cut.view(), operation), Errc::kUnavailable) << len;
    }
  }
}

// mutate changes a message in one to three of the ways in which messages go wrong.
void mutate(std::mt19937* random, Bytes* message) {
  const auto below = [random](std::size_t limit) {
    return static_cast<std::size_t>((*random)()) % limit;
  };
  for (std::size_t times = 1 + below(3); times > 0 && !message->empty(); --times) {
    const std::size_t at = below(message->size());
    const std::size_t word = at / 8 * 8;
    const auto byte = static_cast<std::uint8_t>((*random)());
    switch (below(7)) {
      case 0:
        (*message)[at] = byte;
        break;
      case 1:
        (*message)[at] = static_cast<std::uint8_t>((*message)[at] ^ (1U << below(8)));
        break;
      case 2:  // a length, to something near or far
        if (word + 8 <= message->size()) {
          constexpr std::uint32_t kLengths[] = {0,          1,          4,      8,         0xfff8,
                                                0xffffffff, 0x80000000, 0x1000, 0xfffffff8};
          store_be32(message->data() + word + 4, kLengths[below(std::size(kLengths))]);
        }
        break;
      case 3:  // a type
        if (word + 8 <= message->size())
          (*message)[word + 3] = static_cast<std::uint8_t>(below(12));
        break;
      case 4:
        message->resize(at);
        break;
      case 5: {  // eight bytes twice
        const Bytes copy(
            message->begin() + static_cast<std::ptrdiff_t>(word),
            message->begin() + static_cast<std::ptrdiff_t>(std::min(word + 8, message->size())));
        message->insert(message->begin() + static_cast<std::ptrdiff_t>(word), copy.begin(),
                        copy.end());
        break;
      }
      default:  // eight bytes less
        message->erase(
            message->begin() + static_cast<std::ptrdiff_t>(word),
            message->begin() + static_cast<std::ptrdiff_t>(std::min(word + 8, message->size())));
        break;
    }
  }
}

TEST(KmipMessages, MutatedMessagesGiveOnlyWellFormedErrors) {
  constexpr int kRounds = 15'000;  // of seven messages each
  std::mt19937 random(20120612);   // NOLINT(cert-msc51-cpp): the same messages each time
  std::map<Errc, int> seen;
  int num_parsed = 0;
  for (int round = 0; round < kRounds; ++round) {
    for (const auto& [operation, sound] : sound_answers()) {
      Bytes changed = sound;
      mutate(&random, &changed);
      const Exact message(changed);
      const Status status = try_reading(message.view(), operation);
      ++seen[status.code()];
      ASSERT_NE(status.ok(), std::strlen(status.message()) > 0);
      // What is taken for a message is one: it can be written again, to the last byte.
      const auto item = parse_ttlv(message.view());
      if (!item.ok()) continue;
      ++num_parsed;
      ASSERT_EQ(rewritten(item.value()), changed);
    }
  }
  // The server's own reasons come through mutated as well, so those codes are there; no other is.
  for (const auto& [code, count] : seen) {
    EXPECT_TRUE(code == Errc::kOk || code == Errc::kUnavailable || code == Errc::kDenied ||
                code == Errc::kNotFound || code == Errc::kUnsupported || code == Errc::kRefused ||
                code == Errc::kExhausted || code == Errc::kAlreadyExists)
        << errc_name(code) << " " << count;
  }
  EXPECT_GT(seen[Errc::kUnavailable], kRounds);  // most are broken
  EXPECT_GT(num_parsed, kRounds / 4);            // and many are not, so that readers are reached
}

}  // namespace
}  // namespace rewrap
