// Translates what the service has stored into what the roots want.
#include "api/roots/network_roots.h"

#include <memory>
#include <string>
#include <utility>

#include "hsm/awskms/awskms_root.h"
#include "hsm/kmip/kmip_root.h"

namespace rewrap {
namespace {

AwsKmsConfig config_of(const AwsTarget& target, const RootOptions& options) {
  AwsKmsConfig config;
  config.key_id = target.key_id;
  config.region = target.region;
  config.domain = target.domain;
  config.endpoint = target.endpoint;
  config.proxy = target.proxy;
  config.encryption_context = target.encryption_context;
  config.request_timeout = std::chrono::seconds(target.timeout_seconds);
  config.first_pause = options.reconnect_pause;
  config.retry_limit = options.reconnect_limit;
  config.stop = options.stop;
  config.on_wait = options.on_token_lost;
  return config;
}

Result<std::unique_ptr<Root>> open_aws(AwsTarget target, const RootOptions& options,
                                       const std::string& ca_file) {
  if (!target.verify_host) {
    return Status(Errc::kUnsupported,
                  "the KMS's certificate is always checked against its host name",
                  "leave verify_host on; give a private endpoint a certificate for its name");
  }
  AwsKmsConfig config = config_of(target, options);
  config.ca_file = ca_file;
  AwsCredentials credentials;
  credentials.access_key_id = std::move(target.access_key_id);
  credentials.secret_access_key = std::move(target.secret_access_key);
  credentials.proxy_user = std::move(target.proxy_user);
  credentials.proxy_password = std::move(target.proxy_password);
  return make_awskms_root(target.uri, std::move(config),
                          credentials_from_memory(std::move(credentials)), KmsKeyNeed::kUsable);
}

// connect_first connects to the first host that answers; what the last one said is the error.
Result<std::unique_ptr<KmipClient>> connect_first(const KmipTarget& target) {
  Status last(Errc::kNotFound, "the KMIP provider has no server", "add a server to it");
  for (const std::string& host : target.hosts) {
    KmipEndpoint endpoint;
    endpoint.host = host;
    endpoint.port = target.port;
    endpoint.identity.ca = target.ca_pem;
    endpoint.identity.certificate = target.certificate_pem;
    REWRAP_ASSIGN(endpoint.identity.key,
                  SecretBuffer::copy_of(target.private_key_pem.expose_secret()));
    auto client = KmipClient::connect(endpoint);
    if (client.ok()) return client;
    last = client.status();
  }
  return last;
}

Result<std::unique_ptr<Root>> open_kmip(KmipTarget target, const RootOptions& /*options*/) {
  // A function is copied, a secret is not: the target is shared.
  const auto shared = std::make_shared<const KmipTarget>(std::move(target));
  return make_kmip_provider_root(
      shared->uri, [shared] { return connect_first(*shared); }, shared->key_name);
}

Status test_kmip(const KmipTarget& target) {
  REWRAP_ASSIGN(const auto client, connect_first(target));
  return client->discover_versions().status();
}

}  // namespace

RootAccess network_roots(NetworkRootOptions options) {
  RootAccess access;
  access.open_aws = [ca_file = std::move(options.aws_ca_file)](AwsTarget target,
                                                               const RootOptions& root_options) {
    return open_aws(std::move(target), root_options, ca_file);
  };
  access.open_kmip = open_kmip;
  access.test_kmip = test_kmip;
  return access;
}

}  // namespace rewrap
