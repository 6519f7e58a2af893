// A strict reader of kmip: URIs: what it does not know it refuses.
#include "hsm/kmip/uri.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <string_view>
#include <vector>

#include "hsm/kmip/messages.h"
#include "hsm/percent.h"
#include "hsm/root.h"
#include "hsm/secret_file.h"

namespace rewrap {
namespace {

constexpr std::string_view kScheme = "kmip://";
constexpr std::size_t kMaxHostLen = 253;  // RFC 1035
constexpr unsigned kMaxTimeout = 600;     // seconds

// read_number reads a decimal number without sign or blanks.
bool read_number(std::string_view text, unsigned min, unsigned max, unsigned* out) {
  const char* end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, *out);
  return read.ec == std::errc() && read.ptr == end && *out >= min && *out <= max;
}

bool is_name_char(char c) { return static_cast<unsigned char>(c) >= ' ' && c != 0x7f; }

Status read_name(std::string_view value, KmipUri* out) {
  out->name = value;
  if (value.size() <= kMaxKmipNameLen && std::all_of(value.begin(), value.end(), is_name_char))
    return {};
  return {Errc::kInvalidArgument, "name= is not a key's name",
          "use up to 255 bytes, without control characters"};
}

Status read_id(std::string_view value, KmipUri* out) {
  out->id = value;
  const bool graphic =
      std::all_of(value.begin(), value.end(), [](char c) { return c > ' ' && c < 0x7f; });
  if (value.size() <= kMaxKmipIdLen && graphic) return {};
  return {Errc::kInvalidArgument, "id= is not a key's Unique Identifier",
          "copy it from the server; it has up to 256 characters and no blanks"};
}

// read_file_name: pin_file_of speaks of pin-source, so only its code is of use here.
Status read_file_name(std::string_view value, std::string* out) {
  auto path = pin_file_of(value);
  if (path.ok()) {
    *out = std::move(path).value();
    return {};
  }
  if (path.status().code() == Errc::kNotFound) {
    return {Errc::kNotFound, "the kmip URI names a credential, and this process was given none",
            "run it as a service with LoadCredential=, or use file:/absolute/path"};
  }
  return {Errc::kInvalidArgument, "ca=, cert= or key= does not name a file",
          "write it as file:/absolute/path, or credential:NAME"};
}

Status read_ca(std::string_view value, KmipUri* out) {
  return read_file_name(value, &out->ca_file);
}

Status read_cert(std::string_view value, KmipUri* out) {
  return read_file_name(value, &out->cert_file);
}

Status read_key(std::string_view value, KmipUri* out) {
  out->key_is_credential = value.starts_with("credential:");
  return read_file_name(value, &out->key_file);
}

Status read_timeout(std::string_view value, KmipUri* out) {
  unsigned seconds = 0;
  if (!read_number(value, 1, kMaxTimeout, &seconds)) {
    return {Errc::kInvalidArgument, "timeout= is not a number of seconds from 1 to 600"};
  }
  out->timeout = std::chrono::seconds(seconds);
  return {};
}

struct Attribute {
  std::string_view name;
  Status (*read)(std::string_view value, KmipUri* out);
};
constexpr std::array<Attribute, 6> kAttributes = {{{"name", read_name},
                                                   {"id", read_id},
                                                   {"ca", read_ca},
                                                   {"cert", read_cert},
                                                   {"key", read_key},
                                                   {"timeout", read_timeout}}};

// read_attribute takes one `name=value` and notes the name in `*seen`.
Status read_attribute(std::string_view text, std::vector<std::string_view>* seen, KmipUri* out) {
  const std::size_t equals = text.find('=');
  const std::string_view name = text.substr(0, equals);
  const auto* known = std::find_if(kAttributes.begin(), kAttributes.end(),
                                   [name](const Attribute& a) { return a.name == name; });
  if (known == kAttributes.end()) {
    return {Errc::kInvalidArgument, "the kmip URI has an attribute that is not known here",
            "known: name id ca cert key timeout, as kmip://HOST:PORT?name=value&name=value"};
  }
  if (equals == std::string_view::npos || equals + 1 == text.size())
    return {Errc::kInvalidArgument, "an attribute of the kmip URI has no value"};
  if (std::find(seen->begin(), seen->end(), name) != seen->end())
    return {Errc::kInvalidArgument, "an attribute is twice in the kmip URI"};
  seen->push_back(name);
  REWRAP_ASSIGN(const std::string value, percent_decode(text.substr(equals + 1)));
  return known->read(value, out);
}

bool is_host_byte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '.';
}

bool is_address_byte(char c) {
  return (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F') || (c >= '0' && c <= '9') || c == ':' ||
         c == '.';
}

// read_authority reads HOST, HOST:PORT or the same with [IPv6].
Status read_authority(std::string_view text, KmipUri* out) {
  const Status broken(Errc::kInvalidArgument, "the kmip URI does not begin with a host and a port",
                      "write it as kmip://HOST:5696?..., an IPv6 address in brackets");
  const bool in_brackets = text.starts_with('[');
  const std::size_t end = in_brackets ? text.find(']') : text.find(':');
  if (in_brackets && end == std::string_view::npos) return broken;
  const std::string_view host = in_brackets ? text.substr(1, end - 1) : text.substr(0, end);
  std::string_view rest = end == std::string_view::npos ? "" : text.substr(end);
  if (in_brackets) rest.remove_prefix(1);
  if (host.empty() || host.size() > kMaxHostLen || host.starts_with('-') ||
      !std::all_of(host.begin(), host.end(), in_brackets ? is_address_byte : is_host_byte)) {
    return broken;
  }
  out->host = host;
  if (rest.empty()) return {};
  unsigned port = 0;
  if (!rest.starts_with(':') || !read_number(rest.substr(1), 1, 65535, &port)) return broken;
  out->port = static_cast<std::uint16_t>(port);
  return {};
}

Status check_whole(const KmipUri& uri) {
  if (!uri.name.empty() && !uri.id.empty()) {
    return {Errc::kInvalidArgument,
            "the kmip URI has both name= and id=", "name the root key in one way"};
  }
  if (uri.ca_file.empty() || uri.cert_file.empty() || uri.key_file.empty()) {
    return {Errc::kInvalidArgument, "ca=, cert= or key= is missing in the kmip URI",
            "KMIP runs over TLS with certificates on both sides: all three are needed"};
  }
  return {};
}

}  // namespace

Result<KmipUri> parse_kmip_uri(const std::string& uri) {
  std::string_view rest = uri;
  if (!rest.starts_with(kScheme) || uri.size() > kMaxRootUriLen) {
    return Status(Errc::kInvalidArgument, "not a kmip:// URI, or longer than 2048 bytes",
                  "write it as kmip://HOST:5696?name=...&ca=...&cert=...&key=...");
  }
  if (!std::all_of(rest.begin(), rest.end(), is_uri_byte)) {
    return Status(Errc::kInvalidArgument, "the kmip URI holds a byte that no URI may hold",
                  "percent-encode blanks, '#' and what is not ASCII");
  }
  rest.remove_prefix(kScheme.size());
  const std::size_t question = rest.find('?');
  KmipUri out;
  REWRAP_TRY(read_authority(rest.substr(0, question), &out));
  rest = question == std::string_view::npos ? "" : rest.substr(question + 1);
  std::vector<std::string_view> seen;
  bool more = question != std::string_view::npos;
  while (more) {
    const std::size_t end = rest.find('&');
    more = end != std::string_view::npos;
    REWRAP_TRY(read_attribute(rest.substr(0, end), &seen, &out));
    rest = more ? rest.substr(end + 1) : std::string_view();
  }
  REWRAP_TRY(check_whole(out));
  return out;
}

}  // namespace rewrap
