// Opens roots for keyrings: URIs of AWS KMS and KMIP name what to open, and the service's database
// says how to get there. Any thread.
#ifndef REWRAP_API_SERVICE_ROOT_RESOLVER_H_
#define REWRAP_API_SERVICE_ROOT_RESOLVER_H_

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "api/service/database.h"
#include "api/service/keysets.h"
#include "api/service/root_access.h"
#include "api/service/secret_box.h"
#include "api/service/service_db.h"
#include "rekey/keyring.h"

namespace rewrap {

// AwsKeyName is all that has to be the same for a ciphertext of AWS KMS to open again. It is in the
// protector's URI, so that whatever becomes of the configuration, what was made under it still opens.
struct AwsKeyName {
  std::string key_id;
  std::string region;  // empty: as the configuration has it
  // JSON, as given; empty: none. Absent: as the configuration has it (a URI of the command line).
  std::optional<std::string> encryption_context = "";
};

// aws_kms_uri and kmip_uri are the URIs that protectors record; read_aws_kms_uri is the inverse of the
// first. Errors: kInvalidArgument
std::string aws_kms_uri(const AwsKeyName& name);
Result<AwsKeyName> read_aws_kms_uri(std::string_view uri);
std::string kmip_uri(std::int64_t provider_id);
bool is_aws_kms_uri(std::string_view uri);
// provider_of_uri gives the provider in a KMIP URI of ours.
std::optional<std::int64_t> provider_of_uri(std::string_view uri);

class RootResolver {
 public:
  RootResolver(RootOptions options, RootAccess access, ServiceDb* db, const SecretBox* box)
      : options_(std::move(options)), access_(std::move(access)), db_(db), box_(box) {}

  // A Trial gives what reaches a key of AWS KMS in the place of what is stored.
  using Trial = std::function<Result<AwsTarget>(const std::string& uri)>;

  // keyring gives a keyring for one keyset, whose AWS KMS configuration it uses, unless there is a
  // trial. `stop` ends waiting for a lost token; may be null. `next_key` is the name of the key that
  // is made next (KmipTarget::key_name); may be empty.
  Keyring keyring(const Uuid& keyset, const std::atomic<bool>* stop = nullptr, Trial trial = {},
                  std::string next_key = {});

  // open_aws opens a root by a target that is not stored yet, to try it out.
  Result<std::unique_ptr<Root>> open_aws(AwsTarget target);

  [[nodiscard]] const RootAccess& access() const { return access_; }

  // kmip_target is everything that reaches a provider. Errors: kNotFound no such provider, or it has
  // no server; kDenied there is no key pair; the secret box's
  Result<KmipTarget> kmip_target(std::int64_t provider_id);

 private:
  // Whom a keyring is for.
  struct Purpose {
    Uuid keyset{};
    Trial trial;
    std::string next_key;
  };
  Result<std::unique_ptr<Root>> open(const Purpose& purpose, const std::string& uri,
                                     const RootOptions& options);

  RootOptions options_;
  RootAccess access_;
  ServiceDb* db_;
  const SecretBox* box_;  // may be null
};

}  // namespace rewrap

#endif  // REWRAP_API_SERVICE_ROOT_RESOLVER_H_
