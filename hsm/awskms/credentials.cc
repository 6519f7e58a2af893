// A reader of shared credentials files that copies nothing but the parts it was asked for.
#include "hsm/awskms/credentials.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "hsm/secret_file.h"

namespace rewrap {
namespace {

constexpr std::size_t kMaxFileLen = std::size_t{64} << 10;
constexpr std::size_t kMaxAccessKeyIdLen = 128;  // IAM API Reference, AccessKey
constexpr std::size_t kMaxSecretLen = 256;       // 40 today
constexpr std::size_t kMaxTokenLen = 8192;       // AWS names no limit; 1 to 2 KiB are usual

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r'; }
bool is_header_char(char c) { return c > ' ' && c < 0x7f; }

std::string_view trim(std::string_view text) {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

bool fits(std::string_view text, std::size_t max_len) {
  return text.size() <= max_len && std::all_of(text.begin(), text.end(), is_header_char);
}

// Parts are views into the file's text, which stays where it is.
struct Parts {
  std::string_view access_key_id;
  std::string_view secret_access_key;
  std::string_view session_token;
  bool has_section = false;
  bool is_twice = false;
};

void take_line(std::string_view line, Parts* parts) {
  const std::size_t equals = line.find('=');
  if (equals == std::string_view::npos) return;
  const std::string_view name = trim(line.substr(0, equals));
  std::string_view* part = nullptr;
  if (name == "aws_access_key_id") part = &parts->access_key_id;
  if (name == "aws_secret_access_key") part = &parts->secret_access_key;
  if (name == "aws_session_token") part = &parts->session_token;
  if (part == nullptr) return;
  parts->is_twice |= !part->empty();
  *part = trim(line.substr(equals + 1));
}

Parts find_parts(std::string_view text, std::string_view profile) {
  Parts parts;
  bool in_section = false;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = trim(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.empty() || line.front() == '#' || line.front() == ';') continue;
    if (line.front() == '[') {
      const std::size_t close = std::min(line.find(']'), line.size());
      in_section = trim(line.substr(1, close - 1)) == profile;
      parts.is_twice |= in_section && parts.has_section;
      parts.has_section |= in_section;
    } else if (in_section) {
      take_line(line, &parts);
    }
  }
  return parts;
}

Result<SecretBuffer> copy_secret(std::string_view text) {
  if (text.empty()) return SecretBuffer();
  return SecretBuffer::copy_of(as_bytes(text));
}

Result<SecretBuffer> copy_secret(const SecretBuffer& secret) {
  return copy_secret(as_text(secret.expose_secret()));
}

}  // namespace

Status check_credentials(const AwsCredentials& credentials) {
  const bool complete =
      !credentials.access_key_id.empty() && !credentials.secret_access_key.empty();
  if (!complete) {
    return {Errc::kInvalidArgument, "the AWS credentials lack the access key's id or its secret",
            "only aws_access_key_id, aws_secret_access_key and aws_session_token are read"};
  }
  const bool all_fit =
      fits(credentials.access_key_id, kMaxAccessKeyIdLen) &&
      fits(as_text(credentials.secret_access_key.expose_secret()), kMaxSecretLen) &&
      fits(as_text(credentials.session_token.expose_secret()), kMaxTokenLen) &&
      fits(credentials.proxy_user, kMaxSecretLen) &&
      fits(as_text(credentials.proxy_password.expose_secret()), kMaxSecretLen);
  // The id goes before slashes and commas into the Authorization header.
  if (all_fit && credentials.access_key_id.find_first_of("/,:=") == std::string::npos) return {};
  return {Errc::kInvalidArgument,
          "a part of the AWS credentials is too long or holds a byte that none may hold",
          "copy them anew: no blanks, quotes or line ends inside"};
}

Result<AwsCredentials> parse_credentials(ByteView text, std::string_view profile) {
  const Parts parts = find_parts(as_text(text), profile);
  if (!parts.has_section) {
    return Status(Errc::kNotFound, "the AWS credentials have no section of that profile's name",
                  "add [default] and the keys below it, or say profile=NAME");
  }
  if (parts.is_twice) {
    return Status(Errc::kInvalidArgument, "the AWS credentials say something twice",
                  "leave one section of that name, with one line for each part");
  }
  AwsCredentials out;
  out.access_key_id = parts.access_key_id;
  REWRAP_ASSIGN(out.secret_access_key, copy_secret(parts.secret_access_key));
  REWRAP_ASSIGN(out.session_token, copy_secret(parts.session_token));
  REWRAP_TRY(check_credentials(out));
  return out;
}

AwsCredentialSource credentials_from_file(std::string path, std::string profile) {
  return [path = std::move(path), profile = std::move(profile)]() -> Result<AwsCredentials> {
    REWRAP_ASSIGN(const SecretBuffer text, read_credentials_file(path, kMaxFileLen));
    return parse_credentials(text.expose_secret(), profile);
  };
}

AwsCredentialSource credentials_from_memory(AwsCredentials credentials) {
  // A std::function has to be copyable, and secrets are not.
  const auto kept = std::make_shared<const AwsCredentials>(std::move(credentials));
  return [kept]() -> Result<AwsCredentials> {
    AwsCredentials out;
    out.access_key_id = kept->access_key_id;
    out.proxy_user = kept->proxy_user;
    REWRAP_ASSIGN(out.secret_access_key, copy_secret(kept->secret_access_key));
    REWRAP_ASSIGN(out.session_token, copy_secret(kept->session_token));
    REWRAP_ASSIGN(out.proxy_password, copy_secret(kept->proxy_password));
    return out;
  };
}

}  // namespace rewrap
