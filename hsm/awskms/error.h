// What a KMS or the way to it says when something fails, as Status: one table. Pure, any thread.
#ifndef REWRAP_HSM_AWSKMS_ERROR_H_
#define REWRAP_HSM_AWSKMS_ERROR_H_

#include <cstdint>
#include <string_view>

#include "engine/base/status.h"

namespace rewrap {

struct KmsFailure {
  Status status;
  bool is_transient = false;  // the same request may succeed a moment later
};

// judge_kms_error: `name` is the exception that the KMS names (with or without the prefix up to '#' and
// what follows a ':'), `http_status` the answer's. kIntegrity stands for a ciphertext that does not open,
// kConflict for one that was made by another key; the root knows what these mean.
KmsFailure judge_kms_error(std::string_view name, int http_status, Literal call);

// judge_curl_error: `code` is libcurl's CURLcode, not 0.
KmsFailure judge_curl_error(int code);

// judge_clock replaces a refused signature if the KMS's clock, in seconds since 1970, differs from
// `now` by more than it tolerates. `kms_time` < 0: not known.
KmsFailure judge_clock(KmsFailure failure, std::int64_t kms_time, std::int64_t now);

// key_state_error is the failure that a key in this state (as DescribeKey names it) would give; ok for
// "Enabled".
Status key_state_error(std::string_view state);

}  // namespace rewrap

#endif  // REWRAP_HSM_AWSKMS_ERROR_H_
