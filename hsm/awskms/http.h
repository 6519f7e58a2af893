// One signed HTTPS request by libcurl, each on a connection of its own: nothing of a request or an
// answer outlives it. Any thread, each its own requests.
//
// What is wiped: everything that libcurl allocates is overwritten when it is freed (the secret access
// key, headers, buffers); OpenSSL overwrites what it has decrypted when it was handed on; request and
// answer lie in locked memory. What is not: while a request runs, copies are in libcurl's and OpenSSL's
// ordinary memory, and the keys that libcurl derives from the secret access key for one day and one
// region may stay on the stack until it is used again.
#ifndef REWRAP_HSM_AWSKMS_HTTP_H_
#define REWRAP_HSM_AWSKMS_HTTP_H_

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "engine/base/bytes.h"
#include "engine/base/secret_buffer.h"
#include "engine/base/status.h"
#include "hsm/awskms/config.h"
#include "hsm/awskms/credentials.h"

namespace rewrap {

inline constexpr std::size_t kMaxKmsAnswerLen = std::size_t{64} << 10;

struct KmsRequest {
  std::string_view target;  // X-Amz-Target
  ByteView body;
  std::chrono::milliseconds timeout{0};
};

struct HttpAnswer {
  int curl_code = 0;         // libcurl's CURLcode; the rest means something only if it is 0
  bool is_too_long = false;  // the body has more than kMaxKmsAnswerLen bytes; it was not read on
  int status = 0;
  std::string error_type;  // X-Amzn-ErrorType
  std::int64_t date = -1;  // the Date header, seconds since 1970; -1: none
  SecretBuffer body;       // empty: none
};

// check_environment refuses to go on where the environment tells TLS libraries to write session keys
// into a file. Errors: kRefused
Status check_environment();

// post sends the request, signed by AWS Signature Version 4, and gives the answer, whatever it is. No
// redirect is followed, no setting taken from the environment.
// Errors: kExhausted  no memory to lock
//         kInternal   this libcurl cannot do it
Result<HttpAnswer> post(const AwsKmsConfig& config, const AwsCredentials& credentials,
                        const KmsRequest& request);

}  // namespace rewrap

#endif  // REWRAP_HSM_AWSKMS_HTTP_H_
