// The roots that the service reaches over the network: AWS KMS and KMIP, by what is configured in it.
#ifndef REWRAP_API_ROOTS_NETWORK_ROOTS_H_
#define REWRAP_API_ROOTS_NETWORK_ROOTS_H_

#include <string>

#include "api/service/root_access.h"

namespace rewrap {

struct NetworkRootOptions {
  // PEM file of the CAs that AWS KMS endpoints are checked against instead of the system's; empty: the
  // system's. For private endpoints.
  std::string aws_ca_file;
};

// network_roots gives the access of a real service: plain roots by their URIs, AWS KMS by libcurl, KMIP
// over mutual TLS. For ServiceOptions::access. Any thread.
//
// Errors of open_aws, besides those of make_awskms_root: kUnsupported  verify_host is off: there is no
// connection whose other end is not known.
RootAccess network_roots(NetworkRootOptions options);

}  // namespace rewrap

#endif  // REWRAP_API_ROOTS_NETWORK_ROOTS_H_
