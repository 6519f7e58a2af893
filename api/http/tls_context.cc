// OpenSSL's side of the server.
#include "api/http/tls_context.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <cstring>
#include <string_view>
#include <utility>

#include "api/http/tls_pem.h"
#include "engine/base/bytes.h"

namespace rewrap {
namespace {

constexpr int kSecurityLevel = 2;  // no RSA below 2,048 bits, no SHA-1 in certificates
constexpr const char* kTls12Ciphers = "ECDHE+AESGCM:ECDHE+CHACHA20";
constexpr std::size_t kMaxAlternativeNames = 64;

Status failure(Errc code, Literal call, Literal message) {
  const unsigned long error = ERR_peek_last_error();
  ERR_clear_error();
  return Status::from_native(code, Native::kOpenssl, static_cast<std::uint32_t>(error),
                             ERR_reason_error_string(error), call, message);
}

// verify_and_go_on checks the client's chain, leaves the verdict where read_client_certificate finds
// it, and lets the handshake go on: the answer is a 401 in the API's own shape.
int verify_and_go_on(X509_STORE_CTX* chain, void* /*context*/) {
  if (X509_verify_cert(chain) != 1 && X509_STORE_CTX_get_error(chain) == X509_V_OK) {
    X509_STORE_CTX_set_error(chain, X509_V_ERR_UNSPECIFIED);
  }
  ERR_clear_error();
  return 1;
}

int select_http11(SSL* /*tls*/, const unsigned char** out, unsigned char* out_len,
                  const unsigned char* offered, unsigned offered_len, void* /*context*/) {
  static constexpr unsigned char kHttp11[] = "\x08http/1.1";
  unsigned char* selected = nullptr;
  const int found =
      SSL_select_next_proto(&selected, out_len, kHttp11, sizeof kHttp11 - 1, offered, offered_len);
  if (found != OPENSSL_NPN_NEGOTIATED) return SSL_TLSEXT_ERR_ALERT_FATAL;
  *out = selected;
  return SSL_TLSEXT_ERR_OK;
}

Status use_pair(SSL_CTX* context, const TlsPair& pair) {
  bool used = SSL_CTX_use_certificate(context, pair.certificate.get()) == 1;
  for (const auto& certificate : pair.chain) {
    used = used && SSL_CTX_add1_chain_cert(context, certificate.get()) == 1;
  }
  used = used && SSL_CTX_use_PrivateKey(context, pair.key.get()) == 1;
  if (used) return {};
  return failure(Errc::kInvalidArgument, "SSL_CTX_use_certificate",
                 "OpenSSL refuses the TLS certificate");
}

Status use_client_ca(SSL_CTX* context, const std::string& path) {
  REWRAP_ASSIGN(const auto certificates, read_certificates(path));
  for (const auto& certificate : certificates) {
    if (X509_STORE_add_cert(SSL_CTX_get_cert_store(context), certificate.get()) != 1 ||
        SSL_CTX_add_client_CA(context, certificate.get()) != 1) {
      return failure(Errc::kInvalidArgument, "X509_STORE_add_cert",
                     "OpenSSL refuses a CA certificate for clients");
    }
  }
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_cert_verify_callback(context, verify_and_go_on, nullptr);
  return {};
}

Status set_up(SSL_CTX* context) {
  SSL_CTX_set_security_level(context, kSecurityLevel);
  SSL_CTX_set_options(context, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                   SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_CLEANSE_PLAINTEXT |
                                   SSL_OP_PRIORITIZE_CHACHA);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_alpn_select_cb(context, select_http11, nullptr);
  if (SSL_CTX_set_num_tickets(context, 0) == 1 &&
      SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1 &&
      SSL_CTX_set_cipher_list(context, kTls12Ciphers) == 1) {
    return {};
  }
  return failure(Errc::kInternal, "SSL_CTX_set_cipher_list", "cannot set TLS up");
}

// text_of gives a name in UTF-8, or "" if it holds a zero byte, with which "bank.example\0.evil"
// would read as the first half.
std::string text_of(const ASN1_STRING* name) {
  unsigned char* bytes = nullptr;
  const int len = ASN1_STRING_to_UTF8(&bytes, name);
  if (len < 0) {
    ERR_clear_error();
    return {};
  }
  std::string text(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(len));
  OPENSSL_free(bytes);
  return text.find('\0') == std::string::npos ? text : "";
}

std::string common_name_of(X509* certificate) {
  const X509_NAME* subject = X509_get_subject_name(certificate);
  const int first = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
  if (first < 0 || X509_NAME_get_index_by_NID(subject, NID_commonName, first) >= 0) return {};
  return text_of(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, first)));
}

std::string address_of(const ASN1_OCTET_STRING* bytes) {
  const int family = ASN1_STRING_length(bytes) == 4 ? AF_INET : AF_INET6;
  if (family == AF_INET6 && ASN1_STRING_length(bytes) != 16) return {};
  char text[INET6_ADDRSTRLEN];
  return inet_ntop(family, ASN1_STRING_get0_data(bytes), text, sizeof text) == nullptr ? "" : text;
}

std::pair<std::string_view, std::string> alternative_name(const GENERAL_NAME* name) {
  int type = 0;
  const void* value = GENERAL_NAME_get0_value(name, &type);
  switch (type) {
    case GEN_DNS:
      return {"DNS:", text_of(static_cast<const ASN1_STRING*>(value))};
    case GEN_EMAIL:
      return {"email:", text_of(static_cast<const ASN1_STRING*>(value))};
    case GEN_URI:
      return {"URI:", text_of(static_cast<const ASN1_STRING*>(value))};
    case GEN_IPADD:
      return {"IP:", address_of(static_cast<const ASN1_OCTET_STRING*>(value))};
    default:
      return {};
  }
}

std::vector<std::string> alternative_names_of(X509* certificate) {
  std::vector<std::string> names;
  const std::unique_ptr<GENERAL_NAMES, decltype(&GENERAL_NAMES_free)> list(
      static_cast<GENERAL_NAMES*>(
          X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)),
      GENERAL_NAMES_free);
  ERR_clear_error();
  for (int i = 0; list && i < sk_GENERAL_NAME_num(list.get()); ++i) {
    const auto [kind, text] = alternative_name(sk_GENERAL_NAME_value(list.get(), i));
    if (!text.empty() && names.size() < kMaxAlternativeNames)
      names.push_back(std::string(kind) + text);
  }
  return names;
}

}  // namespace

Result<TlsServerContext> load_tls_context(const std::string& certificate, const std::string& key,
                                          const std::string& client_ca) {
  REWRAP_ASSIGN(const TlsPair pair, read_tls_pair(certificate, key));
  TlsServerContext context(SSL_CTX_new(TLS_server_method()), SSL_CTX_free);
  if (!context) return failure(Errc::kInternal, "SSL_CTX_new", "cannot set TLS up");
  REWRAP_TRY(set_up(context.get()));
  REWRAP_TRY(use_pair(context.get(), pair));
  if (!client_ca.empty()) REWRAP_TRY(use_client_ca(context.get(), client_ca));
  return context;
}

ClientCertificate read_client_certificate(SSL* tls) {
  ClientCertificate result;
  X509* certificate = SSL_get0_peer_certificate(tls);
  if (certificate == nullptr) return result;
  result.presented = true;
  const long verdict = SSL_get_verify_result(tls);
  result.verified = verdict == X509_V_OK;
  if (!result.verified) result.error = X509_verify_cert_error_string(verdict);
  result.common_name = common_name_of(certificate);
  result.alternative_names = alternative_names_of(certificate);
  result.sha256 = fingerprint_of(certificate);
  return result;
}

}  // namespace rewrap
