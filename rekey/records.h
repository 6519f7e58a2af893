// The stored records of keysets, KEK versions and quarantined DEKs: their fields, limits and
// encodings.
#ifndef REWRAP_REKEY_RECORDS_H_
#define REWRAP_REKEY_RECORDS_H_

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/bytes.h"
#include "engine/base/status.h"
#include "engine/kek.h"
#include "engine/mac.h"
#include "engine/wrap_algorithm.h"
#include "hsm/protector.h"
#include "rekey/store.h"

namespace rewrap {

inline constexpr std::size_t kMaxKeysetNameLen = 64;
inline constexpr std::size_t kMaxProtectors = 8;
inline constexpr std::size_t kMaxForeignAadLen = 1024;  // additional data of an imported GCM wrap
inline constexpr std::size_t kKekLen = 32;              // KEKs made here are AES-256

// Custody is where the KEK is while DEKs are re-wrapped. Stored: never renumber.
enum class Custody : std::uint8_t {
  kHost = 1,        // in locked host memory, only while a job runs
  kKekInToken = 2,  // never leaves its token; the DEKs pass through locked host memory
  kInToken = 3,     // never leaves its token, and neither do the DEKs; RFC 3394 only
};

// custody_name gives it as the command line writes it: "host", "kek-in-token", "in-token";
// find_custody is the inverse.
const char* custody_name(Custody custody);
std::optional<Custody> find_custody(std::string_view name);

// custody_of gives where a KEK is.
Custody custody_of(const Kek& kek);

// KekState is the life of a KEK version. Stored: never renumber.
enum class KekState : std::uint8_t {
  kUsable = 1,     // has a protector; the highest one is the current version
  kDestroyed = 2,  // decommissioned: the number stays used, the KEK is never used again
};

struct KekVersionRecord {
  KekState state = KekState::kUsable;
  std::uint64_t created_at = 0;    // seconds since 1970
  std::uint64_t destroyed_at = 0;  // 0 while usable
  Bytes mac_key_wrap;  // the version's MAC key, wrapped under the KEK itself (RFC 3394); empty once
                       // destroyed
  // Any one of them gives the KEK back. Once destroyed: those whose root has yet to remove the key
  // that it keeps; in the end none.
  std::vector<Protector> protectors;
};
Bytes encode(const KekVersionRecord& record);
Result<KekVersionRecord> decode_kek_version(ByteView stored);

// KeysetRecord is authenticated under the MAC key of its current version, so that lost segments and
// forged counters are noticed.
struct KeysetRecord {
  KeysetNumber number = 0;
  DekId uuid{};
  std::string name;
  WrapAlgorithm algorithm = WrapAlgorithm::kKw;
  std::uint16_t dek_len = 32;  // what `dek generate` makes unless told otherwise
  Custody custody = Custody::kHost;
  std::uint64_t created_at = 0;
  KekVersion current_version = 0;
  KekVersion rekey_target =
      0;  // the version that an unfinished rekey moves to; 0 if none is under way
  SegmentNumber num_segments = 0;   // segments are 0 .. num_segments - 1, none missing
  std::uint64_t live_deks = 0;      // DEKs in segments, without the quarantined
  KekVersion verified_version = 0;  // the version under which the last clean verify found every DEK
  std::uint64_t verified_at = 0;
  std::array<SegmentNumber, std::size(kDekLens)>
      tails{};                  // 1 + the segment that takes the next DEK of that size; 0 if none
  std::uint64_t gcm_wraps = 0;  // invocation numbers handed out under current_version; GCM only
};

// seal_keyset encodes and tags; open_keyset checks the tag; read_keyset decodes without a key
// (status, census). Errors: kCorruption.
Result<Bytes> seal_keyset(const KeysetRecord& record, Mac* mac);
Result<KeysetRecord> read_keyset(ByteView stored);
Result<KeysetRecord> open_keyset(ByteView stored, Mac* mac);

// tail_index gives the place of `dek_len` in KeysetRecord::tails.
std::size_t tail_index(std::size_t dek_len);

// is_keyset_name: 1 to 64 characters of A-Z a-z 0-9 . _ - that do not start with a dot or a dash.
bool is_keyset_name(std::string_view name);

// Why a DEK is in quarantine. Stored: never renumber.
enum class QuarantineReason : std::uint8_t {
  kImport = 1,  // its foreign wrap did not open under the KEK given at import
  kRekey = 2,   // its wrap did not open under its KEK version
};

// QuarantineRecord keeps a damaged DEK byte for byte (R7).
struct QuarantineRecord {
  QuarantineReason reason = QuarantineReason::kRekey;
  WrapAlgorithm algorithm = WrapAlgorithm::kKw;
  KekVersion version = 0;  // the version it is wrapped under; 0 if that is a foreign KEK
  std::uint64_t since = 0;
  Bytes wrap;
  Bytes aad = {};  // of a foreign GCM wrap; that of the keyset's own is not stored
};
Bytes encode(const QuarantineRecord& record);
Result<QuarantineRecord> decode_quarantine(ByteView stored);

// protector_context is what a protector's check value binds it to: the keyset and the version.
Bytes protector_context(const DekId& keyset_uuid, KekVersion version);

// now_seconds is the wall clock, for the records' dates only; nothing is decided by it.
std::uint64_t now_seconds();

}  // namespace rewrap

#endif  // REWRAP_REKEY_RECORDS_H_
