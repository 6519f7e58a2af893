// RSA keys, PKCS #10 and X.509 by OpenSSL.
#include "api/service/kmip_certificate.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <array>
#include <memory>

namespace rewrap {
namespace {

constexpr unsigned kRsaBits = 2048;
constexpr std::size_t kMaxSubjectLen = 64;  // ub-common-name and its kin, RFC 5280 appendix A

template <auto kFree>
struct Free {
  template <typename T>
  void operator()(T* object) const {
    kFree(object);
  }
};
using BioPtr = std::unique_ptr<BIO, Free<BIO_free_all>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, Free<EVP_PKEY_free>>;
using RequestPtr = std::unique_ptr<X509_REQ, Free<X509_REQ_free>>;
using CertificatePtr = std::unique_ptr<X509, Free<X509_free>>;

struct ExtensionsFree {
  void operator()(STACK_OF(X509_EXTENSION) * list) const {
    sk_X509_EXTENSION_pop_free(list, X509_EXTENSION_free);
  }
};
using ExtensionsPtr = std::unique_ptr<STACK_OF(X509_EXTENSION), ExtensionsFree>;

Status openssl_failed() {
  return {Errc::kInternal, "OpenSSL could not make a key pair",
          "check the installation of OpenSSL"};
}

ByteView content_of(BIO* bio) {
  char* data = nullptr;
  const long len = BIO_get_mem_data(bio, &data);
  return {static_cast<const std::uint8_t*>(static_cast<void*>(data)),
          static_cast<std::size_t>(len)};
}

Result<Bytes> public_key_of(EVP_PKEY* key) {
  const int len = i2d_PUBKEY(key, nullptr);
  if (len <= 0) return openssl_failed();
  Bytes der(static_cast<std::size_t>(len));
  unsigned char* end = der.data();
  if (i2d_PUBKEY(key, &end) != len) return openssl_failed();
  return der;
}

Status set_subject(X509_REQ* request, const CertificateSubject& subject) {
  const std::array<std::pair<const char*, const std::string*>, 7> parts = {{
      {"CN", &subject.common_name},
      {"O", &subject.organization},
      {"OU", &subject.organizational_unit},
      {"L", &subject.locality},
      {"ST", &subject.state},
      {"C", &subject.country},
      {"emailAddress", &subject.email},
  }};
  X509_NAME* name = X509_REQ_get_subject_name(request);
  for (const auto& [field, value] : parts) {
    if (value->empty()) continue;
    const auto* text = static_cast<const unsigned char*>(static_cast<const void*>(value->data()));
    if (value->size() > kMaxSubjectLen ||
        X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8, text,
                                   static_cast<int>(value->size()), -1, 0) != 1) {
      return {Errc::kInvalidArgument,
              "a part of the certificate's subject is too long, or of the wrong form",
              "parts have at most 64 characters, the country two letters"};
    }
  }
  return {};
}

bool add_extension(STACK_OF(X509_EXTENSION) * list, int nid, const char* value) {
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, nid, value);
  if (extension != nullptr && sk_X509_EXTENSION_push(list, extension) > 0) return true;
  X509_EXTENSION_free(extension);
  return false;
}

Result<std::string> make_request(EVP_PKEY* key, const CertificateSubject& subject) {
  const RequestPtr request(X509_REQ_new());
  const ExtensionsPtr extensions(sk_X509_EXTENSION_new_null());
  if (request == nullptr || extensions == nullptr) return openssl_failed();
  REWRAP_TRY(set_subject(request.get(), subject));
  const BioPtr out(BIO_new(BIO_s_mem()));
  const bool made =
      out != nullptr &&
      add_extension(extensions.get(), NID_key_usage, "critical,digitalSignature,keyEncipherment") &&
      add_extension(extensions.get(), NID_ext_key_usage, "clientAuth") &&
      X509_REQ_add_extensions(request.get(), extensions.get()) == 1 &&
      X509_REQ_set_version(request.get(), 0) == 1 && X509_REQ_set_pubkey(request.get(), key) == 1 &&
      X509_REQ_sign(request.get(), key, EVP_sha256()) > 0 &&
      PEM_write_bio_X509_REQ(out.get(), request.get()) == 1;
  if (!made) return openssl_failed();
  const ByteView pem = content_of(out.get());
  return std::string(pem.begin(), pem.end());
}

// The text goes through OpenSSL's secure heap if the program has one; its buffer is wiped when freed.
Result<SecretBuffer> private_pem(EVP_PKEY* key) {
  const BioPtr out(BIO_new(BIO_s_secmem()));
  if (out == nullptr ||
      PEM_write_bio_PrivateKey(out.get(), key, nullptr, nullptr, 0, nullptr, nullptr) != 1) {
    return openssl_failed();
  }
  return SecretBuffer::copy_of(content_of(out.get()));
}

// for_each_certificate counts the certificates in a text and stops at what is none.
Result<std::size_t> count_certificates(const std::string& pem, CertificatePtr* first) {
  const Status wrong(Errc::kInvalidArgument, "not a certificate as PEM text of at most 64 KiB");
  if (pem.size() > kMaxPemLen) return wrong;
  const BioPtr in(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  if (in == nullptr) return openssl_failed();
  std::size_t count = 0;
  for (;;) {
    CertificatePtr certificate(PEM_read_bio_X509(in.get(), nullptr, nullptr, nullptr));
    if (certificate == nullptr) break;
    if (count++ == 0) *first = std::move(certificate);
  }
  if (count == 0) return wrong;
  return count;
}

}  // namespace

Result<KmipKeyPair> make_key_pair(const CertificateSubject& subject) {
  const KeyPtr key(EVP_RSA_gen(kRsaBits));
  if (key == nullptr) return openssl_failed();
  KmipKeyPair pair;
  REWRAP_ASSIGN(pair.request_pem, make_request(key.get(), subject));
  REWRAP_ASSIGN(pair.private_key_pem, private_pem(key.get()));
  REWRAP_ASSIGN(pair.public_key, public_key_of(key.get()));
  return pair;
}

Status check_authorities(const std::string& pem) {
  CertificatePtr first;
  return count_certificates(pem, &first).status();
}

Status check_client_certificate(const std::string& pem, ByteView public_key) {
  CertificatePtr certificate;
  REWRAP_TRY(count_certificates(pem, &certificate).status());
  if (public_key.empty()) return {};
  EVP_PKEY* key = X509_get0_pubkey(certificate.get());
  if (key != nullptr) {
    REWRAP_ASSIGN(const Bytes own, public_key_of(key));
    if (own.size() == public_key.size() && std::equal(own.begin(), own.end(), public_key.begin()))
      return {};
  }
  return {Errc::kInvalidArgument, "the client certificate is not for the key pair that is here",
          "have the present certificate request signed"};
}

}  // namespace rewrap
