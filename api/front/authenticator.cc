// Credentials are decoded into locked memory, and compared by the service alone.
#include "api/front/authenticator.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "api/front/printable.h"

namespace rewrap {
namespace {

constexpr std::size_t kMaxCredentialsLen = 1024;  // in base64; the longest name and password fit

// decode_credentials undoes base64 into locked memory; empty if it is malformed.
SecretBuffer decode_credentials(std::string_view encoded) {
  if (encoded.empty() || encoded.size() > kMaxCredentialsLen || encoded.size() % 4 != 0) return {};
  auto buffer = SecretBuffer::create(encoded.size() / 4 * 3);
  if (!buffer.ok()) return {};
  SecretBuffer decoded = std::move(buffer).value();
  const int len = EVP_DecodeBlock(decoded.expose_secret().data(),
                                  reinterpret_cast<const unsigned char*>(encoded.data()),
                                  static_cast<int>(encoded.size()));
  if (len < 0) return {};
  const std::size_t padding = encoded.ends_with("==") ? 2 : (encoded.ends_with("=") ? 1 : 0);
  decoded.shrink_to(std::min(static_cast<std::size_t>(len), decoded.size()) - padding);
  return decoded;
}

// basic_credentials gives what follows "Basic" in any case; empty if it is another scheme.
std::string_view basic_credentials(std::string_view header) {
  constexpr std::string_view kScheme = "Basic ";
  if (header.size() < kScheme.size() || !same_header_name(header.substr(0, 5), "Basic") ||
      header[5] != ' ')
    return {};
  header.remove_prefix(kScheme.size());
  while (header.starts_with(' ')) header.remove_prefix(1);
  return header;
}

}  // namespace

Authenticator::Authenticator(AccountsBackend* backend, const char* detail)
    : backend_(backend), detail_(detail) {
  // Without randomness there is no TLS either: not worth a way out.
  if (RAND_bytes(key_.data(), static_cast<int>(key_.size())) != 1) std::abort();
}

Authenticator::~Authenticator() { wipe(key_); }

std::optional<Account> Authenticator::authenticate(const HttpRequest& request,
                                                   Clock::time_point now) {
  if (const auto header = request.header("Authorization"))
    return log_in(request, basic_credentials(*header), now);
  const ClientCertificate& certificate = request.client_certificate;
  // Who shows nothing has not tried to log in. A line for each, and the disk that holds the audit log
  // would belong to whoever asks most.
  if (!certificate.presented) return std::nullopt;
  if (!certificate.verified || certificate.common_name.empty()) return refuse(request, "");
  auto account = backend_->log_in_certificate(certificate.common_name);
  if (!account.ok()) return refuse(request, certificate.common_name);
  return std::move(account).value();
}

std::optional<Account> Authenticator::log_in(const HttpRequest& request, std::string_view encoded,
                                             Clock::time_point now) {
  const SecretBuffer credentials = decode_credentials(encoded);
  const ByteView bytes = credentials.expose_secret();
  const auto colon = std::find(bytes.begin(), bytes.end(), ':');
  if (colon == bytes.end()) return refuse(request, "");
  const auto name_len = static_cast<std::size_t>(colon - bytes.begin());
  const std::string name(bytes.begin(), colon);

  Digest digest{};
  unsigned len = 0;
  if (HMAC(EVP_sha256(), key_.data(), static_cast<int>(key_.size()), bytes.data(), bytes.size(),
           digest.data(), &len) == nullptr)
    return refuse(request, "");
  Account known;
  if (recall(digest, now, &known)) return known;
  auto account = backend_->log_in(name, bytes.subspan(name_len + 1));
  if (!account.ok()) {
    forget(digest);
    return refuse(request, name);
  }
  remember(digest, account.value(), now);
  return std::move(account).value();
}

std::nullopt_t Authenticator::refuse(const HttpRequest& request, std::string_view name) {
  AuditEvent event;
  event.action = "login";
  event.user = printable(name);
  event.origin = request.peer_address;
  event.outcome = "denied";
  event.detail = detail_;
  event.request_id = request.id;
  (void)backend_->audit(event);  // refused in any case
  return std::nullopt;
}

bool Authenticator::recall(const Digest& digest, Clock::time_point now, Account* account) {
  const std::lock_guard lock(mutex_);
  const auto found = remembered_.find(digest);
  if (found == remembered_.end()) return false;
  if (found->second.until <= now) {
    remembered_.erase(found);
    return false;
  }
  if (found->second.until - kRenew <= now && !found->second.renewing) {
    found->second.renewing = true;  // by who asks now
    return false;
  }
  *account = found->second.account;
  return true;
}

// forget takes back what was right once and is not any more.
void Authenticator::forget(const Digest& digest) {
  const std::lock_guard lock(mutex_);
  remembered_.erase(digest);
}

void Authenticator::remember(const Digest& digest, const Account& account, Clock::time_point now) {
  const std::lock_guard lock(mutex_);
  if (remembered_.size() >= kMaxRemembered) {
    std::erase_if(remembered_, [&](const auto& entry) { return entry.second.until <= now; });
    if (remembered_.size() >= kMaxRemembered) remembered_.clear();
  }
  remembered_[digest] = {account, now + kRemember, false};
}

}  // namespace rewrap
