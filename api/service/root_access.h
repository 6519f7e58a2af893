// How the service reaches roots: plain ones by their URI, AWS KMS and KMIP by what is configured in
// the service. Functions, so that a test can put its own root in the place of any of them.
#ifndef REWRAP_API_SERVICE_ROOT_ACCESS_H_
#define REWRAP_API_SERVICE_ROOT_ACCESS_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engine/base/secret_buffer.h"
#include "engine/base/status.h"
#include "hsm/root.h"
#include "rekey/keyring.h"

namespace rewrap {

// Everything that reaches one key of AWS KMS. `uri` is what protectors are to record as their
// root_uri: it names the key and the region only; how to get there is looked up each time.
struct AwsTarget {
  std::string uri;  // awskms:KEY?region=REGION
  std::string key_id;
  std::string region;
  std::string domain;    // of https://kms.REGION.DOMAIN; empty: AWS's own
  std::string endpoint;  // https://HOST[:PORT] instead of that; empty: none
  std::string proxy;     // http://HOST:PORT or https://HOST:PORT; empty: none
  std::map<std::string, std::string> encryption_context;
  std::uint32_t timeout_seconds = 10;  // of one request
  bool verify_host = true;
  std::string access_key_id;
  SecretBuffer secret_access_key;
  std::string proxy_user;
  SecretBuffer proxy_password;  // empty: none
};
using AwsOpener =
    std::function<Result<std::unique_ptr<Root>>(AwsTarget target, const RootOptions& options)>;

// Everything that reaches one KMIP provider. `uri` as above: kmip:?provider=ID.
struct KmipTarget {
  std::string uri;
  std::vector<std::string> hosts;  // tried in order
  std::uint16_t port = 5696;
  std::string ca_pem;           // certificates to trust, one or more
  std::string certificate_pem;  // the client's
  SecretBuffer private_key_pem;
  // For the key that is made next: its id here (Element's keyID), to be put into its Name.
  std::string key_name;
};
using KmipOpener =
    std::function<Result<std::unique_ptr<Root>>(KmipTarget target, const RootOptions& options)>;
// KmipTester connects, asks for the server's versions and logs out.
// Errors: kUnavailable  cannot connect; kDenied  the server does not take the certificate
using KmipTester = std::function<Status(const KmipTarget& target)>;

struct RootAccess {
  RootOpener open = open_root;  // pkcs11:, tpm2:, file:
  AwsOpener open_aws = {};      // empty: kUnsupported
  KmipOpener open_kmip = {};
  KmipTester test_kmip = {};
};

}  // namespace rewrap

#endif  // REWRAP_API_SERVICE_ROOT_ACCESS_H_
