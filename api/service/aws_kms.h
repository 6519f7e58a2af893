// AWS KMS configurations: one for each keyset (ONTAP: SVM) whose KEKs a key in AWS KMS guards. Any
// thread. Functions that ask AWS say so; they block for up to the configuration's timeout.
#ifndef REWRAP_API_SERVICE_AWS_KMS_H_
#define REWRAP_API_SERVICE_AWS_KMS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "api/service/answer.h"
#include "api/service/job.h"
#include "api/service/jobs.h"
#include "engine/base/secret_buffer.h"

namespace rewrap {

enum class ProxyType : std::uint8_t { kHttp = 1, kHttps = 2 };

// As it is stored, without its secrets. Empty strings and absent values were never set.
struct AwsKmsConfiguration {
  Uuid uuid{};
  Uuid keyset_uuid{};
  std::string keyset;  // its name
  std::string region;
  std::string key_id;
  std::string access_key_id;
  std::string service;         // "KMS"
  std::string default_domain;  // "amazonaws.com"
  std::string host;            // instead of kms.REGION.DOMAIN
  std::optional<std::uint16_t> port;
  std::optional<std::uint32_t> polling_period;  // minutes
  std::optional<std::uint32_t> timeout;         // seconds
  std::optional<bool> verify;
  std::optional<bool> verify_host;
  std::optional<bool> verify_ip;
  std::optional<ProxyType> proxy_type;
  std::string proxy_host;
  std::optional<std::uint16_t> proxy_port;
  std::string proxy_username;
  std::string encryption_context;  // a JSON object of strings, as given
  std::uint64_t created_at = 0;
};

// Settings are what create and modify are given: absent members are left as they are (modify) or
// unset (create).
struct AwsKmsSettings {
  std::optional<std::string> region;
  std::optional<std::string> access_key_id;
  std::optional<SecretBuffer> secret_access_key;  // an empty buffer: refused with kEmptySecret
  std::optional<std::string> service;
  std::optional<std::string> default_domain;
  std::optional<std::string> host;
  std::optional<std::uint16_t> port;
  std::optional<std::uint32_t> polling_period;
  std::optional<std::uint32_t> timeout;
  std::optional<bool> verify;
  std::optional<bool> verify_host;
  std::optional<bool> verify_ip;
  std::optional<bool> skip_verify;  // do not try the new credentials out; modify only, not stored
  std::optional<ProxyType> proxy_type;
  std::optional<std::string> proxy_host;
  std::optional<std::uint16_t> proxy_port;
  std::optional<std::string> proxy_username;
  std::optional<SecretBuffer> proxy_password;
  std::optional<std::string> encryption_context;
};

// What the advanced properties of ONTAP are made of: whether a root answers, and why not.
struct Reachability {
  bool reachable = false;
  Reason reason = Reason::kNone;
  std::string message;  // empty if reachable
};

struct NodeReachability {
  std::string node;
  Uuid node_uuid{};
  Reachability reachability;
};

struct AwsKmsState {
  Reachability amazon;                  // an Encrypt and a Decrypt were tried just now
  std::vector<NodeReachability> nodes;  // by heartbeat
  bool protected_everywhere = false;    // the current KEK opens, and no node is missing
  std::string message;                  // empty if so; names what is not
};

class AwsKms {
 public:
  explicit AwsKms(ServiceContext* context) : context_(context) {}

  Answer<std::vector<AwsKmsConfiguration>> list();
  // Reasons of all that name a configuration: kNoAwsKms
  Answer<AwsKmsConfiguration> get(const Uuid& uuid);
  Answer<AwsKmsConfiguration> get_for_keyset(const std::string& keyset);

  // create stores a configuration for a keyset, and moves the keyset's KEKs under that key
  // (reprotect). A keyset that does not exist is made, with 64-byte DEKs. Asks AWS; nothing is
  // stored if that fails. If the machine stops in between, there is a configuration and the keyset is
  // not under its key yet: rekey_external to the same key moves it.
  // Reasons: kInvalidInput, kEmptySecret, kEmptyAccessKey, kAlreadyConfigured, kAdminKeyset,
  //          kDeksInAdminKeyset, kCredentialsRejected, kRootUnreachable, kNoServiceKey,
  //          kRekeyRunning, kSwitching
  Answer<AwsKmsConfiguration> create(const std::string& keyset, const std::string& key_id,
                                     AwsKmsSettings settings, const Caller& caller);

  // modify changes what is given, once AWS has taken it (unless skip_verify) and every KEK that DEKs
  // need opens by it. A new region or encryption context is for what is protected from then on
  // (rekey_external): KEKs keep those that they were protected with.
  // Reasons: kNothingToChange, kInvalidInput, kEmptySecret, kEmptyAccessKey, kSkipVerifyAlone,
  //          kCredentialsRejected, kRootUnreachable
  Answer<AwsKmsConfiguration> modify(const Uuid& uuid, AwsKmsSettings settings,
                                     const Caller& caller);

  // remove forgets a configuration. Reasons: kStillInUse: the keyset has DEKs (or some in quarantine),
  // and a KEK version that only this key gives back; kRekeyRunning, kSwitching
  Answer<Done> remove(const Uuid& uuid, const Caller& caller);

  // rekey_internal: a new KEK under the same key, every DEK re-wrapped. Reasons: as
  // Jobs::start_rekey with refuse_empty and check_nodes
  Answer<JobStart> rekey_internal(const Uuid& uuid, const Caller& caller);
  // rekey_external: the same KEKs under the key `key_id` (which may be the present one, after AWS has
  // rotated it). key_id of the configuration changes when the job has succeeded. Asks AWS.
  Answer<JobStart> rekey_external(const Uuid& uuid, const std::string& key_id,
                                  const Caller& caller);
  Answer<JobStart> restore(const Uuid& uuid, const Caller& caller);

  // state asks AWS.
  Answer<AwsKmsState> state(const Uuid& uuid);

 private:
  ServiceContext* context_;
};

}  // namespace rewrap

#endif  // REWRAP_API_SERVICE_AWS_KMS_H_
