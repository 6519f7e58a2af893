// The three operations of AWS KMS that a root needs, with their answers checked and transient errors
// tried again. Usable by itself: give it a config and a source of credentials. One thread at a time.
#ifndef REWRAP_HSM_AWSKMS_CLIENT_H_
#define REWRAP_HSM_AWSKMS_CLIENT_H_

#include <string>
#include <string_view>
#include <utility>

#include "engine/base/bytes.h"
#include "engine/base/secret_buffer.h"
#include "engine/base/status.h"
#include "hsm/awskms/config.h"
#include "hsm/awskms/credentials.h"

namespace rewrap {

// KmsKey is what DescribeKey says of a key.
struct KmsKey {
  std::string arn;
  std::string state;   // "Enabled", "Disabled", "PendingDeletion", ...
  std::string usage;   // "ENCRYPT_DECRYPT" is the one that serves
  std::string spec;    // "SYMMETRIC_DEFAULT" is
  std::string origin;  // "AWS_KMS", "EXTERNAL", "AWS_CLOUDHSM", "EXTERNAL_KEY_STORE"
};

// check_key says whether the key serves. Errors: kUnavailable      its state; the hint undoes it
//                                                kInvalidArgument  another kind of key
Status check_key(const KmsKey& key);

inline constexpr std::size_t kMaxKmsPlaintextLen = 4096;

// Errors of each operation, besides those of the credential source and of check_config:
//   kDenied           permissions, credentials, signature, clock
//   kNotFound         no such key
//   kUnavailable      disabled or pending deletion; or it does not answer, after all tries
//   kRefused          its certificate is not trusted; or it answered for another key
//   kInvalidArgument  the request, or the kind of key
//   kUnsupported      what answers is no KMS
class KmsClient {
 public:
  KmsClient(AwsKmsConfig config, AwsCredentialSource credentials)
      : config_(std::move(config)), credentials_(std::move(credentials)) {}

  [[nodiscard]] const AwsKmsConfig& config() const { return config_; }

  // describe_key looks at the key that the config names.
  Result<KmsKey> describe_key();

  // encrypt seals 1 to 4096 bytes under the key `arn`; the ciphertext has at most 6144.
  Result<Bytes> encrypt(const std::string& arn, ByteView plaintext,
                        const EncryptionContext& context);

  // decrypt opens a ciphertext, if the key `arn` made it, with this very context.
  // Errors, besides: kIntegrity  the ciphertext is damaged, or the context another
  //                  kConflict   another key made it
  Result<SecretBuffer> decrypt(const std::string& arn, ByteView ciphertext,
                               const EncryptionContext& context);

 private:
  struct Operation;
  struct Attempt;

  Result<SecretBuffer> call(const Operation& operation, ByteView body);
  Attempt attempt(const Operation& operation, ByteView body);

  AwsKmsConfig config_;
  AwsCredentialSource credentials_;
};

}  // namespace rewrap

#endif  // REWRAP_HSM_AWSKMS_CLIENT_H_
