// Encodings of the stored records.
#include "rekey/records.h"

#include <algorithm>
#include <ctime>

#include "engine/base/codec.h"
#include "engine/iv_source.h"
#include "hsm/random.h"

namespace rewrap {
namespace {

constexpr std::uint8_t kRecordFormat = 1;
constexpr std::size_t kMaxProtectorRecordLen =
    2 * kMaxBlobLen + kMaxRootUriLen + kMaxKeyRefLen + 64;
constexpr std::size_t kMaxMacKeyWrapLen = 64;

Status damaged() {
  return Status(Errc::kCorruption, "a record of the store is damaged",
                "restore the store's directory from a backup");
}

}  // namespace

const char* custody_name(Custody custody) {
  switch (custody) {
    case Custody::kHost:
      return "host";
    case Custody::kKekInToken:
      return "kek-in-token";
    case Custody::kInToken:
      return "in-token";
  }
  return "unknown";
}

std::optional<Custody> find_custody(std::string_view name) {
  for (const Custody custody : {Custody::kHost, Custody::kKekInToken, Custody::kInToken}) {
    if (name == custody_name(custody)) return custody;
  }
  return std::nullopt;
}

Custody custody_of(const Kek& kek) {
  if (kek.token() == nullptr) return Custody::kHost;
  return kek.token()->custody() == TokenCustody::kInToken ? Custody::kInToken
                                                          : Custody::kKekInToken;
}

Bytes encode(const KekVersionRecord& record) {
  Encoder out;
  out.u8(kRecordFormat);
  out.u8(static_cast<std::uint8_t>(record.state));
  out.u64(record.created_at);
  out.u64(record.destroyed_at);
  out.field(record.mac_key_wrap);
  out.u8(static_cast<std::uint8_t>(record.protectors.size()));
  for (const Protector& protector : record.protectors) out.field(encode_protector(protector));
  return out.take();
}

Result<KekVersionRecord> decode_kek_version(ByteView stored) {
  Decoder in(stored);
  KekVersionRecord record;
  const std::uint8_t format = in.u8();
  const std::uint8_t state = in.u8();
  record.created_at = in.u64();
  record.destroyed_at = in.u64();
  const ByteView mac_key_wrap = in.field(kMaxMacKeyWrapLen);
  const std::size_t num_protectors = in.u8();
  if (!in.ok() || format != kRecordFormat || num_protectors > kMaxProtectors || state < 1 ||
      state > 2)
    return damaged();
  record.state = static_cast<KekState>(state);
  record.mac_key_wrap.assign(mac_key_wrap.begin(), mac_key_wrap.end());
  for (std::size_t i = 0; i < num_protectors; ++i) {
    REWRAP_ASSIGN(Protector protector, decode_protector(in.field(kMaxProtectorRecordLen)));
    record.protectors.push_back(std::move(protector));
  }
  if (!in.done()) return damaged();
  return record;
}

Result<Bytes> seal_keyset(const KeysetRecord& record, Mac* mac) {
  Encoder out;
  out.u8(kRecordFormat);
  out.u32(record.number);
  out.raw(record.uuid);
  out.field(record.name);
  out.u8(static_cast<std::uint8_t>(record.algorithm));
  out.u16(record.dek_len);
  out.u8(static_cast<std::uint8_t>(record.custody));
  out.u64(record.created_at);
  out.u32(record.current_version);
  out.u32(record.rekey_target);
  out.u32(record.num_segments);
  out.u64(record.live_deks);
  out.u32(record.verified_version);
  out.u64(record.verified_at);
  for (const SegmentNumber tail : record.tails) out.u32(tail);
  if (record.algorithm == WrapAlgorithm::kGcm) out.u64(record.gcm_wraps);
  MacNonce nonce{};
  REWRAP_TRY(random_bytes(nonce));
  out.raw(nonce);
  REWRAP_ASSIGN(const Tag tag, mac->tag(nonce, out.bytes()));
  out.raw(tag);
  return out.take();
}

Result<KeysetRecord> read_keyset(ByteView stored) {
  Decoder in(stored);
  KeysetRecord record;
  const std::uint8_t format = in.u8();
  record.number = in.u32();
  in.read_array(&record.uuid);
  record.name = in.text(kMaxKeysetNameLen);
  const std::uint8_t algorithm = in.u8();
  record.dek_len = in.u16();
  const std::uint8_t custody = in.u8();
  record.created_at = in.u64();
  record.current_version = in.u32();
  record.rekey_target = in.u32();
  record.num_segments = in.u32();
  record.live_deks = in.u64();
  record.verified_version = in.u32();
  record.verified_at = in.u64();
  for (SegmentNumber& tail : record.tails) tail = in.u32();
  if (algorithm == static_cast<std::uint8_t>(WrapAlgorithm::kGcm)) record.gcm_wraps = in.u64();
  in.raw(kMacNonceLen + kTagLen);
  const bool valid = in.done() && format == kRecordFormat && is_wrap_algorithm(algorithm) &&
                     is_dek_len(record.dek_len) && custody >= 1 && custody <= 3 &&
                     is_keyset_name(record.name) && record.gcm_wraps <= kMaxGcmWraps;
  if (!valid) return damaged();
  record.algorithm = static_cast<WrapAlgorithm>(algorithm);
  record.custody = static_cast<Custody>(custody);
  return record;
}

Result<KeysetRecord> open_keyset(ByteView stored, Mac* mac) {
  REWRAP_ASSIGN(KeysetRecord record, read_keyset(stored));
  const ByteView message = stored.first(stored.size() - kTagLen);
  MacNonce nonce{};
  Tag tag{};
  copy_bytes(nonce, message.last(kMacNonceLen));
  copy_bytes(tag, stored.last(kTagLen));
  const Status status = mac->verify(nonce, message, tag);
  if (status.code() == Errc::kIntegrity) {
    return Status(Errc::kCorruption,
                  "the keyset's record fails authentication: it was damaged or changed",
                  "restore the store's directory from a backup");
  }
  REWRAP_TRY(status);
  return record;
}

std::size_t tail_index(std::size_t dek_len) {
  const auto* at = std::find(std::begin(kDekLens), std::end(kDekLens), dek_len);
  return static_cast<std::size_t>(at - std::begin(kDekLens));
}

bool is_keyset_name(std::string_view name) {
  if (name.empty() || name.size() > kMaxKeysetNameLen || name.front() == '.' || name.front() == '-')
    return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
  });
}

Bytes encode(const QuarantineRecord& record) {
  Encoder out;
  out.u8(kRecordFormat);
  out.u8(static_cast<std::uint8_t>(record.reason));
  out.u8(static_cast<std::uint8_t>(record.algorithm));
  out.u32(record.version);
  out.u64(record.since);
  out.field(record.wrap);
  if (record.algorithm == WrapAlgorithm::kGcm) out.field(record.aad);
  return out.take();
}

Result<QuarantineRecord> decode_quarantine(ByteView stored) {
  Decoder in(stored);
  QuarantineRecord record;
  const std::uint8_t format = in.u8();
  const std::uint8_t reason = in.u8();
  const std::uint8_t algorithm = in.u8();
  record.version = in.u32();
  record.since = in.u64();
  const ByteView wrap = in.field(kMaxWrappedDekLen);
  const bool is_gcm = algorithm == static_cast<std::uint8_t>(WrapAlgorithm::kGcm);
  const ByteView aad = is_gcm ? in.field(kMaxForeignAadLen) : ByteView();
  if (!in.done() || format != kRecordFormat || reason < 1 || reason > 2 ||
      !is_wrap_algorithm(algorithm))
    return damaged();
  record.reason = static_cast<QuarantineReason>(reason);
  record.algorithm = static_cast<WrapAlgorithm>(algorithm);
  record.wrap.assign(wrap.begin(), wrap.end());
  record.aad.assign(aad.begin(), aad.end());
  return record;
}

Bytes protector_context(const DekId& keyset_uuid, KekVersion version) {
  Encoder out;
  out.raw(keyset_uuid);
  out.u32(version);
  return out.take();
}

std::uint64_t now_seconds() { return static_cast<std::uint64_t>(std::time(nullptr)); }

}  // namespace rewrap
