// Makes a self-signed certificate, and tells what is in one.
#include "api/http/tls_certificate.h"

#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <ctime>
#include <memory>
#include <utility>

#include "api/http/tls_pem.h"
#include "engine/base/bytes.h"
#include "engine/base/files.h"
#include "hsm/secret_file.h"

namespace rewrap {
namespace {

constexpr mode_t kCertificateMode = 0644;
constexpr long kValidDays = 3650;
constexpr long kSecondsPerDay = 86'400;
constexpr long kClockSkewSeconds = 3'600;  // clients whose clock is behind accept it at once
constexpr int kSerialBits = 159;           // RFC 5280 section 4.1.2.2: positive, at most 20 octets
constexpr std::size_t kMaxCommonNameLen = 64;

using BioPtr = std::unique_ptr<BIO, decltype(&BIO_free)>;
using KeyPtr = std::shared_ptr<EVP_PKEY>;
using CertificatePtr = std::unique_ptr<X509, decltype(&X509_free)>;

Status failure(Literal call) {
  const unsigned long error = ERR_peek_last_error();
  ERR_clear_error();
  return Status::from_native(Errc::kInternal, Native::kOpenssl, static_cast<std::uint32_t>(error),
                             ERR_reason_error_string(error), call,
                             "cannot make the TLS certificate");
}

bool exists(const std::string& path) {
  struct stat info {};
  return lstat(path.c_str(), &info) == 0;
}

// host_name gives this host's name if it can stand in a certificate, else "".
std::string host_name() {
  char name[HOST_NAME_MAX + 1] = {};
  if (gethostname(name, sizeof name - 1) != 0) return {};
  const std::string text(name);
  const bool fit = std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.';
  });
  return fit ? text : "";
}

Result<KeyPtr> make_key(const std::string& path) {
  const KeyPtr key(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256"), EVP_PKEY_free);
  if (!key) return failure("EVP_PKEY_Q_keygen");
  const BioPtr text(BIO_new(BIO_s_secmem()), BIO_free);  // wiped when freed
  if (!text ||
      PEM_write_bio_PrivateKey(text.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) != 1) {
    return failure("PEM_write_bio_PrivateKey");
  }
  char* bytes = nullptr;
  const long len = BIO_get_mem_data(text.get(), &bytes);
  REWRAP_TRY(write_key_file(path, as_bytes({bytes, static_cast<std::size_t>(len)})));
  return key;
}

bool add_extension(X509* certificate, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, certificate, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  if (extension == nullptr) return false;
  const bool added = X509_add_ext(certificate, extension, -1) == 1;
  X509_EXTENSION_free(extension);
  return added;
}

bool set_serial(X509* certificate) {
  const std::unique_ptr<BIGNUM, decltype(&BN_free)> number(BN_new(), BN_free);
  return number && BN_rand(number.get(), kSerialBits, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1 &&
         BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) != nullptr;
}

bool set_names(X509* certificate, const std::string& host) {
  const std::string common = host.empty() || host.size() > kMaxCommonNameLen ? "localhost" : host;
  X509_NAME* name = X509_get_subject_name(certificate);
  const ByteView bytes = as_bytes(common);
  if (X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8, bytes.data(),
                                 static_cast<int>(bytes.size()), -1, 0) != 1) {
    return false;
  }
  std::string names = "DNS:localhost,IP:127.0.0.1,IP:::1";
  if (!host.empty() && host != "localhost") names += ",DNS:" + host;
  return X509_set_issuer_name(certificate, name) == 1 &&
         add_extension(certificate, NID_subject_alt_name, names);
}

Result<CertificatePtr> make_certificate(EVP_PKEY* key) {
  CertificatePtr certificate(X509_new(), X509_free);
  X509* x509 = certificate.get();
  const bool made =
      x509 != nullptr && X509_set_version(x509, X509_VERSION_3) == 1 && set_serial(x509) &&
      X509_gmtime_adj(X509_getm_notBefore(x509), -kClockSkewSeconds) != nullptr &&
      X509_gmtime_adj(X509_getm_notAfter(x509), kValidDays * kSecondsPerDay) != nullptr &&
      X509_set_pubkey(x509, key) == 1 && set_names(x509, host_name()) &&
      add_extension(x509, NID_basic_constraints, "critical,CA:FALSE") &&
      add_extension(x509, NID_key_usage, "critical,digitalSignature") &&
      add_extension(x509, NID_ext_key_usage, "serverAuth") &&
      add_extension(x509, NID_subject_key_identifier, "hash") &&
      X509_sign(x509, key, EVP_sha256()) > 0;
  if (!made) return failure("X509_sign");
  return certificate;
}

Status write_all(int fd, ByteView bytes) {
  while (!bytes.empty()) {
    const ssize_t put = write(fd, bytes.data(), bytes.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return Status::from_errno(errno, "write", "cannot write the TLS certificate");
    bytes = bytes.subspan(static_cast<std::size_t>(put));
  }
  if (fsync(fd) != 0) return Status::from_errno(errno, "fsync", "cannot write the TLS certificate");
  return {};
}

Status write_certificate(const std::string& path, X509* certificate) {
  const BioPtr text(BIO_new(BIO_s_mem()), BIO_free);
  if (!text || PEM_write_bio_X509(text.get(), certificate) != 1)
    return failure("PEM_write_bio_X509");
  char* bytes = nullptr;
  const long len = BIO_get_mem_data(text.get(), &bytes);
  const int fd =
      open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, kCertificateMode);
  if (fd < 0) return Status::from_errno(errno, "open", "cannot make the TLS certificate file");
  Status status = write_all(fd, as_bytes({bytes, static_cast<std::size_t>(len)}));
  close(fd);
  if (status.ok()) status = sync_directory(parent_directory(path));
  if (!status.ok()) unlink(path.c_str());
  return status;
}

std::int64_t seconds_of(const ASN1_TIME* time) {
  std::tm parts{};
  return ASN1_TIME_to_tm(time, &parts) == 1 ? static_cast<std::int64_t>(timegm(&parts)) : 0;
}

std::string subject_of(X509* certificate) {
  const BioPtr text(BIO_new(BIO_s_mem()), BIO_free);
  if (!text) return {};
  X509_NAME_print_ex(text.get(), X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253);
  char* bytes = nullptr;
  const long len = BIO_get_mem_data(text.get(), &bytes);
  return {bytes, static_cast<std::size_t>(len)};
}

}  // namespace

Status make_self_signed(const std::string& certificate_path, const std::string& key_path) {
  const bool has_key = exists(key_path);
  if (exists(certificate_path)) {
    if (has_key) return {};
    return {Errc::kNotFound, "the TLS certificate is there, but not its key",
            "put the key back, or remove the certificate to have a new one made"};
  }
  // The key comes first: a start that was cut short between the two goes on from here.
  REWRAP_ASSIGN(const KeyPtr key, has_key ? read_private_key(key_path) : make_key(key_path));
  REWRAP_ASSIGN(const CertificatePtr certificate, make_certificate(key.get()));
  return write_certificate(certificate_path, certificate.get());
}

Result<TlsCertificateInfo> check_certificate(const std::string& certificate_path,
                                             const std::string& key_path) {
  REWRAP_ASSIGN(const TlsPair pair, read_tls_pair(certificate_path, key_path));
  TlsCertificateInfo info;
  info.subject = subject_of(pair.certificate.get());
  info.sha256 = fingerprint_of(pair.certificate.get());
  info.not_before = seconds_of(X509_get0_notBefore(pair.certificate.get()));
  info.not_after = seconds_of(X509_get0_notAfter(pair.certificate.get()));
  return info;
}

}  // namespace rewrap
