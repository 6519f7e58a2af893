// Nothing is read from a message before parse_ttlv has walked all of it once.
#include "hsm/kmip/ttlv.h"

#include <algorithm>

namespace rewrap {
namespace {

constexpr std::size_t kAlignment = 8;

constexpr std::size_t padded(std::size_t len) {
  return (len + kAlignment - 1) / kAlignment * kAlignment;
}

std::uint32_t load_tag(const std::uint8_t* p) { return load_be32(p) >> 8; }

// is_tag: those of the standard begin with 0x42, those of vendors with 0x54 (9.1.1.1).
bool is_tag(std::uint32_t tag) { return tag >> 16 == 0x42 || tag >> 16 == 0x54; }

// fits_type says whether a value of that type may have these bytes.
bool fits_type(TtlvType type, ByteView value) {
  switch (type) {
    case TtlvType::kInteger:
    case TtlvType::kEnumeration:
    case TtlvType::kInterval:
      return value.size() == 4;
    case TtlvType::kLongInteger:
    case TtlvType::kDateTime:
      return value.size() == 8;
    case TtlvType::kBoolean:
      return value.size() == 8 && load_be64(value.data()) <= 1;
    case TtlvType::kBigInteger:
      return !value.empty() && value.size() % kAlignment == 0;
    case TtlvType::kStructure:
      return value.size() % kAlignment == 0;
    case TtlvType::kTextString:
    case TtlvType::kByteString:
      return true;
  }
  return false;
}

// take_item cuts the first item off `*rest`; false if that is none.
bool take_item(ByteView* rest, TtlvItem* item) {
  if (rest->size() < kTtlvHeaderLen) return false;
  const std::size_t len = load_be32(rest->data() + 4);
  if (len > kMaxTtlvLen || padded(len) > rest->size() - kTtlvHeaderLen) return false;
  item->tag = load_tag(rest->data());
  item->type = static_cast<TtlvType>((*rest)[3]);
  item->value = rest->subspan(kTtlvHeaderLen, len);
  const ByteView padding = rest->subspan(kTtlvHeaderLen + len, padded(len) - len);
  *rest = rest->subspan(kTtlvHeaderLen + padded(len));
  return is_tag(item->tag) && fits_type(item->type, item->value) &&
         std::all_of(padding.begin(), padding.end(), [](std::uint8_t b) { return b == 0; });
}

// check_inside walks the structures inside `outermost`. A stack of what is left to read on each
// level, of a fixed depth, so that no message can exhaust ours.
bool check_inside(const TtlvItem& outermost) {
  std::array<ByteView, kMaxTtlvDepth> levels;
  std::size_t depth = 0;
  levels[0] = outermost.value;
  for (std::size_t num_items = 1; num_items <= kMaxTtlvItems;) {
    if (levels[depth].empty()) {
      if (depth == 0) return true;
      --depth;
      continue;
    }
    TtlvItem item;
    if (!take_item(&levels[depth], &item)) return false;
    ++num_items;
    if (item.type != TtlvType::kStructure) continue;
    if (++depth == levels.size()) return false;
    levels[depth] = item.value;
  }
  return false;
}

bool is_printable(std::uint8_t c) { return c >= 0x20 && c < 0x7f; }

}  // namespace

Status garbled_answer() {
  return {Errc::kUnavailable, "the KMIP server's answer is not a well-formed message",
          "check that the URI's host and port are those of a KMIP server (usually 5696)"};
}

Result<std::size_t> ttlv_body_len(ByteView header, std::uint32_t tag) {
  if (header.size() != kTtlvHeaderLen || load_tag(header.data()) != tag ||
      header[3] != static_cast<std::uint8_t>(TtlvType::kStructure)) {
    return garbled_answer();
  }
  const std::size_t len = load_be32(header.data() + 4);
  if (len % kAlignment != 0) return garbled_answer();
  if (len > kMaxTtlvLen - kTtlvHeaderLen) {
    return Status(Errc::kUnavailable, "the KMIP server's answer is longer than 64 KiB",
                  "check that the URI's host and port are those of a KMIP server (usually 5696)");
  }
  return len;
}

Result<TtlvItem> parse_ttlv(ByteView message) {
  if (message.size() > kMaxTtlvLen) return garbled_answer();
  TtlvItem item;
  if (!take_item(&message, &item) || !message.empty()) return garbled_answer();
  if (item.type == TtlvType::kStructure && !check_inside(item)) return garbled_answer();
  return item;
}

std::vector<TtlvItem> children(const TtlvItem& structure) {
  std::vector<TtlvItem> items;
  if (structure.type != TtlvType::kStructure) return items;
  ByteView rest = structure.value;
  TtlvItem item;
  while (!rest.empty() && take_item(&rest, &item)) items.push_back(item);
  return items;
}

bool has_child(const TtlvItem& structure, std::uint32_t tag) {
  const auto items = children(structure);
  return std::any_of(items.begin(), items.end(),
                     [tag](const TtlvItem& item) { return item.tag == tag; });
}

Result<TtlvItem> child(const TtlvItem& structure, std::uint32_t tag, TtlvType type) {
  const TtlvItem* found = nullptr;
  const auto items = children(structure);
  for (const TtlvItem& item : items) {
    if (item.tag != tag) continue;
    if (found != nullptr) return garbled_answer();
    found = &item;
  }
  if (found == nullptr || found->type != type) return garbled_answer();
  return *found;
}

Result<std::int32_t> child_integer(const TtlvItem& structure, std::uint32_t tag) {
  REWRAP_ASSIGN(const TtlvItem item, child(structure, tag, TtlvType::kInteger));
  return static_cast<std::int32_t>(load_be32(item.value.data()));
}

Result<std::uint32_t> child_enumeration(const TtlvItem& structure, std::uint32_t tag) {
  REWRAP_ASSIGN(const TtlvItem item, child(structure, tag, TtlvType::kEnumeration));
  return load_be32(item.value.data());
}

Result<std::string> child_text(const TtlvItem& structure, std::uint32_t tag, std::size_t max_len) {
  REWRAP_ASSIGN(const TtlvItem item, child(structure, tag, TtlvType::kTextString));
  if (item.value.size() > max_len ||
      !std::all_of(item.value.begin(), item.value.end(), is_printable)) {
    return garbled_answer();
  }
  return std::string(item.value.begin(), item.value.end());
}

void TtlvWriter::integer(std::uint32_t tag, std::int32_t value) {
  std::array<std::uint8_t, 4> bytes{};
  store_be32(bytes.data(), static_cast<std::uint32_t>(value));
  item(tag, TtlvType::kInteger, bytes);
}

void TtlvWriter::enumeration(std::uint32_t tag, std::uint32_t value) {
  std::array<std::uint8_t, 4> bytes{};
  store_be32(bytes.data(), value);
  item(tag, TtlvType::kEnumeration, bytes);
}

void TtlvWriter::text(std::uint32_t tag, std::string_view value) {
  item(tag, TtlvType::kTextString, as_bytes(value));
}

void TtlvWriter::item(std::uint32_t tag, TtlvType type, ByteView value) {
  const std::size_t at = out_.size();
  out_.resize(at + kTtlvHeaderLen + padded(value.size()));
  std::uint8_t* header = out_.data() + at;
  store_be32(header, tag << 8 | static_cast<std::uint32_t>(type));
  store_be32(header + 4, static_cast<std::uint32_t>(value.size()));
  copy_bytes({header + kTtlvHeaderLen, value.size()}, value);
}

std::size_t TtlvWriter::begin(std::uint32_t tag) {
  const std::size_t start = out_.size();
  item(tag, TtlvType::kStructure, {});
  return start;
}

void TtlvWriter::end(std::size_t start) {
  const std::size_t len = out_.size() - start - kTtlvHeaderLen;
  store_be32(out_.data() + start + 4, static_cast<std::uint32_t>(len));
}

}  // namespace rewrap
