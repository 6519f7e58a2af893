// The server's certificate: made at first start, checked before use. PEM files.
#ifndef REWRAP_API_HTTP_TLS_CERTIFICATE_H_
#define REWRAP_API_HTTP_TLS_CERTIFICATE_H_

#include <cstdint>
#include <string>

#include "engine/base/status.h"

namespace rewrap {

struct TlsCertificateInfo {
  std::string subject;          // RFC 2253, e.g. "CN=host.example"
  std::string sha256;           // fingerprint, 64 lower-case hex digits
  std::int64_t not_before = 0;  // seconds since 1970
  std::int64_t not_after = 0;
};

// make_self_signed makes what is missing for a server that was given no certificate: a P-256 key in
// `key_path` (mode 0600) and a certificate for it in `certificate_path` (mode 0644), valid for ten
// years, for localhost, 127.0.0.1, ::1 and this host's name. Both are durable when it returns. What
// is there already is never written to: with both present it does nothing, with the key alone it
// makes the certificate for that key.
// Errors: kNotFound  the certificate is there without its key, or no such directory
//         kDenied    may not write there
//         as check_certificate for a key that is there
Status make_self_signed(const std::string& certificate_path, const std::string& key_path);

// check_certificate reads both files as the server will and tells what is in them.
// Errors: kNotFound         no such file
//         kDenied           may not be read, or the key is open to other users (its mode must give
//                           them nothing, and its group no write)
//         kInvalidArgument  not PEM, encrypted, key and certificate do not belong together, expired
//                           or not valid yet, too weak a key, longer than kMaxTlsPemLen
Result<TlsCertificateInfo> check_certificate(const std::string& certificate_path,
                                             const std::string& key_path);

inline constexpr std::size_t kMaxTlsPemLen = std::size_t{256} << 10;

}  // namespace rewrap

#endif  // REWRAP_API_HTTP_TLS_CERTIFICATE_H_
