// The key pair and certificates of a KMIP client, by OpenSSL. Any thread.
#ifndef REWRAP_API_SERVICE_KMIP_CERTIFICATE_H_
#define REWRAP_API_SERVICE_KMIP_CERTIFICATE_H_

#include <string>

#include "api/service/kmip.h"
#include "api/service/kmip_store.h"
#include "engine/base/status.h"

namespace rewrap {

// make_key_pair makes an RSA key of 2048 bits and a request for a TLS client certificate (PKCS #10,
// SHA-256; keyUsage digitalSignature and keyEncipherment, extendedKeyUsage clientAuth).
// Errors: kInvalidArgument  a part of the subject is too long, or the country has not two letters
Result<KmipKeyPair> make_key_pair(const CertificateSubject& subject);

// check_authorities: PEM text of one certificate or more. Errors: kInvalidArgument
Status check_authorities(const std::string& pem);

// check_client_certificate: PEM text of a certificate; for that key unless `public_key` is empty.
// Errors: kInvalidArgument
Status check_client_certificate(const std::string& pem, ByteView public_key);

}  // namespace rewrap

#endif  // REWRAP_API_SERVICE_KMIP_CERTIFICATE_H_
