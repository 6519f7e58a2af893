// A certificate authority for tests, made in memory: P-256 keys, certificates on any terms.
#ifndef REWRAP_TESTS_HSM_KMIP_PKI_H_
#define REWRAP_TESTS_HSM_KMIP_PKI_H_

#include <memory>
#include <string>

#include "hsm/kmip/tls.h"

struct evp_pkey_st;
struct x509_st;

namespace rewrap::test {

enum class CertUse { kServer, kClient };

struct CertTerms {
  CertUse use = CertUse::kServer;
  std::string common_name = "localhost";
  std::string names = "DNS:localhost,IP:127.0.0.1";  // subjectAltName
  int from_days = -1;                                // of its validity, counted from now
  int to_days = 1;
};

struct PemPair {
  std::string certificate;
  std::string key;
};

// Aborts if OpenSSL fails.
class TestCa {
 public:
  TestCa();
  TestCa(const TestCa&) = delete;
  TestCa& operator=(const TestCa&) = delete;
  ~TestCa();

  [[nodiscard]] std::string certificate() const;
  [[nodiscard]] PemPair issue(const CertTerms& terms) const;

 private:
  evp_pkey_st* key_;
  x509_st* certificate_;
};

inline CertTerms client_terms(const std::string& common_name) {
  return {.use = CertUse::kClient, .common_name = common_name, .names = "DNS:" + common_name};
}

// identity_of puts a client's identity together; `ca` is whom it trusts.
TlsIdentity identity_of(const std::string& ca, const PemPair& client);

}  // namespace rewrap::test

#endif  // REWRAP_TESTS_HSM_KMIP_PKI_H_
