// awskms: URIs. Pure but for the name of the service manager's credentials directory; any thread.
#ifndef REWRAP_HSM_AWSKMS_URI_H_
#define REWRAP_HSM_AWSKMS_URI_H_

#include <string>

#include "engine/base/status.h"
#include "hsm/awskms/config.h"

namespace rewrap {

// AwsKmsUri holds what the URI names. It never holds a secret.
struct AwsKmsUri {
  AwsKmsConfig config;
  std::string credentials_file;
  std::string profile = "default";
};

// parse_awskms_uri reads `awskms:KEY?name=value&...`. KEY is a key's ARN, id, alias/NAME or an alias'
// ARN; attributes, each at most once and with a value, percent-encoded where RFC 3986 wants it:
//   credentials=file:/absolute/path   a shared credentials file, or credential:NAME, one that the
//                                     service manager passes on (see pin_file_of); required
//   region=eu-central-1               required unless KEY is an ARN
//   profile=NAME                      the section of the credentials; else default
//   endpoint=https://HOST[:PORT]      a private endpoint instead of AWS's public one
//   ca=file:/absolute/path            PEM file of the CAs that the endpoint is checked against
//   proxy=http://HOST:PORT            without it none is used
//   timeout=SECONDS                   1 to 300 for one request; 10 without it
//   encryption-context=NAME=VALUE,NAME=VALUE  added to what is bound to each ciphertext
// Errors: kInvalidArgument  the message and the hint say which rule was broken
//         kNotFound         credential:NAME, and this process was given no credentials
Result<AwsKmsUri> parse_awskms_uri(const std::string& uri);

}  // namespace rewrap

#endif  // REWRAP_HSM_AWSKMS_URI_H_
