// AWS KMS configurations as rows of the service's database, and what reaches AWS with one.
#ifndef REWRAP_API_SERVICE_AWS_KMS_STORE_H_
#define REWRAP_API_SERVICE_AWS_KMS_STORE_H_

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/service/aws_kms.h"
#include "api/service/database.h"
#include "api/service/root_access.h"
#include "api/service/secret_box.h"

namespace rewrap {

// A configuration with its secrets. Secrets that were never set are empty.
struct AwsKmsRow {
  AwsKmsConfiguration shown;
  SecretBuffer secret_access_key;
  SecretBuffer proxy_password;
};

Result<std::vector<AwsKmsConfiguration>> list_aws_kms(Database* database);
// Errors: kNotFound
Result<AwsKmsConfiguration> find_aws_kms(Database* database, const Uuid& uuid);
Result<AwsKmsConfiguration> find_aws_kms_of(Database* database, const Uuid& keyset);

// read_secrets gives the row of a configuration. Errors: kNotFound; kDenied there is no service key;
// kIntegrity
Result<AwsKmsRow> read_secrets(Database* database, const SecretBox* box, const Uuid& uuid);

// insert_aws_kms stores a new configuration. update_aws_kms changes what a person may change of one;
// its key's id belongs to the jobs that move the keyset.
// Errors: kDenied there is no service key; kAlreadyExists the keyset has one; kNotFound
Status insert_aws_kms(Database* database, const SecretBox* box, const AwsKmsRow& row);
Status update_aws_kms(Database* database, const SecretBox* box, const AwsKmsRow& row);

// parse_encryption_context reads a JSON object of strings; empty text gives an empty map.
// Errors: kInvalidArgument
Result<std::map<std::string, std::string>> parse_encryption_context(const std::string& text);

// make_target puts together what reaches the key that `uri` names (root_resolver.h): which key, where,
// and with which context is for the URI to say, how to get there for the row. copy_target leaves the
// row as it is. Errors: kInvalidArgument
Result<AwsTarget> make_target(AwsKmsRow row, const std::string& uri);
Result<AwsTarget> copy_target(const AwsKmsRow& row, const std::string& uri);

}  // namespace rewrap

#endif  // REWRAP_API_SERVICE_AWS_KMS_STORE_H_
