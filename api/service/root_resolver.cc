// URIs of AWS KMS and KMIP, and the way to what they name.
#include "api/service/root_resolver.h"

#include <algorithm>
#include <charconv>

#include "api/service/aws_kms_store.h"
#include "api/service/kmip_store.h"
#include "hsm/uri_query.h"

namespace rewrap {
namespace {

constexpr std::string_view kAwsScheme = "awskms:";
constexpr std::string_view kKmipPrefix = "kmip:?provider=";

// escape makes any text fit to be a value in a URI (RFC 3986, 2.1).
std::string escape(std::string_view text) {
  constexpr std::string_view kUnreserved =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~:,";
  std::string out;
  for (const char c : text) {
    if (kUnreserved.find(c) != std::string_view::npos) {
      out += c;
    } else {
      out += "%" + encode_hex(as_bytes(std::string_view(&c, 1)));
    }
  }
  return out;
}

}  // namespace

std::string aws_kms_uri(const AwsKeyName& name) {
  std::string uri = std::string(kAwsScheme) + name.key_id + "?region=" + name.region;
  const std::string context = name.encryption_context.value_or("");
  if (!context.empty()) uri += "&context=" + escape(context);
  return uri;
}

Result<AwsKeyName> read_aws_kms_uri(std::string_view uri) {
  uri.remove_prefix(std::min(uri.size(), kAwsScheme.size()));
  const std::size_t question = std::min(uri.find('?'), uri.size());
  AwsKeyName name;
  name.key_id = uri.substr(0, question);
  if (question == uri.size()) return name;
  REWRAP_ASSIGN(const auto attributes, split_query(uri.substr(question + 1)));
  for (const UriAttribute& attribute : attributes) {
    if (attribute.name == "region") name.region = attribute.value;
    if (attribute.name == "context") name.encryption_context = attribute.value;
    if (attribute.name == "credentials") name.encryption_context.reset();
  }
  return name;
}

std::string kmip_uri(std::int64_t provider_id) {
  return std::string(kKmipPrefix) + std::to_string(provider_id);
}

bool is_aws_kms_uri(std::string_view uri) { return uri.starts_with(kAwsScheme); }

std::optional<std::int64_t> provider_of_uri(std::string_view uri) {
  if (!uri.starts_with(kKmipPrefix)) return std::nullopt;
  uri.remove_prefix(kKmipPrefix.size());
  std::int64_t id = 0;
  const auto [end, error] = std::from_chars(uri.data(), uri.data() + uri.size(), id);
  if (error != std::errc() || end != uri.data() + uri.size() || id <= 0) return std::nullopt;
  return id;
}

Keyring RootResolver::keyring(const Uuid& keyset, const std::atomic<bool>* stop, Trial trial,
                              std::string next_key) {
  RootOptions options = options_;
  options.stop = stop;
  return Keyring(
      std::move(options),
      [this, purpose = Purpose{keyset, std::move(trial), std::move(next_key)}](
          const std::string& uri, const RootOptions& given) { return open(purpose, uri, given); });
}

Result<std::unique_ptr<Root>> RootResolver::open_aws(AwsTarget target) {
  if (!access_.open_aws) {
    return Status(Errc::kUnsupported, "this build cannot reach AWS KMS");
  }
  return access_.open_aws(std::move(target), options_);
}

Result<KmipTarget> RootResolver::kmip_target(std::int64_t provider_id) {
  KmipTarget target;
  target.uri = kmip_uri(provider_id);
  REWRAP_TRY(db_->read([&](Database& database) -> Status {
    REWRAP_ASSIGN(const std::vector<KmipServer> servers, list_servers(&database));
    for (const KmipServer& server : servers) {
      if (server.provider_id != provider_id) continue;
      target.hosts = server.hosts;
      target.port = server.port;
      target.ca_pem = server.ca_pem;
      target.certificate_pem = server.certificate_pem;
      REWRAP_ASSIGN(KmipKeyPair pair, read_key_pair(&database, box_));
      target.private_key_pem = std::move(pair.private_key_pem);
      return {};
    }
    return Status(Errc::kNotFound, "the key provider is not there, or has no server",
                  "assign a key server to it");
  }));
  return target;
}

Result<std::unique_ptr<Root>> RootResolver::open(const Purpose& purpose, const std::string& uri,
                                                 const RootOptions& options) {
  if (is_aws_kms_uri(uri) && access_.open_aws) {
    if (purpose.trial) {
      REWRAP_ASSIGN(AwsTarget target, purpose.trial(uri));
      return access_.open_aws(std::move(target), options);
    }
    AwsKmsRow row;
    const Status status = db_->read([&](Database& database) -> Status {
      REWRAP_ASSIGN(const AwsKmsConfiguration shown, find_aws_kms_of(&database, purpose.keyset));
      REWRAP_ASSIGN(row, read_secrets(&database, box_, shown.uuid));
      return {};
    });
    // A keyset without a configuration here may be one that the command line made.
    if (status.code() == Errc::kNotFound) return access_.open(uri, options);
    REWRAP_TRY(status);
    REWRAP_ASSIGN(AwsTarget target, make_target(std::move(row), uri));
    return access_.open_aws(std::move(target), options);
  }
  if (const auto provider = provider_of_uri(uri); provider && access_.open_kmip) {
    REWRAP_ASSIGN(KmipTarget target, kmip_target(*provider));
    target.key_name = purpose.next_key;
    return access_.open_kmip(std::move(target), options);
  }
  return access_.open(uri, options);
}

}  // namespace rewrap
