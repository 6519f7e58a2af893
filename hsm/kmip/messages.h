// KMIP 1.2 messages as bytes: the requests of the operations that a root needs, and what their
// answers say. One operation per message. Pure, any thread.
#ifndef REWRAP_HSM_KMIP_MESSAGES_H_
#define REWRAP_HSM_KMIP_MESSAGES_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/bytes.h"
#include "engine/base/status.h"
#include "hsm/kmip/protocol.h"
#include "hsm/kmip/ttlv.h"

namespace rewrap {

inline constexpr std::size_t kMaxKmipIdLen = 256;    // a Unique Identifier; most are UUIDs
inline constexpr std::size_t kMaxKmipNameLen = 255;  // a Name
inline constexpr std::size_t kKmipKeyLen = 32;       // the keys that rewrap has made: AES-256

struct KmipVersion {
  int major = 0;
  int minor = 0;
  bool operator==(const KmipVersion&) const = default;
};
inline constexpr KmipVersion kKmipVersion = {.major = 1, .minor = 2};  // what rewrap speaks

// What Query tells.
struct KmipServerInfo {
  std::string vendor;                     // may be empty
  std::vector<std::uint32_t> operations;  // kmip::Operation, and others
};

// KmipState is a key's State (KMIP 1.2, 3.22).
enum class KmipState : std::uint32_t {
  kPreActive = 1,
  kActive = 2,
  kDeactivated = 3,  // opens what it sealed, seals nothing new
  kCompromised = 4,  // likewise
  kDestroyed = 5,
  kDestroyedCompromised = 6,
};

// What Get Attributes tells of a key. An attribute that the server does not give stays empty.
struct KmipAttributes {
  std::optional<KmipState> state;
  std::optional<std::uint32_t> object_type;
  std::optional<std::uint32_t> algorithm;
  std::optional<std::int32_t> length;  // bits
  std::optional<std::int32_t> usage;   // Cryptographic Usage Mask
};

// The requests. Keys are made as AES-256 with the usages Wrap Key and Unwrap Key, and a Name.
Bytes discover_versions_request();
Bytes query_request();
Bytes create_request(std::string_view name);
Bytes locate_request(std::string_view name, std::int32_t max_items);
Bytes get_request(std::string_view id);
Bytes get_attributes_request(std::string_view id);
Bytes activate_request(std::string_view id);
Bytes revoke_request(std::string_view id);  // for cessation of operation
Bytes destroy_request(std::string_view id);

// payload_of gives the payload of a successful answer to `operation`; it points into `message`.
// Errors: kUnavailable  not a well-formed answer, or one to something else
//         kmip_failure  the server says that the operation failed
//         kUnsupported  the server would answer later, by polling
Result<TtlvItem> payload_of(ByteView message, kmip::Operation operation);

// What each payload says. Errors: kUnavailable if it is not there or over a limit.
Result<std::vector<KmipVersion>> read_versions(const TtlvItem& payload);
Result<KmipServerInfo> read_server_info(const TtlvItem& payload);
Result<std::string> read_id(const TtlvItem& payload);                // Create and others
Result<std::vector<std::string>> read_ids(const TtlvItem& payload);  // Locate
Result<KmipAttributes> read_attributes(const TtlvItem& payload);

// read_key gives the bytes of the key that `payload` holds, where they are.
// Errors: kUnavailable  as above, or it is the key of another id than `id`
//         kRefused      not an AES-256 key, or not in the clear
Result<ByteView> read_key(const TtlvItem& payload, std::string_view id);

}  // namespace rewrap

#endif  // REWRAP_HSM_KMIP_MESSAGES_H_
