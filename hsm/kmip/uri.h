// kmip: URIs. Pure, any thread.
#ifndef REWRAP_HSM_KMIP_URI_H_
#define REWRAP_HSM_KMIP_URI_H_

#include <chrono>
#include <cstdint>
#include <string>

#include "engine/base/status.h"

namespace rewrap {

inline constexpr std::uint16_t kKmipPort = 5696;  // as registered with IANA

// KmipUri holds what the URI names. Of name and id at most one is there.
struct KmipUri {
  std::string host;  // without the brackets of an IPv6 address
  std::uint16_t port = kKmipPort;
  std::string name;  // the root key's Name; empty: not given
  std::string id;    // its Unique Identifier; empty: not given
  std::string ca_file;
  std::string cert_file;
  std::string key_file;
  bool key_is_credential = false;  // the key file came from the service manager
  std::chrono::seconds timeout{10};
};

// parse_kmip_uri reads `kmip://HOST[:PORT]?name=value&...`: HOST is a name, an IPv4 address or an IPv6
// address in brackets; the attributes, each at most once and with a value, percent-encoded (RFC 3986):
//   name=rewrap-root          the root key by its Name, up to 255 bytes
//   id=UNIQUE-IDENTIFIER      the root key by its Unique Identifier, instead
//   ca=file:/path             PEM certificates of the CAs that may have signed the server's certificate
//   cert=file:/path           the client's certificate, PEM, and its chain
//   key=file:/path            the client's private key, PEM, mode 0600
//   timeout=SECONDS           1 to 600, for each operation
// ca, cert and key are required; each may be credential:NAME (see pin_file_of) as well.
// Errors: kInvalidArgument  the message and the hint say which rule was broken
//         kNotFound         a credential is named and this process was given none
Result<KmipUri> parse_kmip_uri(const std::string& uri);

}  // namespace rewrap

#endif  // REWRAP_HSM_KMIP_URI_H_
