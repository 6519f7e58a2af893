// How this server speaks TLS, and what it learns of a client's certificate.
#ifndef REWRAP_API_HTTP_TLS_CONTEXT_H_
#define REWRAP_API_HTTP_TLS_CONTEXT_H_

#include <memory>
#include <string>

#include "api/http/message.h"
#include "engine/base/status.h"

// OpenSSL's SSL_CTX and SSL, whose headers stay out of ours.
struct ssl_ctx_st;
struct ssl_st;

namespace rewrap {

using TlsServerContext = std::shared_ptr<ssl_ctx_st>;

// load_tls_context reads the files and makes a context: TLS 1.2 and 1.3, forward secrecy and AEAD
// only, no resumption (a resumed session would carry the verdict on a client's certificate past a
// reload, and past the certificate's end), no renegotiation, no compression, ALPN http/1.1. With a
// client CA, clients are asked for a certificate; one that fails to verify does not end the
// handshake. Any number of threads may make connections from one context.
// Errors: as check_certificate in tls_certificate.h
Result<TlsServerContext> load_tls_context(const std::string& certificate, const std::string& key,
                                          const std::string& client_ca);

// read_client_certificate tells what the client of a finished handshake has shown.
ClientCertificate read_client_certificate(ssl_st* tls);

}  // namespace rewrap

#endif  // REWRAP_API_HTTP_TLS_CONTEXT_H_
