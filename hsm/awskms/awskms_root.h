// The AWS KMS root: KEKs encrypted under a symmetric KMS key. The KMS is asked once per KEK and
// operation; bulk work is the host's. Lengths are bytes.
//
// What is bound to a ciphertext: the caller's context, as {"rewrap-context": "0x..."} beside the
// operator's own pairs. KMS checks it, and shows it in its audit log: a log entry tells which keyset and
// version a KEK was opened for. The key is named in every request, and compared in every answer.
#ifndef REWRAP_HSM_AWSKMS_AWSKMS_ROOT_H_
#define REWRAP_HSM_AWSKMS_AWSKMS_ROOT_H_

#include <memory>
#include <string>

#include "hsm/awskms/config.h"
#include "hsm/awskms/credentials.h"
#include "hsm/root.h"

namespace rewrap {

// Whether the key is looked at (DescribeKey) at once.
enum class KmsKeyNeed { kUsable, kNone };

// open_awskms_root opens the root that `uri` names. KEKs are made of OpenSSL's random bytes.
// Errors: as open_root and KmsClient
Result<std::unique_ptr<Root>> open_awskms_root(const std::string& uri, const RootOptions& options,
                                               KmsKeyNeed need);

// make_awskms_root makes one from a config, for programs that keep it elsewhere. `uri` goes into the
// protectors as their root's; it may hold no secret.
// Errors: as above
Result<std::unique_ptr<Root>> make_awskms_root(const std::string& uri, AwsKmsConfig config,
                                               AwsCredentialSource credentials, KmsKeyNeed need);

}  // namespace rewrap

#endif  // REWRAP_HSM_AWSKMS_AWSKMS_ROOT_H_
