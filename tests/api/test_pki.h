// Certificates for tests, made afresh in a private directory that goes with the object.
#ifndef REWRAP_TESTS_API_TEST_PKI_H_
#define REWRAP_TESTS_API_TEST_PKI_H_

#include <memory>
#include <string>
#include <vector>

struct x509_st;
struct evp_pkey_st;

namespace rewrap::test {

struct TestCertificate {
  std::string certificate;  // PEM file
  std::string key;          // PEM file, mode 0600
  std::shared_ptr<x509_st> x509;
  std::shared_ptr<evp_pkey_st> pkey;
};

struct CertificateOptions {
  std::vector<std::string> common_names{};  // may hold zero bytes
  std::string alternative_names{};          // OpenSSL's words, e.g. "DNS:a,email:b@c"
  std::string extended_key_usage = "clientAuth";
  long begins_in = -3'600;  // seconds from now
  long ends_in = 3'600;
  bool is_ca = false;
};

class TestPki {
 public:
  TestPki();
  TestPki(const TestPki&) = delete;
  TestPki& operator=(const TestPki&) = delete;
  ~TestPki();

  [[nodiscard]] std::string path(const std::string& name) const { return folder_ + "/" + name; }

  // make makes a certificate, signed by `issuer` or by itself.
  TestCertificate make(const std::string& name, const CertificateOptions& options,
                       const TestCertificate* issuer = nullptr) const;

 private:
  std::string folder_;
};

}  // namespace rewrap::test

#endif  // REWRAP_TESTS_API_TEST_PKI_H_
