// A strict reader of awskms: URIs: what it does not know it refuses.
#include "hsm/awskms/uri.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <string_view>

#include "hsm/root.h"
#include "hsm/secret_file.h"
#include "hsm/uri_query.h"

namespace rewrap {
namespace {

constexpr std::string_view kScheme = "awskms:";
constexpr int kMaxTimeoutS = 300;

Status read_region(const std::string& value, AwsKmsUri* out) {
  out->config.region = value;
  return {};
}

Status read_endpoint(const std::string& value, AwsKmsUri* out) {
  out->config.endpoint = value;
  return {};
}

Status read_proxy(const std::string& value, AwsKmsUri* out) {
  out->config.proxy = value;
  return {};
}

Status read_profile(const std::string& value, AwsKmsUri* out) {
  out->profile = value;
  return {};
}

Status read_ca(const std::string& value, AwsKmsUri* out) {
  auto path = path_of_file_uri(value);
  if (!path.ok()) {
    return {Errc::kInvalidArgument, "ca= does not name a file",
            "write it as ca=file:/absolute/path"};
  }
  out->config.ca_file = std::move(path).value();
  return {};
}

Status read_credentials(const std::string& value, AwsKmsUri* out) {
  auto path = pin_file_of(value);
  if (!path.ok() && path.status().code() == Errc::kNotFound) {
    return {Errc::kNotFound, "credentials= names a credential, and this process was given none",
            "run it as a service with LoadCredential=, or say credentials=file:/absolute/path"};
  }
  if (!path.ok()) {
    return {Errc::kInvalidArgument, "credentials= does not name a file",
            "write it as credentials=file:/absolute/path, or credentials=credential:NAME"};
  }
  out->credentials_file = std::move(path).value();
  return {};
}

Status read_timeout(const std::string& value, AwsKmsUri* out) {
  int seconds = 0;
  const char* end = value.data() + value.size();
  const auto read = std::from_chars(value.data(), end, seconds);
  if (read.ec != std::errc() || read.ptr != end || seconds < 1 || seconds > kMaxTimeoutS)
    return {Errc::kInvalidArgument, "timeout= is not 1 to 300 seconds", "write it as timeout=10"};
  out->config.request_timeout = std::chrono::seconds(seconds);
  return {};
}

Status read_context(const std::string& value, AwsKmsUri* out) {
  std::string_view rest = value;
  bool more = true;
  while (more) {
    const std::size_t comma = rest.find(',');
    more = comma != std::string_view::npos;
    const std::string_view pair = rest.substr(0, comma);
    rest = more ? rest.substr(comma + 1) : std::string_view();
    const std::size_t equals = pair.find('=');
    const bool is_new =
        equals != std::string_view::npos &&
        out->config.encryption_context.emplace(pair.substr(0, equals), pair.substr(equals + 1))
            .second;
    if (!is_new) {
      return {Errc::kInvalidArgument,
              "encryption-context= holds something that is no pair, or a name twice",
              "write it as encryption-context=department=storage,purpose=keks"};
    }
  }
  return {};
}

struct Attribute {
  std::string_view name;
  Status (*read)(const std::string& value, AwsKmsUri* out);
};
constexpr std::array<Attribute, 8> kAttributes = {{{"credentials", read_credentials},
                                                   {"region", read_region},
                                                   {"profile", read_profile},
                                                   {"endpoint", read_endpoint},
                                                   {"ca", read_ca},
                                                   {"proxy", read_proxy},
                                                   {"timeout", read_timeout},
                                                   {"encryption-context", read_context}}};

// is_secret knows the names under which people put secrets where they do not belong.
bool is_secret(std::string_view name) {
  constexpr std::array<std::string_view, 5> kWords = {"secret", "token", "password", "access-key",
                                                      "access_key"};
  return std::any_of(kWords.begin(), kWords.end(), [name](std::string_view word) {
    return name.find(word) != std::string_view::npos;
  });
}

Status read_attribute(const UriAttribute& attribute, AwsKmsUri* out) {
  if (is_secret(attribute.name)) {
    return {Errc::kInvalidArgument,
            "the URI holds an access key, which others can read in process lists and logs",
            "put it into a file as aws configure does, and say credentials=file:/path; then make "
            "a new access key: this one has been seen"};
  }
  const auto* known =
      std::find_if(kAttributes.begin(), kAttributes.end(),
                   [&](const Attribute& candidate) { return candidate.name == attribute.name; });
  if (known != kAttributes.end()) return known->read(attribute.value, out);
  return {Errc::kInvalidArgument, "the awskms URI has an attribute that is not known here",
          "known: credentials region profile endpoint ca proxy timeout encryption-context"};
}

}  // namespace

Result<AwsKmsUri> parse_awskms_uri(const std::string& uri) {
  std::string_view rest = uri;
  if (!rest.starts_with(kScheme) || uri.size() > kMaxRootUriLen)
    return Status(Errc::kInvalidArgument, "not an awskms URI, or longer than 2048 bytes");
  rest.remove_prefix(kScheme.size());
  const std::size_t mark = std::min(rest.find('?'), rest.size());
  AwsKmsUri out;
  out.config.key_id = rest.substr(0, mark);
  out.config.region = region_of_arn(out.config.key_id);
  if (mark < rest.size()) {
    REWRAP_ASSIGN(const auto attributes, split_query(rest.substr(mark + 1)));
    for (const UriAttribute& attribute : attributes) REWRAP_TRY(read_attribute(attribute, &out));
  }
  REWRAP_TRY(check_config(out.config));
  if (!out.credentials_file.empty()) return out;
  return Status(Errc::kInvalidArgument, "the awskms URI does not say where the credentials are",
                "add ?credentials=file:/absolute/path (as aws configure writes it), or "
                "credentials=credential:NAME");
}

}  // namespace rewrap
