// PEM files, read once and whole, so that what is checked is what is used.
#include "api/http/tls_pem.h"

#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "api/http/tls_certificate.h"
#include "engine/base/bytes.h"
#include "engine/base/files.h"
#include "engine/base/secret_buffer.h"

namespace rewrap {
namespace {

constexpr int kMinSecurityBits = 112;  // RSA of 2,048 bits, P-256 has 128
constexpr std::size_t kMaxCertificates = 1'000;

using BioPtr = std::unique_ptr<BIO, decltype(&BIO_free)>;

// openssl_failure takes the newest error off OpenSSL's list, and empties the list.
Status openssl_failure(Literal call, Literal message, Literal hint = "") {
  const unsigned long error = ERR_peek_last_error();
  ERR_clear_error();
  return Status::from_native(Errc::kInvalidArgument, Native::kOpenssl,
                             static_cast<std::uint32_t>(error), ERR_reason_error_string(error),
                             call, message, hint);
}

Status check_mode(const struct stat& info, bool secret) {
  if (!S_ISREG(info.st_mode)) return {Errc::kDenied, "the PEM file is not a regular file"};
  if (secret && (info.st_mode & (S_IRWXO | S_IWGRP)) != 0) {
    return {Errc::kDenied, "the TLS key file is open to other users",
            "chmod 600 the key file, and ask who may have read it"};
  }
  return {};
}

// read_pem reads into locked memory, for it may be a key.
Result<SecretBuffer> read_pem(const std::string& path, bool secret) {
  const Descriptor fd(open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (fd.get() < 0) {
    return Status::from_errno(errno, "open", "cannot open the TLS file",
                              "check the paths of certificate, key and client CA");
  }
  struct stat info {};
  if (fstat(fd.get(), &info) != 0)
    return Status::from_errno(errno, "fstat", "cannot look at the TLS file");
  REWRAP_TRY(check_mode(info, secret));
  if (info.st_size <= 0) return Status(Errc::kInvalidArgument, "the TLS file is empty");
  if (static_cast<std::size_t>(info.st_size) > kMaxTlsPemLen)
    return Status(Errc::kInvalidArgument, "the TLS file is longer than 256 KiB");
  REWRAP_ASSIGN(SecretBuffer text, SecretBuffer::create(static_cast<std::size_t>(info.st_size)));
  const ByteSpan room = text.expose_secret();
  std::size_t have = 0;
  while (have < room.size()) {
    const ssize_t got = read(fd.get(), room.data() + have, room.size() - have);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Status::from_errno(errno, "read", "cannot read the TLS file");
    if (got == 0) break;
    have += static_cast<std::size_t>(got);
  }
  if (have == 0) return Status(Errc::kInvalidArgument, "the TLS file is empty");
  text.shrink_to(have);
  return text;
}

BioPtr reader_of(const SecretBuffer& text) {
  const ByteView bytes = text.expose_secret();
  return {BIO_new_mem_buf(bytes.data(), static_cast<int>(bytes.size())), BIO_free};
}

// no_passphrase stands where OpenSSL would ask for one on the terminal.
int no_passphrase(char* /*buffer*/, int /*size*/, int /*writing*/, void* /*context*/) { return -1; }

Status check_pair(const TlsPair& pair) {
  X509* certificate = pair.certificate.get();
  if (X509_check_private_key(certificate, pair.key.get()) != 1) {
    ERR_clear_error();
    return {Errc::kInvalidArgument, "the TLS key does not belong to the certificate",
            "the server's own certificate must be the first of its file"};
  }
  if (EVP_PKEY_get_security_bits(pair.key.get()) < kMinSecurityBits) {
    return {Errc::kInvalidArgument, "the TLS key is too weak",
            "use EC P-256, or RSA with 2,048 bits or more"};
  }
  if (X509_cmp_current_time(X509_get0_notAfter(certificate)) <= 0) {
    return {Errc::kInvalidArgument, "the TLS certificate has expired", "renew the certificate"};
  }
  if (X509_cmp_current_time(X509_get0_notBefore(certificate)) >= 0) {
    return {Errc::kInvalidArgument, "the TLS certificate is not valid yet", "check the clock"};
  }
  return {};
}

}  // namespace

Result<std::vector<std::shared_ptr<X509>>> read_certificates(const std::string& path) {
  REWRAP_ASSIGN(const SecretBuffer text, read_pem(path, false));
  const BioPtr reader = reader_of(text);
  std::vector<std::shared_ptr<X509>> certificates;
  ERR_clear_error();
  while (X509* next = PEM_read_bio_X509(reader.get(), nullptr, no_passphrase, nullptr)) {
    certificates.emplace_back(next, X509_free);
    if (certificates.size() > kMaxCertificates)
      return Status(Errc::kInvalidArgument, "the TLS file holds more than 1,000 certificates");
  }
  const bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  if (certificates.empty() || !at_end) {
    return openssl_failure("PEM_read_bio_X509", "the TLS certificate file is not PEM",
                           "it must hold BEGIN CERTIFICATE blocks only");
  }
  ERR_clear_error();
  return certificates;
}

Result<std::shared_ptr<EVP_PKEY>> read_private_key(const std::string& path) {
  REWRAP_ASSIGN(const SecretBuffer text, read_pem(path, true));
  const BioPtr reader = reader_of(text);
  ERR_clear_error();
  std::shared_ptr<EVP_PKEY> key(
      PEM_read_bio_PrivateKey(reader.get(), nullptr, no_passphrase, nullptr), EVP_PKEY_free);
  if (!key) {
    return openssl_failure("PEM_read_bio_PrivateKey", "the TLS key file is not a PEM private key",
                           "an encrypted key must be decrypted first: openssl pkey");
  }
  return key;
}

Result<TlsPair> read_tls_pair(const std::string& certificate_path, const std::string& key_path) {
  REWRAP_ASSIGN(auto certificates, read_certificates(certificate_path));
  TlsPair pair;
  pair.certificate = certificates.front();
  pair.chain.assign(certificates.begin() + 1, certificates.end());
  REWRAP_ASSIGN(pair.key, read_private_key(key_path));
  REWRAP_TRY(check_pair(pair));
  return pair;
}

std::string fingerprint_of(X509* certificate) {
  std::uint8_t digest[EVP_MAX_MD_SIZE];
  unsigned len = 0;
  if (X509_digest(certificate, EVP_sha256(), digest, &len) != 1) return {};
  return encode_hex({digest, len});
}

}  // namespace rewrap
