// What a client of AWS KMS has to know to reach one key. Data without secrets, any thread.
#ifndef REWRAP_HSM_AWSKMS_CONFIG_H_
#define REWRAP_HSM_AWSKMS_CONFIG_H_

#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <string>

#include "engine/base/status.h"

namespace rewrap {

// EncryptionContext is what KMS binds to a ciphertext (as associated data) and writes into its audit
// log in clear: no secrets. Names and values are ASCII.
using EncryptionContext = std::map<std::string, std::string>;

// The name under which the protector's context goes into the EncryptionContext; its value is 0x and
// the context's bytes in hexadecimal.
inline constexpr char kContextName[] = "rewrap-context";

struct AwsKmsConfig {
  std::string key_id;  // the key's ARN, its id, alias/NAME, or an alias' ARN; never guessed
  std::string region;  // e.g. eu-central-1

  // Where the KMS is. There is no way to switch TLS verification off; a private endpoint's
  // certificate is checked against `ca_file`.
  std::string domain;    // of https://kms.REGION.DOMAIN; empty: the one that AWS has for the region
  std::string endpoint;  // https://HOST[:PORT] instead of that; empty: none
  std::string ca_file;  // PEM file of the CAs to trust instead of the system's; empty: the system's
  std::string proxy;    // http://HOST:PORT or https://HOST:PORT; empty: none, whatever the
                        // environment says

  EncryptionContext encryption_context;  // what the operator adds, e.g. for a grant's constraints

  // One request may take `request_timeout`. Transient errors are tried again after pauses that begin
  // with `first_pause` and double. No try begins later than `retry_limit` after the first (0: there is
  // only one), nor after `*stop` was set.
  std::chrono::milliseconds request_timeout{10'000};
  std::chrono::milliseconds retry_limit{60'000};
  std::chrono::milliseconds first_pause{100};
  const std::atomic<bool>* stop = nullptr;  // may be null; must outlive the client
  // Called with the error before the first pause of an operation, by its thread. May be empty.
  std::function<void(const Status&)> on_wait = {};
};

// check_config says which part of the config breaks a rule.
// Errors: kInvalidArgument  the message and the hint name the part
Status check_config(const AwsKmsConfig& config);

// endpoint_of gives the URL that requests go to.
std::string endpoint_of(const AwsKmsConfig& config);

// is_key_arn says whether `text` is the ARN of a KMS key (not of an alias) in `region`.
bool is_key_arn(const std::string& text, const std::string& region);

// is_arn_of says whether `arn`, a key's ARN as KMS gives it, can be what `key_id` names: the same ARN,
// an ARN with that id, or, if `key_id` is an alias, any.
bool is_arn_of(const std::string& arn, const std::string& key_id);

// region_of_arn gives the region in an ARN; empty if `text` is none.
std::string region_of_arn(const std::string& text);

}  // namespace rewrap

#endif  // REWRAP_HSM_AWSKMS_CONFIG_H_
