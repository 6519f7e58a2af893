// The table aws_kms.
#include "api/service/aws_kms_store.h"

#include <boost/json.hpp>

#include "api/service/root_resolver.h"

namespace rewrap {
namespace {

constexpr std::size_t kMaxEncryptionContextLen = 8192;

#define REWRAP_AWS_KMS_COLUMNS                                                               \
  "uuid, keyset_uuid, keyset, region, key_id, access_key_id, service, default_domain, host," \
  " port, polling_period, timeout, verify, verify_host, verify_ip, proxy_type, proxy_host,"  \
  " proxy_port, proxy_username, encryption_context, created_at"

template <typename T>
std::optional<T> optional_of(Query* row) {
  const std::optional<std::int64_t> value = row->optional_i64();
  if (!value) return std::nullopt;
  return static_cast<T>(*value);
}

AwsKmsConfiguration read_row(Query* row) {
  AwsKmsConfiguration shown;
  shown.uuid = row->uuid();
  shown.keyset_uuid = row->uuid();
  shown.keyset = row->text();
  shown.region = row->text();
  shown.key_id = row->text();
  shown.access_key_id = row->text();
  shown.service = row->text();
  shown.default_domain = row->text();
  shown.host = row->text();
  shown.port = optional_of<std::uint16_t>(row);
  shown.polling_period = optional_of<std::uint32_t>(row);
  shown.timeout = optional_of<std::uint32_t>(row);
  shown.verify = optional_of<bool>(row);
  shown.verify_host = optional_of<bool>(row);
  shown.verify_ip = optional_of<bool>(row);
  shown.proxy_type = optional_of<ProxyType>(row);
  shown.proxy_host = row->text();
  shown.proxy_port = optional_of<std::uint16_t>(row);
  shown.proxy_username = row->text();
  shown.encryption_context = row->text();
  shown.created_at = row->u64();
  return shown;
}

Result<AwsKmsConfiguration> read_one(Query* query) {
  REWRAP_ASSIGN(const bool found, query->next());
  if (!found) return Status(Errc::kNotFound, "there is no such AWS KMS configuration");
  return read_row(query);
}

SecretPlace place_of(const Uuid& uuid, std::string_view column) {
  return {"aws_kms", uuid, column};
}

// There is no buffer of no bytes to copy into.
Result<SecretBuffer> copy_secret(const SecretBuffer& secret) {
  if (secret.empty()) return SecretBuffer();
  return SecretBuffer::copy_of(secret.expose_secret());
}

Status no_service_key() {
  return {Errc::kDenied, "no service key guards stored secrets",
          "name a root for it in the configuration of the service"};
}

struct SealedSecrets {
  Bytes secret_access_key;
  Bytes proxy_password;
};

Result<SealedSecrets> seal(const SecretBox* box, const AwsKmsRow& row) {
  if (box == nullptr) return no_service_key();
  const Uuid& uuid = row.shown.uuid;
  SealedSecrets sealed;
  REWRAP_ASSIGN(sealed.secret_access_key, box->seal(place_of(uuid, "secret_access_key"),
                                                    row.secret_access_key.expose_secret()));
  REWRAP_ASSIGN(sealed.proxy_password,
                box->seal(place_of(uuid, "proxy_password"), row.proxy_password.expose_secret()));
  return sealed;
}

}  // namespace

Result<std::vector<AwsKmsConfiguration>> list_aws_kms(Database* database) {
  REWRAP_ASSIGN(Query query,
                database->query("SELECT " REWRAP_AWS_KMS_COLUMNS " FROM aws_kms ORDER BY keyset"));
  std::vector<AwsKmsConfiguration> list;
  for (;;) {
    REWRAP_ASSIGN(const bool found, query.next());
    if (!found) return list;
    list.push_back(read_row(&query));
  }
}

Result<AwsKmsConfiguration> find_aws_kms(Database* database, const Uuid& uuid) {
  REWRAP_ASSIGN(
      Query query,
      database->query("SELECT " REWRAP_AWS_KMS_COLUMNS " FROM aws_kms WHERE uuid = ?", uuid));
  return read_one(&query);
}

Result<AwsKmsConfiguration> find_aws_kms_of(Database* database, const Uuid& keyset) {
  REWRAP_ASSIGN(Query query, database->query("SELECT " REWRAP_AWS_KMS_COLUMNS
                                             " FROM aws_kms WHERE keyset_uuid = ?",
                                             keyset));
  return read_one(&query);
}

Result<AwsKmsRow> read_secrets(Database* database, const SecretBox* box, const Uuid& uuid) {
  if (box == nullptr) return no_service_key();
  AwsKmsRow row;
  REWRAP_ASSIGN(row.shown, find_aws_kms(database, uuid));
  REWRAP_ASSIGN(Query query,
                database->query("SELECT sealed_secret_access_key, sealed_proxy_password"
                                " FROM aws_kms WHERE uuid = ?",
                                uuid));
  REWRAP_ASSIGN(const bool found, query.next());
  if (!found) return Status(Errc::kNotFound, "there is no such AWS KMS configuration");
  const Bytes key = query.blob();
  const Bytes password = query.blob();
  REWRAP_ASSIGN(row.secret_access_key, box->unseal(place_of(uuid, "secret_access_key"), key));
  REWRAP_ASSIGN(row.proxy_password, box->unseal(place_of(uuid, "proxy_password"), password));
  return row;
}

Status insert_aws_kms(Database* database, const SecretBox* box, const AwsKmsRow& row) {
  REWRAP_ASSIGN(const SealedSecrets sealed, seal(box, row));
  const AwsKmsConfiguration& shown = row.shown;
  return database->run(
      "INSERT INTO aws_kms(uuid, keyset_uuid, keyset, region, key_id, access_key_id, service,"
      " default_domain, host, port, polling_period, timeout, verify, verify_host, verify_ip,"
      " proxy_type, proxy_host, proxy_port, proxy_username, encryption_context, created_at,"
      " sealed_secret_access_key, sealed_proxy_password)"
      " VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
      shown.uuid, shown.keyset_uuid, shown.keyset, shown.region, shown.key_id, shown.access_key_id,
      shown.service, shown.default_domain, shown.host, shown.port, shown.polling_period,
      shown.timeout, shown.verify, shown.verify_host, shown.verify_ip, shown.proxy_type,
      shown.proxy_host, shown.proxy_port, shown.proxy_username, shown.encryption_context,
      shown.created_at, sealed.secret_access_key, sealed.proxy_password);
}

Status update_aws_kms(Database* database, const SecretBox* box, const AwsKmsRow& row) {
  REWRAP_ASSIGN(const SealedSecrets sealed, seal(box, row));
  const AwsKmsConfiguration& shown = row.shown;
  REWRAP_TRY(database->run(
      "UPDATE aws_kms SET region = ?, access_key_id = ?, service = ?, default_domain = ?, host = ?,"
      " port = ?, polling_period = ?, timeout = ?, verify = ?, verify_host = ?, verify_ip = ?,"
      " proxy_type = ?, proxy_host = ?, proxy_port = ?, proxy_username = ?, encryption_context = ?,"
      " sealed_secret_access_key = ?, sealed_proxy_password = ? WHERE uuid = ?",
      shown.region, shown.access_key_id, shown.service, shown.default_domain, shown.host,
      shown.port, shown.polling_period, shown.timeout, shown.verify, shown.verify_host,
      shown.verify_ip, shown.proxy_type, shown.proxy_host, shown.proxy_port, shown.proxy_username,
      shown.encryption_context, sealed.secret_access_key, sealed.proxy_password, shown.uuid));
  if (database->num_changed() != 0) return {};
  return {Errc::kNotFound, "there is no such AWS KMS configuration"};
}

Result<std::map<std::string, std::string>> parse_encryption_context(const std::string& text) {
  std::map<std::string, std::string> context;
  if (text.empty()) return context;
  const Status wrong(Errc::kInvalidArgument,
                     "an encryption context is a JSON object of strings, at most 8 KiB");
  if (text.size() > kMaxEncryptionContextLen) return wrong;
  boost::json::error_code error;
  boost::json::parse_options options;
  options.max_depth = 2;
  const boost::json::value value = boost::json::parse(text, error, {}, options);
  const boost::json::object* object = error ? nullptr : value.if_object();
  if (object == nullptr) return wrong;
  for (const auto& [name, member] : *object) {
    const boost::json::string* string = member.if_string();
    if (string == nullptr) return wrong;
    context.emplace(std::string(name), std::string(*string));
  }
  return context;
}

Result<AwsTarget> copy_target(const AwsKmsRow& row, const std::string& uri) {
  AwsKmsRow copy;
  copy.shown = row.shown;
  REWRAP_ASSIGN(copy.secret_access_key, copy_secret(row.secret_access_key));
  REWRAP_ASSIGN(copy.proxy_password, copy_secret(row.proxy_password));
  return make_target(std::move(copy), uri);
}

Result<AwsTarget> make_target(AwsKmsRow row, const std::string& uri) {
  const AwsKmsConfiguration& shown = row.shown;
  REWRAP_ASSIGN(AwsKeyName name, read_aws_kms_uri(uri));
  AwsTarget target;
  target.uri = uri;
  target.key_id = std::move(name.key_id);
  target.region = name.region.empty() ? shown.region : name.region;
  target.domain = shown.default_domain;
  if (!shown.host.empty()) {
    target.endpoint = "https://" + shown.host;
    if (shown.port) target.endpoint += ":" + std::to_string(*shown.port);
  }
  if (!shown.proxy_host.empty()) {
    target.proxy = shown.proxy_type == ProxyType::kHttps ? "https://" : "http://";
    target.proxy += shown.proxy_host;
    if (shown.proxy_port) target.proxy += ":" + std::to_string(*shown.proxy_port);
  }
  REWRAP_ASSIGN(
      target.encryption_context,
      parse_encryption_context(name.encryption_context.value_or(shown.encryption_context)));
  if (shown.timeout) target.timeout_seconds = *shown.timeout;
  target.verify_host = shown.verify_host.value_or(true);
  target.access_key_id = shown.access_key_id;
  target.secret_access_key = std::move(row.secret_access_key);
  target.proxy_user = shown.proxy_username;
  target.proxy_password = std::move(row.proxy_password);
  return target;
}

}  // namespace rewrap
