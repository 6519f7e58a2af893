// KMIP key providers and key servers, and the client's key pair: what Element's thirteen methods
// keep. Any thread. Functions that connect to a server say so; they block for up to its timeout.
#ifndef REWRAP_API_SERVICE_KMIP_H_
#define REWRAP_API_SERVICE_KMIP_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "api/service/answer.h"
#include "api/service/jobs.h"
#include "hsm/kmip/uri.h"

namespace rewrap {

inline constexpr std::size_t kMaxKmipHosts = 8;
inline constexpr std::size_t kMaxPemLen = std::size_t{64} * 1024;

// Ids grow and are never used again.
struct KmipProvider {
  std::int64_t id = 0;
  std::string name;                      // for people; need not be unique
  bool is_active = false;                // usable KEK versions are there, or a job makes one
  std::vector<std::int64_t> server_ids;  // one at most
};

struct KmipServer {
  std::int64_t id = 0;
  std::string name;
  std::optional<std::int64_t> provider_id;
  std::optional<bool> provider_is_active;  // absent if not assigned
  std::vector<std::string> hosts;          // several only for a clustered server
  std::uint16_t port = kKmipPort;
  std::string ca_pem;
  std::string certificate_pem;
};

// For create every member but the port must be there.
struct KmipServerSettings {
  std::optional<std::string> name;
  std::optional<std::vector<std::string>> hosts;
  std::optional<std::uint16_t> port;
  std::optional<std::string> ca_pem;
  std::optional<std::string> certificate_pem;
};

// The subject of the certificate request, in this order; empty parts are left out.
struct CertificateSubject {
  std::string common_name;
  std::string organization;
  std::string organizational_unit;
  std::string locality;
  std::string state;
  std::string country;  // two letters
  std::string email;
};

class Kmip {
 public:
  explicit Kmip(ServiceContext* context) : context_(context) {}

  // create_key_pair makes an RSA key of 2048 bits and a request for a client certificate; an older
  // pair is replaced. Takes about 0.1 s. Reasons: kInvalidInput, kNoServiceKey
  Answer<Done> create_key_pair(const CertificateSubject& subject, const Caller& caller);
  // PEM text, PKCS #10. Reasons: kNoKeyPair
  Answer<std::string> certificate_request();

  Answer<KmipProvider> create_provider(const std::string& name, const Caller& caller);
  // Reasons of all that name a provider: kNoSuchProvider; delete: kProviderActive
  Answer<Done> delete_provider(std::int64_t id, const Caller& caller);
  Answer<KmipProvider> provider(std::int64_t id);
  Answer<std::vector<KmipProvider>> providers(std::optional<bool> is_active,
                                              std::optional<bool> has_server);
  // Connects. Reasons: kProviderHasNoServer, kRootUnreachable, kCredentialsRejected, kNoKeyPair
  Answer<Done> test_provider(std::int64_t id);

  // Does not connect. Reasons: kInvalidInput, kCertificate
  Answer<KmipServer> create_server(const KmipServerSettings& settings, const Caller& caller);
  // Reasons of all that name a server: kNoSuchServer. modify connects, unless nothing is given:
  // then it changes nothing and that is no error. Reasons: as test_server; kCertificate
  Answer<KmipServer> modify_server(std::int64_t id, const KmipServerSettings& settings,
                                   const Caller& caller);
  // Reasons: kLastServer
  Answer<Done> delete_server(std::int64_t id, const Caller& caller);
  Answer<KmipServer> server(std::int64_t id);
  Answer<std::vector<KmipServer>> servers(std::optional<std::int64_t> provider_id,
                                          std::optional<bool> provider_is_active,
                                          std::optional<bool> is_assigned);
  // Connects. Reasons: kRootUnreachable, kCredentialsRejected, kNoKeyPair
  Answer<Done> test_server(std::int64_t id);

  // Connects; assigned to it already is no error. Reasons: kServerAssigned, as test_server
  Answer<Done> add_server(std::int64_t provider_id, std::int64_t server_id, const Caller& caller);
  // Not assigned is no error. Reasons: kLastServer
  Answer<Done> remove_server(std::int64_t server_id, const Caller& caller);

 private:
  ServiceContext* context_;
};

}  // namespace rewrap

#endif  // REWRAP_API_SERVICE_KMIP_H_
