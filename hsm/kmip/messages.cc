// What KMIP 1.2 puts where, in sections 4 (operations), 6 and 7 (message contents and format).
#include "hsm/kmip/messages.h"

#include <algorithm>

#include "hsm/kmip/error.h"

namespace rewrap {
namespace {

using kmip::Operation;

constexpr std::size_t kMaxVersions = 32;
constexpr std::size_t kMaxVendorLen = 256;
constexpr std::size_t kMaxAttributeNameLen = 256;
constexpr std::int32_t kKeyBits = 8 * static_cast<std::int32_t>(kKmipKeyLen);

// Attributes are called by their names in KMIP 1.x (section 3).
constexpr std::string_view kObjectTypeName = "Object Type";
constexpr std::string_view kAlgorithmName = "Cryptographic Algorithm";
constexpr std::string_view kLengthName = "Cryptographic Length";
constexpr std::string_view kUsageName = "Cryptographic Usage Mask";
constexpr std::string_view kStateName = "State";
constexpr std::string_view kNameName = "Name";

// request writes a message with one operation whose payload `body` writes.
template <typename Body>
Bytes request(Operation operation, const Body& body) {
  TtlvWriter out;
  out.structure(kmip::kRequestMessage, [&] {
    out.structure(kmip::kRequestHeader, [&] {
      out.structure(kmip::kProtocolVersion, [&] {
        out.integer(kmip::kProtocolVersionMajor, kKmipVersion.major);
        out.integer(kmip::kProtocolVersionMinor, kKmipVersion.minor);
      });
      out.integer(kmip::kMaximumResponseSize, static_cast<std::int32_t>(kMaxTtlvLen));
      out.integer(kmip::kBatchCount, 1);
    });
    out.structure(kmip::kBatchItem, [&] {
      out.enumeration(kmip::kOperationTag, static_cast<std::uint32_t>(operation));
      out.structure(kmip::kRequestPayload, [&] { body(out); });
    });
  });
  return out.take();
}

Bytes request_for_id(Operation operation, std::string_view id) {
  return request(operation, [id](TtlvWriter& out) { out.text(kmip::kUniqueIdentifier, id); });
}

template <typename Value>
void write_attribute(TtlvWriter& out, std::string_view name, const Value& value) {
  out.structure(kmip::kAttribute, [&] {
    out.text(kmip::kAttributeName, name);
    value();
  });
}

void write_name_attribute(TtlvWriter& out, std::string_view name) {
  write_attribute(out, kNameName, [&] {
    out.structure(kmip::kAttributeValue, [&] {
      out.text(kmip::kNameValue, name);
      out.enumeration(kmip::kNameType, kmip::kNameTypeText);
    });
  });
}

bool is_id(const std::string& id) {
  return !id.empty() &&
         std::all_of(id.begin(), id.end(), [](char c) { return c > ' ' && c < 0x7f; });
}

Result<std::string> as_id(const TtlvItem& structure) {
  REWRAP_ASSIGN(std::string id, child_text(structure, kmip::kUniqueIdentifier, kMaxKmipIdLen));
  if (!is_id(id)) return garbled_answer();
  return id;
}

// check_header: a server that did not understand the request may answer in another version than it
// was asked in, so the version is not looked at.
Status check_header(const TtlvItem& message) {
  REWRAP_ASSIGN(const TtlvItem header, child(message, kmip::kResponseHeader, TtlvType::kStructure));
  REWRAP_ASSIGN(const std::int32_t num_items, child_integer(header, kmip::kBatchCount));
  return num_items == 1 ? Status() : garbled_answer();
}

Status failure_of(const TtlvItem& item, Operation operation) {
  REWRAP_ASSIGN(const std::uint32_t reason, child_enumeration(item, kmip::kResultReason));
  return kmip_failure(operation, reason);
}

// read_attribute notes one attribute, if it is one that we asked for.
Status read_attribute(const TtlvItem& attribute, KmipAttributes* out) {
  REWRAP_ASSIGN(const std::string name,
                child_text(attribute, kmip::kAttributeName, kMaxAttributeNameLen));
  const auto read_enumeration = [&](std::optional<std::uint32_t>* value) -> Status {
    REWRAP_ASSIGN(*value, child_enumeration(attribute, kmip::kAttributeValue));
    return {};
  };
  const auto read_integer = [&](std::optional<std::int32_t>* value) -> Status {
    REWRAP_ASSIGN(*value, child_integer(attribute, kmip::kAttributeValue));
    return {};
  };
  if (name == kObjectTypeName) return read_enumeration(&out->object_type);
  if (name == kAlgorithmName) return read_enumeration(&out->algorithm);
  if (name == kLengthName) return read_integer(&out->length);
  if (name == kUsageName) return read_integer(&out->usage);
  if (name != kStateName) return {};
  std::optional<std::uint32_t> state;
  REWRAP_TRY(read_enumeration(&state));
  if (*state < static_cast<std::uint32_t>(KmipState::kPreActive) ||
      *state > static_cast<std::uint32_t>(KmipState::kDestroyedCompromised)) {
    return garbled_answer();
  }
  out->state = static_cast<KmipState>(*state);
  return {};
}

Status not_a_root_key() {
  return {Errc::kRefused, "the key on the KMIP server is not an AES-256 key in the clear",
          "use a key that rewrap root create made, or one like it"};
}

}  // namespace

Bytes discover_versions_request() {
  return request(Operation::kDiscoverVersions, [](TtlvWriter& /*all of them*/) {});
}

Bytes query_request() {
  return request(Operation::kQuery, [](TtlvWriter& out) {
    out.enumeration(kmip::kQueryFunction, kmip::kQueryOperations);
    out.enumeration(kmip::kQueryFunction, kmip::kQueryServerInformation);
  });
}

Bytes create_request(std::string_view name) {
  return request(Operation::kCreate, [name](TtlvWriter& out) {
    out.enumeration(kmip::kObjectType, kmip::kObjectTypeSymmetricKey);
    out.structure(kmip::kTemplateAttribute, [&] {
      write_attribute(out, kAlgorithmName,
                      [&] { out.enumeration(kmip::kAttributeValue, kmip::kAlgorithmAes); });
      write_attribute(out, kLengthName, [&] { out.integer(kmip::kAttributeValue, kKeyBits); });
      write_attribute(out, kUsageName, [&] {
        out.integer(kmip::kAttributeValue, kmip::kUsageWrapKey | kmip::kUsageUnwrapKey);
      });
      write_name_attribute(out, name);
    });
  });
}

Bytes locate_request(std::string_view name, std::int32_t max_items) {
  return request(Operation::kLocate, [=](TtlvWriter& out) {
    out.integer(kmip::kMaximumItems, max_items);
    write_name_attribute(out, name);
    write_attribute(out, kObjectTypeName,
                    [&] { out.enumeration(kmip::kAttributeValue, kmip::kObjectTypeSymmetricKey); });
  });
}

Bytes get_request(std::string_view id) {
  return request(Operation::kGet, [id](TtlvWriter& out) {
    out.text(kmip::kUniqueIdentifier, id);
    out.enumeration(kmip::kKeyFormatType, kmip::kKeyFormatRaw);
  });
}

Bytes get_attributes_request(std::string_view id) {
  return request(Operation::kGetAttributes, [id](TtlvWriter& out) {
    out.text(kmip::kUniqueIdentifier, id);
    for (const std::string_view name :
         {kObjectTypeName, kAlgorithmName, kLengthName, kUsageName, kStateName}) {
      out.text(kmip::kAttributeName, name);
    }
  });
}

Bytes activate_request(std::string_view id) { return request_for_id(Operation::kActivate, id); }

Bytes revoke_request(std::string_view id) {
  return request(Operation::kRevoke, [id](TtlvWriter& out) {
    out.text(kmip::kUniqueIdentifier, id);
    out.structure(kmip::kRevocationReason, [&] {
      out.enumeration(kmip::kRevocationReasonCode, kmip::kCessationOfOperation);
    });
  });
}

Bytes destroy_request(std::string_view id) { return request_for_id(Operation::kDestroy, id); }

Result<TtlvItem> payload_of(ByteView message, Operation operation) {
  REWRAP_ASSIGN(const TtlvItem root, parse_ttlv(message));
  if (root.tag != kmip::kResponseMessage || root.type != TtlvType::kStructure)
    return garbled_answer();
  REWRAP_TRY(check_header(root));
  REWRAP_ASSIGN(const TtlvItem item, child(root, kmip::kBatchItem, TtlvType::kStructure));
  REWRAP_ASSIGN(const std::uint32_t status, child_enumeration(item, kmip::kResultStatus));
  if (status == kmip::kOperationFailed) return failure_of(item, operation);
  if (status != kmip::kSuccess) {
    return Status(Errc::kUnsupported, "the KMIP server does not answer at once",
                  "turn asynchronous answers off for this client");
  }
  REWRAP_ASSIGN(const std::uint32_t answered, child_enumeration(item, kmip::kOperationTag));
  if (answered != static_cast<std::uint32_t>(operation)) return garbled_answer();
  return child(item, kmip::kResponsePayload, TtlvType::kStructure);
}

Result<std::vector<KmipVersion>> read_versions(const TtlvItem& payload) {
  std::vector<KmipVersion> versions;
  for (const TtlvItem& item : children(payload)) {
    if (item.tag != kmip::kProtocolVersion) continue;
    KmipVersion version;
    REWRAP_ASSIGN(version.major, child_integer(item, kmip::kProtocolVersionMajor));
    REWRAP_ASSIGN(version.minor, child_integer(item, kmip::kProtocolVersionMinor));
    if (versions.size() == kMaxVersions) return garbled_answer();
    versions.push_back(version);
  }
  return versions;
}

Result<KmipServerInfo> read_server_info(const TtlvItem& payload) {
  KmipServerInfo info;
  for (const TtlvItem& item : children(payload)) {
    if (item.tag != kmip::kOperationTag) continue;
    if (item.type != TtlvType::kEnumeration) return garbled_answer();
    info.operations.push_back(load_be32(item.value.data()));
  }
  if (!has_child(payload, kmip::kVendorIdentification)) return info;
  REWRAP_ASSIGN(const TtlvItem vendor,
                child(payload, kmip::kVendorIdentification, TtlvType::kTextString));
  // For people to read, in whatever language; what a terminal might obey is taken out.
  for (const std::uint8_t byte : vendor.value.first(std::min(vendor.value.size(), kMaxVendorLen)))
    info.vendor.push_back(byte >= ' ' && byte < 0x7f ? static_cast<char>(byte) : '?');
  return info;
}

Result<std::string> read_id(const TtlvItem& payload) { return as_id(payload); }

Result<std::vector<std::string>> read_ids(const TtlvItem& payload) {
  std::vector<std::string> ids;
  for (const TtlvItem& item : children(payload)) {
    if (item.tag != kmip::kUniqueIdentifier) continue;
    std::string id(item.value.begin(), item.value.end());
    if (item.type != TtlvType::kTextString || id.size() > kMaxKmipIdLen || !is_id(id))
      return garbled_answer();
    ids.push_back(std::move(id));
  }
  return ids;
}

Result<KmipAttributes> read_attributes(const TtlvItem& payload) {
  KmipAttributes attributes;
  for (const TtlvItem& item : children(payload)) {
    if (item.tag == kmip::kAttribute) REWRAP_TRY(read_attribute(item, &attributes));
  }
  return attributes;
}

Result<ByteView> read_key(const TtlvItem& payload, std::string_view id) {
  REWRAP_ASSIGN(const std::uint32_t type, child_enumeration(payload, kmip::kObjectType));
  REWRAP_ASSIGN(const std::string id_seen, as_id(payload));
  if (id_seen != id) return garbled_answer();
  if (type != kmip::kObjectTypeSymmetricKey) return not_a_root_key();
  REWRAP_ASSIGN(const TtlvItem key, child(payload, kmip::kSymmetricKey, TtlvType::kStructure));
  REWRAP_ASSIGN(const TtlvItem block, child(key, kmip::kKeyBlock, TtlvType::kStructure));
  REWRAP_ASSIGN(const std::uint32_t format, child_enumeration(block, kmip::kKeyFormatType));
  REWRAP_ASSIGN(const std::uint32_t algorithm,
                child_enumeration(block, kmip::kCryptographicAlgorithm));
  if (has_child(block, kmip::kKeyWrappingData)) return not_a_root_key();
  if (format != kmip::kKeyFormatRaw || algorithm != kmip::kAlgorithmAes) return not_a_root_key();
  REWRAP_ASSIGN(const TtlvItem value, child(block, kmip::kKeyValue, TtlvType::kStructure));
  REWRAP_ASSIGN(const TtlvItem material, child(value, kmip::kKeyMaterial, TtlvType::kByteString));
  if (material.value.size() != kKmipKeyLen) return not_a_root_key();
  return material.value;
}

}  // namespace rewrap
