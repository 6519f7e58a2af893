// The tags and enumerations of KMIP 1.2 that rewrap uses (KMIP 1.2, 9.1.3).
#ifndef REWRAP_HSM_KMIP_PROTOCOL_H_
#define REWRAP_HSM_KMIP_PROTOCOL_H_

#include <cstdint>

namespace rewrap::kmip {

inline constexpr std::uint32_t kAttribute = 0x420008;
inline constexpr std::uint32_t kAttributeName = 0x42000A;
inline constexpr std::uint32_t kAttributeValue = 0x42000B;
inline constexpr std::uint32_t kBatchCount = 0x42000D;
inline constexpr std::uint32_t kBatchItem = 0x42000F;
inline constexpr std::uint32_t kCryptographicAlgorithm = 0x420028;
inline constexpr std::uint32_t kCryptographicLength = 0x42002A;
inline constexpr std::uint32_t kKeyBlock = 0x420040;
inline constexpr std::uint32_t kKeyFormatType = 0x420042;
inline constexpr std::uint32_t kKeyMaterial = 0x420043;
inline constexpr std::uint32_t kKeyValue = 0x420045;
inline constexpr std::uint32_t kKeyWrappingData = 0x420046;
inline constexpr std::uint32_t kMaximumItems = 0x42004F;
inline constexpr std::uint32_t kMaximumResponseSize = 0x420050;
inline constexpr std::uint32_t kNameType = 0x420054;
inline constexpr std::uint32_t kNameValue = 0x420055;
inline constexpr std::uint32_t kObjectType = 0x420057;
inline constexpr std::uint32_t kOperationTag = 0x42005C;
inline constexpr std::uint32_t kProtocolVersion = 0x420069;
inline constexpr std::uint32_t kProtocolVersionMajor = 0x42006A;
inline constexpr std::uint32_t kProtocolVersionMinor = 0x42006B;
inline constexpr std::uint32_t kQueryFunction = 0x420074;
inline constexpr std::uint32_t kRequestHeader = 0x420077;
inline constexpr std::uint32_t kRequestMessage = 0x420078;
inline constexpr std::uint32_t kRequestPayload = 0x420079;
inline constexpr std::uint32_t kResponseHeader = 0x42007A;
inline constexpr std::uint32_t kResponseMessage = 0x42007B;
inline constexpr std::uint32_t kResponsePayload = 0x42007C;
inline constexpr std::uint32_t kResultReason = 0x42007E;
inline constexpr std::uint32_t kResultStatus = 0x42007F;
inline constexpr std::uint32_t kRevocationReason = 0x420081;
inline constexpr std::uint32_t kRevocationReasonCode = 0x420082;
inline constexpr std::uint32_t kSymmetricKey = 0x42008F;
inline constexpr std::uint32_t kTemplateAttribute = 0x420091;
inline constexpr std::uint32_t kUniqueIdentifier = 0x420094;
inline constexpr std::uint32_t kVendorIdentification = 0x42009D;

// Operation, 9.1.3.2.27.
enum class Operation : std::uint32_t {
  kCreate = 0x01,
  kLocate = 0x08,
  kGet = 0x0A,
  kGetAttributes = 0x0B,
  kActivate = 0x12,
  kRevoke = 0x13,
  kDestroy = 0x14,
  kQuery = 0x18,
  kDiscoverVersions = 0x1E,
};

// Result Status, 9.1.3.2.28.
inline constexpr std::uint32_t kSuccess = 0;
inline constexpr std::uint32_t kOperationFailed = 1;

inline constexpr std::uint32_t kObjectTypeSymmetricKey = 2;
inline constexpr std::uint32_t kAlgorithmAes = 3;
inline constexpr std::uint32_t kKeyFormatRaw = 1;
inline constexpr std::uint32_t kNameTypeText = 1;  // Uninterpreted Text String
inline constexpr std::uint32_t kQueryOperations = 1;
inline constexpr std::uint32_t kQueryServerInformation = 3;
inline constexpr std::uint32_t kCessationOfOperation = 6;  // Revocation Reason Code
inline constexpr std::int32_t kUsageWrapKey = 0x10;        // Cryptographic Usage Mask
inline constexpr std::int32_t kUsageUnwrapKey = 0x20;

}  // namespace rewrap::kmip

#endif  // REWRAP_HSM_KMIP_PROTOCOL_H_
