// What clients ask first: versions, methods, the cluster, and who they are; and what they ask beside,
// of drives and features that are not here.
#include <algorithm>
#include <array>
#include <boost/json/array.hpp>
#include <string_view>
#include <utility>

#include "api/element/choices.h"
#include "api/element/methods.h"
#include "api/element/records.h"

namespace rewrap::element {
namespace {

namespace json = boost::json;

struct RoleRow {
  Role role;
  std::array<const char*, 3> access;  // Element's words; null: no more
};
constexpr std::array kAccess = {
    RoleRow{Role::kAdmin, {"administrator"}},
    RoleRow{Role::kRekeyOperator, {"read", "reporting", "write"}},
    RoleRow{Role::kReadOnly, {"read", "reporting"}},
    RoleRow{Role::kAudit, {"read", "reporting"}},
};

constexpr const char* kDriveState = "disabled";  // there are no drives
constexpr std::array<std::string_view, 4> kFeatures = {"Vvols", "SnapMirror", "Fips", "FipsDrives"};

// is_feature compares without case; `word` is in lower case.
bool is_feature(std::string_view name, std::string_view word) {
  return std::equal(name.begin(), name.end(), word.begin(), word.end(), [](char a, char b) {
    return (a >= 'A' && a <= 'Z' ? static_cast<char>(a - 'A' + 'a') : a) == b;
  });
}

json::array access_of(Role role) {
  json::array access;
  for (const RoleRow& row : kAccess) {
    if (row.role != role) continue;
    for (const char* word : row.access)
      if (word != nullptr) access.emplace_back(word);
  }
  return access;
}

}  // namespace

Outcome get_api(Call& /*call*/) {
  json::array versions;
  for (const std::string_view version : kVersions) versions.emplace_back(version);
  json::array names;
  for (const Method& method : methods()) names.emplace_back(method.name);
  json::object result;
  result[kCurrentVersion] = std::move(names);
  result["currentVersion"] = kCurrentVersion;
  result["supportedVersions"] = std::move(versions);
  return result;
}

Outcome get_cluster_info(Call& call) {
  const auto cluster = call.backend->cluster();
  if (!cluster.ok()) return error_for(cluster.failure());
  const auto encryption = call.backend->encryption();
  if (!encryption.ok()) return error_for(encryption.failure());
  const std::string uuid = format_uuid(cluster->uuid);
  const json::array schemes{kProtectionScheme};
  // There are no drives, and no addresses but the one that was asked.
  json::object info{{"attributes", json::object()},
                    {"defaultProtectionScheme", kProtectionScheme},
                    {"enabledProtectionSchemes", schemes},
                    {"encryptionAtRestState", kDriveState},
                    {"ensemble", json::array()},
                    {"mvip", ""},
                    {"mvipInterface", ""},
                    {"mvipNodeID", 1},
                    {"mvipVlanTag", "0"},
                    {"name", cluster->name},
                    {"repCount", 1},
                    {"softwareEncryptionAtRestState", encryption->enabled ? "enabled" : "disabled"},
                    {"supportedProtectionSchemes", schemes},
                    {"svip", ""},
                    {"svipInterface", ""},
                    {"svipNodeID", 1},
                    {"svipVlanTag", "0"},
                    {"uniqueID", uuid.substr(0, 4)},
                    {"uuid", uuid}};
  json::object result;
  result["clusterInfo"] = std::move(info);
  return result;
}

Outcome get_cluster_version_info(Call& call) {
  const auto nodes = call.backend->nodes();
  if (!nodes.ok()) return error_for(nodes.failure());
  json::array versions;
  for (std::size_t i = 0; i < nodes->size(); ++i)
    versions.push_back(json::object{
        {"nodeID", i + 1}, {"nodeInternalRevision", ""}, {"nodeVersion", kClusterVersion}});
  json::object software{{"currentVersion", kClusterVersion},
                        {"nodeID", 0},
                        {"packageName", ""},
                        {"pendingVersion", kClusterVersion},
                        {"startTime", ""}};
  return json::object{{"clusterAPIVersion", kCurrentVersion},
                      {"clusterVersion", kClusterVersion},
                      {"clusterVersionInfo", std::move(versions)},
                      {"softwareVersionInfo", std::move(software)}};
}

Outcome get_current_cluster_admin(Call& call) {
  json::object admin{{"access", access_of(call.account.role)},
                     {"attributes", json::object()},
                     {"authMethod", "Cluster"},
                     {"clusterAdminID", call.account.id},
                     {"username", call.account.name}};
  json::object result;
  result["clusterAdmin"] = std::move(admin);
  return result;
}

Outcome get_drive_encryption(Call& /*call*/) { return json::object{{"state", kDriveState}}; }

Outcome enable_drive_encryption(Call& /*call*/) {
  return not_permitted("Encryption of drives is not supported: there are none here.");
}

// It is disabled.
Outcome disable_drive_encryption(Call& /*call*/) { return json::object(); }

Outcome get_feature_status(Call& call) {
  const auto wanted = call.params.text("feature");
  json::array features;
  for (const std::string_view name : kFeatures)
    if (!wanted || is_feature(name, *wanted))
      features.push_back(json::object{{"enabled", false}, {"feature", name}});
  json::object result;
  result["features"] = std::move(features);
  return result;
}

Outcome enable_feature(Call& /*call*/) {
  return not_permitted("The feature is not here: only software encryption at rest is.");
}

}  // namespace rewrap::element
