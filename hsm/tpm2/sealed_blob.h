// What a protector of the TPM root holds: the sealed object and what it is bound to. Nothing in it
// is secret. Plain data, any thread.
#ifndef REWRAP_HSM_TPM2_SEALED_BLOB_H_
#define REWRAP_HSM_TPM2_SEALED_BLOB_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/bytes.h"
#include "engine/base/status.h"

namespace rewrap {

// PcrBank is a bank by its TPM_ALG_ID. The values are stored.
enum class PcrBank : std::uint16_t { kSha256 = 0x000b, kSha384 = 0x000c, kSha512 = 0x000d };

inline constexpr std::uint32_t kNumPcrs = 24;  // what the PC Client profile demands

struct PcrSelection {
  PcrBank bank = PcrBank::kSha256;
  std::uint32_t mask = 0;  // bit i: PCR i

  [[nodiscard]] bool empty() const { return mask == 0; }
  [[nodiscard]] std::size_t count() const {
    return static_cast<std::size_t>(__builtin_popcount(mask));
  }
  bool operator==(const PcrSelection&) const = default;
};

// pcr_bank_of knows "sha256", "sha384" and "sha512".
std::optional<PcrBank> pcr_bank_of(std::string_view name);

// pcr_value_len is the length of a PCR of that bank in bytes.
std::size_t pcr_value_len(PcrBank bank);

// format_pcrs writes "sha256:7+11".
std::string format_pcrs(const PcrSelection& pcrs);

struct SealedBlob {
  Bytes parent_name;                // TPM2B_NAME's bytes: hash algorithm and digest
  Bytes pub;                        // TPM2B_PUBLIC, marshalled: tpm2-tools' .pub file
  Bytes priv;                       // TPM2B_PRIVATE, marshalled: tpm2-tools' .priv file
  bool needs_pin = false;           // the object has an auth value
  PcrSelection pcrs;                // empty: not bound to PCRs
  std::vector<Bytes> pcr_values;    // the values bound to, by rising number of PCR
  std::uint32_t counter = 0;        // NV index; 0: not bound to a counter
  std::uint64_t counter_value = 0;  // the value at which the blob opens

  // needs_policy: with a PIN alone, or with nothing, the auth value is all there is.
  [[nodiscard]] bool needs_policy() const { return !pcrs.empty() || counter != 0; }
};

// encode_sealed_blob and decode_sealed_blob give and take the stored form. It ends in a checksum, so
// that damage is told from a wrong TPM before the TPM is asked and a PIN try is spent; against
// forgery the TPM and the protector's check value guard.
// decode: kCorruption if it is not exactly one such blob.
Bytes encode_sealed_blob(const SealedBlob& blob);
Result<SealedBlob> decode_sealed_blob(ByteView stored);

}  // namespace rewrap

#endif  // REWRAP_HSM_TPM2_SEALED_BLOB_H_
