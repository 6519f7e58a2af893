// Reads the server's certificate and key, and says exactly what is wrong with them.
#ifndef REWRAP_API_HTTP_TLS_PEM_H_
#define REWRAP_API_HTTP_TLS_PEM_H_

#include <memory>
#include <string>
#include <vector>

#include "engine/base/status.h"

// OpenSSL's X509 and EVP_PKEY, whose headers stay out of ours.
struct x509_st;
struct evp_pkey_st;

namespace rewrap {

struct TlsPair {
  std::shared_ptr<x509_st> certificate;
  std::vector<std::shared_ptr<x509_st>> chain;  // what follows it in its file
  std::shared_ptr<evp_pkey_st> key;
};

// read_tls_pair reads and checks both files; errors as check_certificate in tls_certificate.h.
Result<TlsPair> read_tls_pair(const std::string& certificate_path, const std::string& key_path);

// read_certificates reads all certificates of a file, at least one; errors likewise.
Result<std::vector<std::shared_ptr<x509_st>>> read_certificates(const std::string& path);

// read_private_key reads a key that is not encrypted; errors likewise.
Result<std::shared_ptr<evp_pkey_st>> read_private_key(const std::string& path);

// fingerprint_of gives the SHA-256 of the whole certificate, 64 lower-case hex digits.
std::string fingerprint_of(x509_st* certificate);

}  // namespace rewrap

#endif  // REWRAP_API_HTTP_TLS_PEM_H_
