// The exchange format of wrapped DEKs: JSON Lines, one object per line, `alg` as in RFC 7518
// section 4.1.
//
//   {"id":"6fa459ea-ee8a-4ca4-894e-db77e160355e","alg":"A256KW","wrapped":"<base64>"}
//
// A128KW, A192KW, A256KW are RFC 3394 under a KEK of that size; A128KWP, A192KWP, A256KWP likewise
// RFC 5649. A128GCMKW, A192GCMKW, A256GCMKW are AES-GCM (RFC 7518 section 4.7): "wrapped" is the
// ciphertext alone, and "iv" (12 bytes), "tag" (16 bytes) and, if there is any, the additional data
// "aad" stand beside it, in base64 as well. Pure functions, any thread.
#ifndef REWRAP_REKEY_JSONL_H_
#define REWRAP_REKEY_JSONL_H_

#include <cstddef>
#include <string>
#include <string_view>

#include "engine/base/bytes.h"
#include "engine/base/status.h"
#include "engine/wrap_algorithm.h"
#include "rekey/records.h"
#include "rekey/store.h"

namespace rewrap {

// A longer line is refused before it is parsed.
inline constexpr std::size_t kMaxLineLen = 65536;

struct WrapLine {
  DekId id{};
  WrapAlgorithm algorithm = WrapAlgorithm::kKw;
  std::size_t kek_len = 0;  // 16, 24 or 32, from `alg`
  std::size_t dek_len = 0;  // from the length of `wrapped`
  Bytes wrap;               // of GCM: the whole record (engine/wrap_algorithm.h)
  Bytes aad;                // of GCM: at most kMaxForeignAadLen bytes
};

// parse_wrap_line reads one line without its line end. Unknown members are ignored.
// Errors: kInvalidArgument  not JSON, a member missing or of the wrong type, bad id, bad base64, a
// length that no DEK's wrap has, or no IV or tag has
//         kUnsupported      an `alg` that this version does not know
Result<WrapLine> parse_wrap_line(std::string_view line);

// WrapToWrite is what a line is made of. A `kek_version` of 0, and an empty `aad`, are left out.
struct WrapToWrite {
  DekId id{};
  WrapAlgorithm algorithm = WrapAlgorithm::kKw;
  std::size_t kek_len = 0;
  ByteView wrap;
  Bytes aad = {};
  KekVersion kek_version = 0;
};

// format_wrap_line writes one line with its line end.
std::string format_wrap_line(const WrapToWrite& wrap);

// WrapMembers are the members of an object that hold a wrap, as base64; those that the algorithm
// does not have are empty.
struct WrapMembers {
  std::string wrapped;
  std::string iv;
  std::string tag;
  std::string aad;
};
WrapMembers wrap_members(WrapAlgorithm algorithm, ByteView wrap, ByteView aad);

// alg_name gives the RFC 7518 style name, e.g. "A256KW".
std::string alg_name(WrapAlgorithm algorithm, std::size_t kek_len);

}  // namespace rewrap

#endif  // REWRAP_REKEY_JSONL_H_
