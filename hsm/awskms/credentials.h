// AWS access keys: where they come from. Secrets are in locked memory only.
#ifndef REWRAP_HSM_AWSKMS_CREDENTIALS_H_
#define REWRAP_HSM_AWSKMS_CREDENTIALS_H_

#include <functional>
#include <string>
#include <string_view>

#include "engine/base/bytes.h"
#include "engine/base/secret_buffer.h"
#include "engine/base/status.h"

namespace rewrap {

// One thread at a time.
struct AwsCredentials {
  std::string access_key_id;  // no secret: it is in the header of each request
  SecretBuffer secret_access_key;
  SecretBuffer session_token;  // empty: the access key is a long-lived one
  std::string proxy_user;      // for config.proxy; empty: none
  SecretBuffer proxy_password;
};

// AwsCredentialSource is asked before each request, so that keys which were renewed meanwhile are used.
// Nothing is kept between requests.
using AwsCredentialSource = std::function<Result<AwsCredentials>()>;

// check_credentials: each part is there and can go into a header.
// Errors: kInvalidArgument
Status check_credentials(const AwsCredentials& credentials);

// parse_credentials reads the section [profile] of a shared credentials file (as `aws configure` writes
// it): aws_access_key_id, aws_secret_access_key, aws_session_token. Other names are passed over.
// Errors: kNotFound         there is no such section
//         kInvalidArgument  the section lacks a part, says a part twice, or a part cannot be one
Result<AwsCredentials> parse_credentials(ByteView text, std::string_view profile);

// credentials_from_file reads the file at `path` each time; see read_credentials_file.
// Errors of the source: as read_credentials_file and parse_credentials; hint names the next step
AwsCredentialSource credentials_from_file(std::string path, std::string profile);

// credentials_from_memory gives copies of `credentials`, for programs that keep them elsewhere.
AwsCredentialSource credentials_from_memory(AwsCredentials credentials);

}  // namespace rewrap

#endif  // REWRAP_HSM_AWSKMS_CREDENTIALS_H_
