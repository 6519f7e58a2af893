// The stored form of a sealed object.
#include "hsm/tpm2/sealed_blob.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>

#include "engine/base/codec.h"

namespace rewrap {
namespace {

// Stored form, big-endian: format (1 byte), flags (1), bank (2), PCR mask (4), counter (4), its value
// (8), then parent name, pub, priv and the PCR values one after the other as fields, and the first 16
// bytes of SHA-256 over all of that.
constexpr std::uint8_t kStoredFormat = 1;
constexpr std::uint8_t kNeedsPin = 1;
constexpr std::size_t kChecksumLen = 16;
constexpr std::size_t kDigestLen = 32;
constexpr std::size_t kMaxNameLen = 66;      // TPMU_NAME with the longest digest
constexpr std::size_t kMaxObjectLen = 1024;  // ours have 48 to 80 and 160 to 224 bytes

struct Bank {
  PcrBank bank;
  std::string_view name;
  std::size_t len;
};
constexpr std::array<Bank, 3> kBanks = {{{PcrBank::kSha256, "sha256", 32},
                                         {PcrBank::kSha384, "sha384", 48},
                                         {PcrBank::kSha512, "sha512", 64}}};

const Bank* find_bank(PcrBank bank) {
  const auto* found =
      std::find_if(kBanks.begin(), kBanks.end(), [bank](const Bank& b) { return b.bank == bank; });
  return found == kBanks.end() ? nullptr : found;
}

std::array<std::uint8_t, kChecksumLen> checksum(ByteView bytes) {
  std::array<std::uint8_t, kDigestLen> digest{};
  std::array<std::uint8_t, kChecksumLen> out{};
  // If OpenSSL has no SHA-256 the sum is zero, and no blob will be accepted.
  if (EVP_Digest(bytes.data(), bytes.size(), digest.data(), nullptr, EVP_sha256(), nullptr) == 1)
    std::copy_n(digest.begin(), kChecksumLen, out.begin());
  return out;
}

bool is_sane(const SealedBlob& blob, std::uint8_t flags) {
  const bool pcrs_fit = find_bank(blob.pcrs.bank) != nullptr && blob.pcrs.mask >> kNumPcrs == 0;
  const bool counter_fits = blob.counter != 0 || blob.counter_value == 0;
  return pcrs_fit && counter_fits && (flags & ~kNeedsPin) == 0 && !blob.parent_name.empty() &&
         !blob.pub.empty() && !blob.priv.empty();
}

Bytes copy_of(ByteView bytes) { return {bytes.begin(), bytes.end()}; }

Status damaged() {
  return {Errc::kCorruption, "the sealed KEK is damaged", "restore the protector from a copy"};
}

}  // namespace

std::optional<PcrBank> pcr_bank_of(std::string_view name) {
  const auto* found =
      std::find_if(kBanks.begin(), kBanks.end(), [name](const Bank& b) { return b.name == name; });
  if (found == kBanks.end()) return std::nullopt;
  return found->bank;
}

std::size_t pcr_value_len(PcrBank bank) {
  const Bank* found = find_bank(bank);
  return found == nullptr ? 0 : found->len;
}

std::string format_pcrs(const PcrSelection& pcrs) {
  const Bank* bank = find_bank(pcrs.bank);
  std::string text(bank == nullptr ? "?" : bank->name);
  char separator = ':';
  for (std::uint32_t pcr = 0; pcr < kNumPcrs; ++pcr) {
    if ((pcrs.mask >> pcr & 1) == 0) continue;
    text += separator + std::to_string(pcr);
    separator = '+';
  }
  return text;
}

Bytes encode_sealed_blob(const SealedBlob& blob) {
  Encoder out;
  out.u8(kStoredFormat);
  out.u8(blob.needs_pin ? kNeedsPin : 0);
  out.u16(static_cast<std::uint16_t>(blob.pcrs.bank));
  out.u32(blob.pcrs.mask);
  out.u32(blob.counter);
  out.u64(blob.counter_value);
  out.field(blob.parent_name);
  out.field(blob.pub);
  out.field(blob.priv);
  for (const Bytes& value : blob.pcr_values) out.raw(value);
  out.raw(checksum(out.bytes()));
  return out.take();
}

Result<SealedBlob> decode_sealed_blob(ByteView stored) {
  if (stored.size() < kChecksumLen) return damaged();
  const ByteView body = stored.first(stored.size() - kChecksumLen);
  const auto sum = checksum(body);
  const ByteView stored_sum = stored.last(kChecksumLen);
  if (!std::equal(sum.begin(), sum.end(), stored_sum.begin())) return damaged();
  Decoder in(body);
  if (in.u8() != kStoredFormat) {
    return Status(Errc::kUnsupported, "the sealed KEK has a format that this version does not know",
                  "use the version that made it, or a later one");
  }
  SealedBlob blob;
  const std::uint8_t flags = in.u8();
  blob.needs_pin = (flags & kNeedsPin) != 0;
  blob.pcrs.bank = static_cast<PcrBank>(in.u16());
  blob.pcrs.mask = in.u32();
  blob.counter = in.u32();
  blob.counter_value = in.u64();
  blob.parent_name = copy_of(in.field(kMaxNameLen));
  blob.pub = copy_of(in.field(kMaxObjectLen));
  blob.priv = copy_of(in.field(kMaxObjectLen));
  if (!in.ok() || !is_sane(blob, flags)) return damaged();
  for (std::size_t i = 0; i < blob.pcrs.count(); ++i)
    blob.pcr_values.push_back(copy_of(in.raw(pcr_value_len(blob.pcrs.bank))));
  if (!in.done()) return damaged();
  return blob;
}

}  // namespace rewrap
