// Names, types and which parameters are required: all as documented. Permissions are not.
#include "api/element/methods.h"

#include <algorithm>
#include <array>

namespace rewrap::element {
namespace {

constexpr auto kAnyone = std::nullopt;
constexpr auto kRead = Permission::kRead;
constexpr auto kRekey = Permission::kRekey;
constexpr auto kConfigure = Permission::kConfigure;

constexpr Param optional(std::string_view name, ParamType type) { return {name, type}; }
constexpr Param required(std::string_view name, ParamType type) { return {name, type, true}; }
constexpr Param port(std::string_view name) {
  return {name, ParamType::kInteger, false, 1, 65'535};
}
constexpr Param management(std::string_view name) {
  Param param = optional(name, ParamType::kWord);
  param.values = "internal,external";
  return param;
}

constexpr Param feature(bool is_required) {
  Param param{"feature", ParamType::kWord, is_required};
  param.values = "vvols,snapmirror,fips,fipsdrives";
  return param;
}

constexpr ParamTable kNone{};
constexpr std::array kFeatureParams = {feature(true)};
constexpr std::array kFeaturesParams = {feature(false)};
constexpr std::array kDriveParams = {optional("keyProviderID", ParamType::kInteger)};
constexpr std::array kRekeyParams = {
    management("keyManagementType"),
    optional("keyProviderID", ParamType::kInteger),
};
constexpr std::array kResultParams = {
    required("asyncHandle", ParamType::kInteger),
    optional("keepResult", ParamType::kBoolean),
};
constexpr std::array kResultsParams = {optional("asyncResultTypes", ParamType::kTextArray)};
constexpr std::array kKeyPairParams = {
    optional("commonName", ParamType::kText),   optional("organization", ParamType::kText),
    optional("locality", ParamType::kText),     optional("organizationalUnit", ParamType::kText),
    optional("state", ParamType::kText),        optional("country", ParamType::kText),
    optional("emailAddress", ParamType::kText),
};
constexpr std::array kNewProviderParams = {required("keyProviderName", ParamType::kText)};
constexpr std::array kProviderParams = {required("keyProviderID", ParamType::kInteger)};
constexpr std::array kProvidersParams = {
    optional("keyProviderIsActive", ParamType::kBoolean),
    optional("kmipKeyProviderHasServerAssigned", ParamType::kBoolean),
};
constexpr std::array kNewServerParams = {
    required("kmipCaCertificate", ParamType::kPem),
    required("kmipClientCertificate", ParamType::kPem),
    required("kmipKeyServerHostnames", ParamType::kTextArray),
    required("kmipKeyServerName", ParamType::kText),
    port("kmipKeyServerPort"),
};
constexpr std::array kChangedServerParams = {
    required("keyServerID", ParamType::kInteger),
    optional("kmipCaCertificate", ParamType::kPem),
    optional("kmipClientCertificate", ParamType::kPem),
    optional("kmipKeyServerHostnames", ParamType::kTextArray),
    optional("kmipKeyServerName", ParamType::kText),
    port("kmipKeyServerPort"),
};
constexpr std::array kServerParams = {required("keyServerID", ParamType::kInteger)};
constexpr std::array kServersParams = {
    optional("keyProviderID", ParamType::kInteger),
    optional("kmipAssignedProviderIsActive", ParamType::kBoolean),
    optional("kmipHasProviderAssigned", ParamType::kBoolean),
};
constexpr std::array kAssignParams = {
    required("keyProviderID", ParamType::kInteger),
    required("keyServerID", ParamType::kInteger),
};

constexpr std::array kMethods = {
    Method{"GetAPI", kAnyone, Effect::kReads, kNone, get_api},
    Method{"GetClusterInfo", kRead, Effect::kReads, kNone, get_cluster_info},
    Method{"GetClusterVersionInfo", kRead, Effect::kReads, kNone, get_cluster_version_info},
    Method{"GetCurrentClusterAdmin", kAnyone, Effect::kReads, kNone, get_current_cluster_admin},

    // There is nothing to switch, so these change nothing.
    Method{"GetEncryptionAtRestInfo", kRead, Effect::kReads, kNone, get_drive_encryption},
    Method{"EnableEncryptionAtRest", kConfigure, Effect::kReads, kDriveParams,
           enable_drive_encryption},
    Method{"DisableEncryptionAtRest", kConfigure, Effect::kReads, kNone, disable_drive_encryption},
    Method{"GetFeatureStatus", kRead, Effect::kReads, kFeaturesParams, get_feature_status},
    Method{"EnableFeature", kConfigure, Effect::kReads, kFeatureParams, enable_feature},

    Method{"RekeySoftwareEncryptionAtRestMasterKey", kRekey, Effect::kChanges, kRekeyParams,
           rekey_master_key},
    Method{"GetSoftwareEncryptionAtRestInfo", kRead, Effect::kReads, kNone,
           get_software_encryption},
    Method{"GetAsyncResult", kRead, Effect::kReads, kResultParams, get_async_result},
    Method{"ListAsyncResults", kRead, Effect::kReads, kResultsParams, list_async_results},

    Method{"CreatePublicPrivateKeyPair", kConfigure, Effect::kChanges, kKeyPairParams,
           create_key_pair},
    Method{"GetClientCertificateSignRequest", kRead, Effect::kReads, kNone,
           get_certificate_request},
    Method{"CreateKeyProviderKmip", kConfigure, Effect::kChanges, kNewProviderParams,
           create_provider},
    Method{"DeleteKeyProviderKmip", kConfigure, Effect::kChanges, kProviderParams, delete_provider},
    Method{"GetKeyProviderKmip", kRead, Effect::kReads, kProviderParams, get_provider},
    Method{"ListKeyProvidersKmip", kRead, Effect::kReads, kProvidersParams, list_providers},
    Method{"TestKeyProviderKmip", kConfigure, Effect::kConnects, kProviderParams, test_provider},
    Method{"CreateKeyServerKmip", kConfigure, Effect::kChanges, kNewServerParams, create_server},
    Method{"ModifyKeyServerKmip", kConfigure, Effect::kChanges, kChangedServerParams,
           modify_server},
    Method{"DeleteKeyServerKmip", kConfigure, Effect::kChanges, kServerParams, delete_server},
    Method{"GetKeyServerKmip", kRead, Effect::kReads, kServerParams, get_server},
    Method{"ListKeyServersKmip", kRead, Effect::kReads, kServersParams, list_servers},
    Method{"TestKeyServerKmip", kConfigure, Effect::kConnects, kServerParams, test_server},
    Method{"AddKeyServerToProviderKmip", kConfigure, Effect::kChanges, kAssignParams, add_server},
    Method{"RemoveKeyServerFromProviderKmip", kConfigure, Effect::kChanges, kServerParams,
           remove_server},
};

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

}  // namespace

std::span<const Method> methods() { return kMethods; }

const Method* find_method(std::string_view name) {
  const auto* found = std::find_if(kMethods.begin(), kMethods.end(), [&](const Method& method) {
    return std::equal(name.begin(), name.end(), method.name.begin(), method.name.end(),
                      [](char a, char b) { return lower(a) == lower(b); });
  });
  return found == kMethods.end() ? nullptr : found;
}

}  // namespace rewrap::element
