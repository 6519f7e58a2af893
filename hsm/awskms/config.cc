// The rules for each part of the config: what goes into a URL, a header or a JSON text is checked here,
// so that nothing has to be escaped there.
#include "hsm/awskms/config.h"

#include <algorithm>
#include <string_view>
#include <vector>

#include "hsm/protector.h"

namespace rewrap {
namespace {

constexpr std::size_t kMaxRegionLen = 32;
constexpr std::size_t kMaxHostLen = 253;      // RFC 1035
constexpr std::size_t kMaxContextLen = 1024;  // of the operator's pairs; KMS takes 8192 in all
constexpr std::size_t kNumArnParts = 6;       // arn:partition:kms:region:account:resource
constexpr auto kMaxTime = std::chrono::hours(1);
constexpr auto kMaxRetryLimit = std::chrono::hours(24);

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_name_char(char c) { return is_letter(c) || is_digit(c) || c == '-' || c == '_'; }
bool is_region_char(char c) { return (c >= 'a' && c <= 'z') || is_digit(c) || c == '-'; }
bool is_host_char(char c) { return is_name_char(c) || c == '.'; }
// Neither a quote nor a backslash, so that a pair goes into JSON as it is.
bool is_context_char(char c) { return c >= ' ' && c < 0x7f && c != '"' && c != '\\'; }

template <typename Rule>
bool consists_of(std::string_view text, Rule rule) {
  return !text.empty() && std::all_of(text.begin(), text.end(), rule);
}

bool is_host(std::string_view text) {
  return text.size() <= kMaxHostLen && consists_of(text, is_host_char);
}

// is_origin takes SCHEME://HOST[:PORT], the host by name, IPv4 address or [IPv6 address].
bool is_origin(std::string_view text, std::string_view scheme) {
  if (!text.starts_with(scheme)) return false;
  text.remove_prefix(scheme.size());
  bool host_is_good = false;
  if (text.starts_with('[')) {
    const std::size_t end = text.find(']');
    if (end == std::string_view::npos) return false;
    host_is_good = consists_of(text.substr(1, end - 1), [](char c) {
      return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F') || c == ':' ||
             c == '.';
    });
    text.remove_prefix(end + 1);
  } else {
    const std::size_t end = std::min(text.find(':'), text.size());
    host_is_good = is_host(text.substr(0, end));
    text.remove_prefix(end);
  }
  if (!host_is_good || text.empty()) return host_is_good;
  constexpr std::size_t kMaxPortLen = 6;  // with the colon
  return text.front() == ':' && text.size() <= kMaxPortLen && consists_of(text.substr(1), is_digit);
}

std::vector<std::string_view> split_arn(std::string_view text) {
  std::vector<std::string_view> parts;
  while (parts.size() + 1 < kNumArnParts) {
    const std::size_t colon = text.find(':');
    if (colon == std::string_view::npos) return {};
    parts.push_back(text.substr(0, colon));
    text.remove_prefix(colon + 1);
  }
  parts.push_back(text);
  const bool is_kms = parts[0] == "arn" && consists_of(parts[1], is_region_char) &&
                      parts[2] == "kms" && consists_of(parts[3], is_region_char) &&
                      consists_of(parts[4], is_digit);
  return is_kms ? parts : std::vector<std::string_view>();
}

bool is_alias(std::string_view resource) {
  constexpr std::string_view kAlias = "alias/";
  return resource.starts_with(kAlias) && consists_of(resource.substr(kAlias.size()), [](char c) {
           return is_name_char(c) || c == '/' || c == ':';
         });
}

bool is_key(std::string_view resource) {
  constexpr std::string_view kKey = "key/";
  return resource.starts_with(kKey) && consists_of(resource.substr(kKey.size()), is_name_char);
}

Status check_key_id(const std::string& key_id, const std::string& region) {
  const Status wrong(Errc::kInvalidArgument, "this names no KMS key",
                     "give the key's ARN (best), its id, or alias/NAME: aws kms list-keys");
  if (key_id.size() > kMaxKeyRefLen) return wrong;
  if (!key_id.starts_with("arn:"))
    return is_alias(key_id) || consists_of(key_id, is_name_char) ? Status() : wrong;
  const auto parts = split_arn(key_id);
  if (parts.empty() || !(is_key(parts[5]) || is_alias(parts[5]))) return wrong;
  if (parts[3] == region) return {};
  return {Errc::kInvalidArgument,
          "the key's ARN is of another region than region=", "leave region= out: the ARN says it"};
}

Status check_context(const EncryptionContext& pairs) {
  std::size_t len = 0;
  for (const auto& [name, value] : pairs) {
    len += name.size() + value.size();
    if (name == kContextName || name.starts_with("aws:") || !consists_of(name, is_context_char) ||
        !consists_of(value, is_context_char)) {
      return {Errc::kInvalidArgument,
              "a pair of the encryption context has a name or a value that cannot be used",
              "use printable ASCII without quotes and backslashes; rewrap-context and aws: are "
              "reserved"};
    }
  }
  if (len <= kMaxContextLen) return {};
  return {Errc::kInvalidArgument, "the encryption context is longer than 1024 bytes"};
}

Status check_times(const AwsKmsConfig& config) {
  for (const auto time : {config.request_timeout, config.first_pause}) {
    if (time.count() < 1 || time > kMaxTime)
      return {Errc::kInvalidArgument, "a KMS timeout or pause is not between 1 ms and 1 hour"};
  }
  if (config.retry_limit.count() >= 0 && config.retry_limit <= kMaxRetryLimit) return {};
  return {Errc::kInvalidArgument, "the time for retries is not between 0 and 24 hours"};
}

}  // namespace

std::string region_of_arn(const std::string& text) {
  const auto parts = split_arn(text);
  return parts.empty() ? std::string() : std::string(parts[3]);
}

bool is_key_arn(const std::string& text, const std::string& region) {
  const auto parts = split_arn(text);
  return !parts.empty() && text.size() <= kMaxKeyRefLen && parts[3] == region && is_key(parts[5]);
}

bool is_arn_of(const std::string& arn, const std::string& key_id) {
  const auto named = split_arn(key_id);
  const std::string_view resource = named.empty() ? std::string_view(key_id) : named[5];
  if (is_alias(resource)) return true;
  return named.empty() ? arn.ends_with(":key/" + key_id) : arn == key_id;
}

std::string endpoint_of(const AwsKmsConfig& config) {
  if (!config.endpoint.empty()) return config.endpoint;
  const bool in_china = config.region.starts_with("cn-");
  const std::string domain = in_china ? "amazonaws.com.cn" : "amazonaws.com";
  return "https://kms." + config.region + "." + (config.domain.empty() ? domain : config.domain);
}

Status check_config(const AwsKmsConfig& config) {
  if (config.region.size() > kMaxRegionLen || !consists_of(config.region, is_region_char)) {
    return {Errc::kInvalidArgument, "no AWS region is named, or not one that can be",
            "add region=eu-central-1 or its like, or name the key by its ARN"};
  }
  REWRAP_TRY(check_key_id(config.key_id, config.region));
  if (!config.domain.empty() && !is_host(config.domain))
    return {Errc::kInvalidArgument, "the KMS domain is not one", "write it as amazonaws.com"};
  if (!config.endpoint.empty() && !is_origin(config.endpoint, "https://")) {
    return {Errc::kInvalidArgument, "the endpoint is not https://HOST or https://HOST:PORT",
            "KEKs cross the wire: only TLS will do, and a path is not used"};
  }
  if (!config.proxy.empty() && !is_origin(config.proxy, "http://") &&
      !is_origin(config.proxy, "https://")) {
    return {Errc::kInvalidArgument, "the proxy is not http://HOST:PORT or https://HOST:PORT",
            "its name and password, if any, do not belong into a URI"};
  }
  if (!config.ca_file.empty() && config.ca_file.front() != '/')
    return {Errc::kInvalidArgument, "the CA file has no absolute path"};
  REWRAP_TRY(check_times(config));
  return check_context(config.encryption_context);
}

}  // namespace rewrap
