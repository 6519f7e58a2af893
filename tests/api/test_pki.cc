// A CA in a few lines of OpenSSL.
#include "tests/api/test_pki.h"

#include <openssl/bn.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>

namespace rewrap::test {
namespace {

// must ends the program: a test without its certificates is no test.
void must(bool done, const char* what) {
  if (done) return;
  std::fprintf(stderr, "test certificates: %s failed\n", what);
  std::abort();
}

void add_extension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  must(extension != nullptr && X509_add_ext(certificate, extension, -1) == 1, "X509_add_ext");
  X509_EXTENSION_free(extension);
}

void write_pem(const TestCertificate& certificate) {
  std::FILE* file = std::fopen(certificate.certificate.c_str(), "w");
  must(file != nullptr && PEM_write_X509(file, certificate.x509.get()) == 1, "PEM_write_X509");
  std::fclose(file);
  file = std::fopen(certificate.key.c_str(), "w");
  must(file != nullptr && chmod(certificate.key.c_str(), 0600) == 0 &&
           PEM_write_PrivateKey(file, certificate.pkey.get(), nullptr, nullptr, 0, nullptr,
                                nullptr) == 1,
       "PEM_write_PrivateKey");
  std::fclose(file);
}

}  // namespace

TestPki::TestPki() {
  std::string name = std::filesystem::temp_directory_path() / "rewrap-pki-XXXXXX";
  must(mkdtemp(name.data()) != nullptr, "mkdtemp");
  folder_ = name;
}

TestPki::~TestPki() {
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

TestCertificate TestPki::make(const std::string& name, const CertificateOptions& options,
                              const TestCertificate* issuer) const {
  TestCertificate made{path(name + ".crt"),
                       path(name + ".key"),
                       {X509_new(), X509_free},
                       {EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256"), EVP_PKEY_free}};
  X509* x509 = made.x509.get();
  must(x509 != nullptr && made.pkey != nullptr, "EVP_PKEY_Q_keygen");
  X509_set_version(x509, X509_VERSION_3);
  static long serial = 0;
  ASN1_INTEGER_set(X509_get_serialNumber(x509), ++serial);
  X509_gmtime_adj(X509_getm_notBefore(x509), options.begins_in);
  X509_gmtime_adj(X509_getm_notAfter(x509), options.ends_in);
  for (const std::string& common : options.common_names) {
    must(X509_NAME_add_entry_by_NID(X509_get_subject_name(x509), NID_commonName, MBSTRING_UTF8,
                                    reinterpret_cast<const unsigned char*>(common.data()),
                                    static_cast<int>(common.size()), -1, 0) == 1,
         "X509_NAME_add_entry_by_NID");
  }
  X509* by = issuer != nullptr ? issuer->x509.get() : x509;
  EVP_PKEY* by_key = issuer != nullptr ? issuer->pkey.get() : made.pkey.get();
  X509_set_issuer_name(x509, X509_get_subject_name(by));
  X509_set_pubkey(x509, made.pkey.get());
  add_extension(x509, by, NID_basic_constraints, options.is_ca ? "critical,CA:TRUE" : "CA:FALSE");
  add_extension(x509, by, NID_key_usage, options.is_ca ? "keyCertSign" : "digitalSignature");
  if (!options.is_ca) add_extension(x509, by, NID_ext_key_usage, options.extended_key_usage);
  if (!options.alternative_names.empty())
    add_extension(x509, by, NID_subject_alt_name, options.alternative_names);
  must(X509_sign(x509, by_key, EVP_sha256()) > 0, "X509_sign");
  write_pem(made);
  return made;
}

}  // namespace rewrap::test
