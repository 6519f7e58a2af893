// TTLV, the encoding of KMIP messages (KMIP 1.2, 9.1): tag, type, length, value, all big-endian, each
// value padded with zeros to a multiple of 8 bytes. Lengths are bytes. Pure, any thread.
#ifndef REWRAP_HSM_KMIP_TTLV_H_
#define REWRAP_HSM_KMIP_TTLV_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/bytes.h"
#include "engine/base/status.h"

namespace rewrap {

// KMIP 1.2, 9.1.1.2.
enum class TtlvType : std::uint8_t {
  kStructure = 1,
  kInteger = 2,
  kLongInteger = 3,
  kBigInteger = 4,
  kEnumeration = 5,
  kBoolean = 6,
  kTextString = 7,
  kByteString = 8,
  kDateTime = 9,
  kInterval = 10,
};

// What a message may be at most. The answers that we ask for have a depth of 8 and some hundred
// items; whoever sends more means no good.
inline constexpr std::size_t kTtlvHeaderLen = 8;
inline constexpr std::size_t kMaxTtlvLen = std::size_t{64} << 10;  // header included
inline constexpr int kMaxTtlvDepth = 12;
inline constexpr std::size_t kMaxTtlvItems = 2048;

// TtlvItem is one item of a message that was parsed. `value` points into the message and has no
// padding; a structure's value is its items.
struct TtlvItem {
  std::uint32_t tag = 0;
  TtlvType type = TtlvType::kStructure;
  ByteView value;
};

// ttlv_body_len reads the 8 bytes that a message begins with, and gives the length of what follows.
// Errors: kUnavailable  not a structure of this tag, a length that is no multiple of 8, or a message
//                       of more than kMaxTtlvLen bytes
Result<std::size_t> ttlv_body_len(ByteView header, std::uint32_t tag);

// parse_ttlv checks a whole message, every item in it against its type, and gives the outermost one.
// Only items of a message that passed may be given to the functions below.
// Errors: kUnavailable  not exactly one well-formed item, or one over the limits
Result<TtlvItem> parse_ttlv(ByteView message);

// children gives the items of a structure, in order; nothing for any other item.
std::vector<TtlvItem> children(const TtlvItem& structure);

// has_child says whether a structure has an item of this tag.
bool has_child(const TtlvItem& structure, std::uint32_t tag);

// child and its kin give the one item of this tag in a structure, and its value.
// Errors: kUnavailable  there is none, or more than one, or it has another type, or the text is
//                       longer than `max_len` or not printable ASCII
Result<TtlvItem> child(const TtlvItem& structure, std::uint32_t tag, TtlvType type);
Result<std::int32_t> child_integer(const TtlvItem& structure, std::uint32_t tag);
Result<std::uint32_t> child_enumeration(const TtlvItem& structure, std::uint32_t tag);
Result<std::string> child_text(const TtlvItem& structure, std::uint32_t tag, std::size_t max_len);

// garbled_answer is the failure that all of the above give.
Status garbled_answer();

// TtlvWriter makes a message from front to back.
class TtlvWriter {
 public:
  // structure writes one with the items that `body` writes.
  template <typename Body>
  void structure(std::uint32_t tag, const Body& body) {
    const std::size_t start = begin(tag);
    body();
    end(start);
  }
  void integer(std::uint32_t tag, std::int32_t value);
  void enumeration(std::uint32_t tag, std::uint32_t value);
  void text(std::uint32_t tag, std::string_view value);

  // item writes any item from the bytes of its value, which are not checked.
  void item(std::uint32_t tag, TtlvType type, ByteView value);

  Bytes take() { return std::move(out_); }

 private:
  std::size_t begin(std::uint32_t tag);
  void end(std::size_t start);

  Bytes out_;
};

}  // namespace rewrap

#endif  // REWRAP_HSM_KMIP_TTLV_H_
