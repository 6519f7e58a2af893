// The segment: up to 2,048 DEKs of one size under one KEK version, in two columns (ids, wraps) that
// are stored as two values.
//
//   ids value    per slot: id 16, time of creation u64 (seconds since 1970)
//   wraps value  header 96, live bitmap ceil(count / 8), wraps count * wrapped_len, tag 16
//
// The tag is a GMAC under the MAC key of the header's KEK version, over everything before it in
// slot order. So a changed header, two wraps exchanged, or another segment's value in this one's
// place are all noticed. The header names a digest of the ids column, which a rekey therefore need
// not read (but for GCM wraps, which are bound to their ids). A slot whose live bit is 0 holds
// nothing (its DEK is in quarantine).
#ifndef REWRAP_REKEY_SEGMENT_H_
#define REWRAP_REKEY_SEGMENT_H_

#include <cstdint>

#include "engine/base/bytes.h"
#include "engine/base/status.h"
#include "engine/mac.h"
#include "engine/wrap_algorithm.h"
#include "rekey/store.h"

namespace rewrap {

inline constexpr std::size_t kMaxSegmentDeks = 2048;
inline constexpr std::size_t kSegmentHeaderLen = 96;

struct SegmentHeader {
  WrapAlgorithm algorithm = WrapAlgorithm::kKw;
  DekId keyset_uuid{};
  SegmentNumber segment = 0;
  KekVersion version = 0;
  std::uint16_t dek_len = 0;
  std::uint16_t count = 0;     // slots
  std::uint16_t live = 0;      // slots that hold a DEK
  std::uint64_t sequence = 0;  // grows by one with each rewrite of this segment
  Digest ids_digest{};         // SHA-256 of the ids column
  MacNonce nonce{};
};

// SegmentView reads a stored wraps value in place. It is as valid as the bytes it was parsed from.
struct SegmentView {
  SegmentHeader header;
  ByteView bitmap;
  ByteView wraps;   // count * wrapped_len(), slot order
  ByteView tagged;  // all that the tag covers
  Tag tag{};

  [[nodiscard]] std::size_t wrap_len() const {
    return wrapped_len(header.algorithm, header.dek_len);
  }
  [[nodiscard]] bool is_live(std::size_t slot) const {
    return (bitmap[slot / 8] >> (slot % 8) & 1) != 0;
  }
  [[nodiscard]] ByteView wrap(std::size_t slot) const {
    return wraps.subspan(slot * wrap_len(), wrap_len());
  }
};

// parse_segment checks the form and that the value says it is this segment of this keyset; not the
// tag. Errors: kCorruption.
Result<SegmentView> parse_segment(ByteView value, const DekId& keyset_uuid, SegmentNumber segment);

// authenticate_segment checks the tag; `mac` must be of the header's version. Errors: kCorruption.
Status authenticate_segment(const SegmentView& view, Mac* mac);

// check_live_count compares the header's number of DEKs with the bitmap: part of
// authenticate_segment, and all that can be asked of a segment whose tag is wrong.
// Errors: kCorruption.
Status check_live_count(const SegmentView& view);

// authenticate_ids checks that the ids column is the one the header names. Errors: kCorruption.
Status authenticate_ids(const SegmentView& view, ByteView ids);

// id_at and created_at read one slot of an ids value whose length was checked (authenticate_ids).
inline constexpr std::size_t kIdSlotLen = 24;
DekId id_at(ByteView ids, std::size_t slot);
std::uint64_t created_at(ByteView ids, std::size_t slot);
// append_id adds a slot to an ids value.
void append_id(Bytes* ids, const DekId& id, std::uint64_t created);

// SegmentBuilder lays out a new wraps value: fill wraps() and the live bits, then seal().
class SegmentBuilder {
 public:
  // `header.live` and `header.nonce` are set by seal.
  explicit SegmentBuilder(const SegmentHeader& header);

  [[nodiscard]] ByteSpan wraps();
  [[nodiscard]] ByteSpan wrap(std::size_t slot);
  void set_live(std::size_t slot, bool live);
  // set_all_live marks every slot.
  void set_all_live();
  // copy_live takes over the bitmap of `view`, which has the same number of slots or fewer.
  void copy_live(const SegmentView& view);

  // seal counts the live slots, draws a nonce, computes the tag and gives the value. `mac` must be
  // of header.version.
  Result<Bytes> seal(Mac* mac);

 private:
  [[nodiscard]] std::size_t bitmap_len() const { return (header_.count + std::size_t{7}) / 8; }
  SegmentHeader header_;
  Bytes value_;
};

}  // namespace rewrap

#endif  // REWRAP_REKEY_SEGMENT_H_
