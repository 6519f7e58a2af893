// Certificates by OpenSSL.
#include "tests/hsm/kmip_pki.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include <cstdio>
#include <cstdlib>

namespace rewrap::test {
namespace {

constexpr long kDay = 24L * 60 * 60;

void expect(bool done, const char* what) {
  if (done) return;
  (void)std::fprintf(stderr, "kmip_pki: %s failed\n", what);
  std::abort();
}

std::string text_of(BIO* bio) {
  char* text = nullptr;
  const long len = BIO_get_mem_data(bio, &text);
  std::string out(text, static_cast<std::size_t>(len));
  BIO_free(bio);
  return out;
}

std::string pem_of(X509* certificate) {
  BIO* bio = BIO_new(BIO_s_mem());
  expect(PEM_write_bio_X509(bio, certificate) == 1, "PEM_write_bio_X509");
  return text_of(bio);
}

std::string pem_of(EVP_PKEY* key) {
  BIO* bio = BIO_new(BIO_s_mem());
  expect(PEM_write_bio_PrivateKey(bio, key, nullptr, nullptr, 0, nullptr, nullptr) == 1,
         "PEM_write_bio_PrivateKey");
  return text_of(bio);
}

void add_extension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  expect(extension != nullptr && X509_add_ext(certificate, extension, -1) == 1, "X509_add_ext");
  X509_EXTENSION_free(extension);
}

// new_certificate gives one that has everything but extensions and signature.
X509* new_certificate(EVP_PKEY* key, const CertTerms& terms) {
  X509* certificate = X509_new();
  std::uint8_t serial[8];
  expect(RAND_bytes(serial, sizeof serial) == 1, "RAND_bytes");
  serial[0] &= 0x7f;
  BIGNUM* number = BN_bin2bn(serial, sizeof serial, nullptr);
  BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate));
  BN_free(number);
  X509_set_version(certificate, 2);
  X509_gmtime_adj(X509_getm_notBefore(certificate), terms.from_days * kDay);
  X509_gmtime_adj(X509_getm_notAfter(certificate), terms.to_days * kDay);
  X509_NAME* name = X509_get_subject_name(certificate);
  const std::string& text = terms.common_name;
  expect(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                                    reinterpret_cast<const unsigned char*>(text.data()),
                                    static_cast<int>(text.size()), -1, 0) == 1,
         "X509_NAME_add_entry_by_txt");
  expect(X509_set_pubkey(certificate, key) == 1, "X509_set_pubkey");
  return certificate;
}

void sign(X509* certificate, X509* issuer, EVP_PKEY* issuer_key) {
  X509_set_issuer_name(certificate, X509_get_subject_name(issuer));
  expect(X509_sign(certificate, issuer_key, EVP_sha256()) > 0, "X509_sign");
}

}  // namespace

TestCa::TestCa() : key_(EVP_EC_gen("P-256")) {
  expect(key_ != nullptr, "EVP_EC_gen");
  certificate_ = new_certificate(key_, {.common_name = "test CA"});
  add_extension(certificate_, certificate_, NID_basic_constraints, "critical,CA:TRUE");
  add_extension(certificate_, certificate_, NID_key_usage, "critical,keyCertSign,cRLSign");
  add_extension(certificate_, certificate_, NID_subject_key_identifier, "hash");
  sign(certificate_, certificate_, key_);
}

TestCa::~TestCa() {
  X509_free(certificate_);
  EVP_PKEY_free(key_);
}

std::string TestCa::certificate() const { return pem_of(certificate_); }

PemPair TestCa::issue(const CertTerms& terms) const {
  EVP_PKEY* key = EVP_EC_gen("P-256");
  expect(key != nullptr, "EVP_EC_gen");
  X509* certificate = new_certificate(key, terms);
  const bool is_server = terms.use == CertUse::kServer;
  add_extension(certificate, certificate_, NID_basic_constraints, "critical,CA:FALSE");
  add_extension(certificate, certificate_, NID_key_usage, "critical,digitalSignature");
  add_extension(certificate, certificate_, NID_ext_key_usage,
                is_server ? "serverAuth" : "clientAuth");
  add_extension(certificate, certificate_, NID_subject_alt_name, terms.names);
  // All our CAs have one name.
  add_extension(certificate, certificate_, NID_authority_key_identifier, "keyid:always");
  sign(certificate, certificate_, key_);
  PemPair pair = {.certificate = pem_of(certificate), .key = pem_of(key)};
  X509_free(certificate);
  EVP_PKEY_free(key);
  return pair;
}

TlsIdentity identity_of(const std::string& ca, const PemPair& client) {
  auto key = SecretBuffer::copy_of(as_bytes(client.key));
  expect(key.ok(), "SecretBuffer::copy_of");
  return {.ca = ca, .certificate = client.certificate, .key = std::move(key).value()};
}

}  // namespace rewrap::test
