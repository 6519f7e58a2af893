// Layout, parsing and authentication of segments.
#include "rekey/segment.h"

#include <bit>

#include "engine/base/codec.h"
#include "hsm/random.h"

namespace rewrap {
namespace {

constexpr std::uint32_t kMagic = 0x52575347;  // "RWSG"
constexpr std::uint16_t kSegmentFormat = 1;
constexpr std::size_t kReservedLen = 4;

Status damaged(Literal message) {
  return Status(Errc::kCorruption, message,
                "rewrap verify lists what is damaged; restore it from a backup");
}

Bytes encode_header(const SegmentHeader& header) {
  Encoder out;
  out.u32(kMagic);
  out.u16(kSegmentFormat);
  out.u8(static_cast<std::uint8_t>(header.algorithm));
  out.u8(0);
  out.raw(header.keyset_uuid);
  out.u32(header.segment);
  out.u32(header.version);
  out.u16(header.dek_len);
  out.u16(header.count);
  out.u16(header.live);
  out.u16(0);
  out.u64(header.sequence);
  out.raw(header.ids_digest);
  out.raw(header.nonce);
  out.u32(0);
  return out.take();
}

std::size_t count_live(ByteView bitmap) {
  std::size_t live = 0;
  for (const std::uint8_t byte : bitmap) live += static_cast<std::size_t>(std::popcount(byte));
  return live;
}

}  // namespace

Result<SegmentView> parse_segment(ByteView value, const DekId& keyset_uuid, SegmentNumber segment) {
  Decoder in(value);
  SegmentView view;
  SegmentHeader& header = view.header;
  const bool marked = in.u32() == kMagic && in.u16() == kSegmentFormat;
  const std::uint8_t algorithm = in.u8();
  in.u8();
  in.read_array(&header.keyset_uuid);
  header.segment = in.u32();
  header.version = in.u32();
  header.dek_len = in.u16();
  header.count = in.u16();
  header.live = in.u16();
  in.u16();
  header.sequence = in.u64();
  in.read_array(&header.ids_digest);
  in.read_array(&header.nonce);
  in.raw(kReservedLen);
  if (!in.ok() || !marked || !is_wrap_algorithm(algorithm))
    return damaged("a segment's header is damaged");
  header.algorithm = static_cast<WrapAlgorithm>(algorithm);
  if (!is_dek_len(header.dek_len) || header.count == 0 || header.count > kMaxSegmentDeks ||
      header.live > header.count) {
    return damaged("a segment's header is damaged");
  }
  if (header.keyset_uuid != keyset_uuid || header.segment != segment) {
    return damaged("a segment is in another one's place");
  }
  view.bitmap = in.raw((header.count + std::size_t{7}) / 8);
  view.wraps = in.raw(header.count * view.wrap_len());
  in.read_array(&view.tag);
  if (!in.done()) return damaged("a segment has a wrong length");
  view.tagged = value.first(value.size() - kTagLen);
  return view;
}

Status authenticate_segment(const SegmentView& view, Mac* mac) {
  const Status status = mac->verify(view.header.nonce, view.tagged, view.tag);
  if (status.code() == Errc::kIntegrity)
    return damaged("a segment fails authentication: it was damaged or changed");
  REWRAP_TRY(status);
  return check_live_count(view);
}

Status check_live_count(const SegmentView& view) {
  if (count_live(view.bitmap) == view.header.live) return {};
  return damaged("a segment's count of DEKs is wrong");
}

Status authenticate_ids(const SegmentView& view, ByteView ids) {
  if (ids.size() != view.header.count * kIdSlotLen)
    return damaged("a segment's ids column has a wrong length");
  REWRAP_ASSIGN(const Digest digest, sha256(ids));
  if (digest != view.header.ids_digest)
    return damaged("a segment's ids column was damaged or changed");
  return {};
}

DekId id_at(ByteView ids, std::size_t slot) {
  DekId id{};
  copy_bytes(id, ids.subspan(slot * kIdSlotLen, id.size()));
  return id;
}

std::uint64_t created_at(ByteView ids, std::size_t slot) {
  return load_be64(ids.data() + slot * kIdSlotLen + sizeof(DekId));
}

void append_id(Bytes* ids, const DekId& id, std::uint64_t created) {
  const std::size_t at = ids->size();
  ids->resize(at + kIdSlotLen);
  copy_bytes(ByteSpan(*ids).subspan(at), id);
  store_be64(ids->data() + at + sizeof(DekId), created);
}

SegmentBuilder::SegmentBuilder(const SegmentHeader& header)
    : header_(header),
      value_(kSegmentHeaderLen + (header.count + std::size_t{7}) / 8 +
             header.count * wrapped_len(header.algorithm, header.dek_len) + kTagLen) {}

ByteSpan SegmentBuilder::wraps() {
  const std::size_t start = kSegmentHeaderLen + bitmap_len();
  return ByteSpan(value_).subspan(start, value_.size() - kTagLen - start);
}

ByteSpan SegmentBuilder::wrap(std::size_t slot) {
  const std::size_t len = wrapped_len(header_.algorithm, header_.dek_len);
  return wraps().subspan(slot * len, len);
}

void SegmentBuilder::set_live(std::size_t slot, bool live) {
  std::uint8_t& byte = value_[kSegmentHeaderLen + slot / 8];
  const auto bit = static_cast<std::uint8_t>(1U << slot % 8);
  byte = static_cast<std::uint8_t>(live ? byte | bit : byte & ~bit);
}

void SegmentBuilder::set_all_live() {
  for (std::size_t slot = 0; slot < header_.count; ++slot) set_live(slot, true);
}

void SegmentBuilder::copy_live(const SegmentView& view) {
  copy_bytes(ByteSpan(value_).subspan(kSegmentHeaderLen, bitmap_len()), view.bitmap);
}

Result<Bytes> SegmentBuilder::seal(Mac* mac) {
  header_.live = static_cast<std::uint16_t>(
      count_live(ByteView(value_).subspan(kSegmentHeaderLen, bitmap_len())));
  REWRAP_TRY(random_bytes(header_.nonce));
  copy_bytes(value_, encode_header(header_));
  REWRAP_ASSIGN(const Tag tag,
                mac->tag(header_.nonce, ByteView(value_).first(value_.size() - kTagLen)));
  copy_bytes(ByteSpan(value_).last(kTagLen), tag);
  return std::move(value_);
}

}  // namespace rewrap
