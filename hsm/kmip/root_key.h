// The root key on a KMIP server: named by a URI, made, found, fetched, ended. Any thread.
#ifndef REWRAP_HSM_KMIP_ROOT_KEY_H_
#define REWRAP_HSM_KMIP_ROOT_KEY_H_

#include <memory>
#include <string>

#include "engine/base/secret_buffer.h"
#include "engine/base/status.h"
#include "hsm/kmip/client.h"
#include "hsm/kmip/uri.h"

namespace rewrap {

// connect_kmip reads the files that the URI names, and connects.
// Errors: kNotFound, kDenied, kInvalidArgument  a file; the message says which
//         else as KmipClient::connect
Result<std::unique_ptr<KmipClient>> connect_kmip(const KmipUri& uri);

// KmipRootKey is one that exists: Active, Deactivated or Compromised.
struct KmipRootKey {
  std::string id;
  KmipState state = KmipState::kActive;
};

// find_root_key finds the key that the URI names, and makes sure that it is a root key: AES-256 for
// wrapping and unwrapping only.
// Errors: kNotFound  there is none, it was destroyed, or it was made and never activated
//         kConflict  more than one has the name
//         kRefused   it is another kind of key
//         else as KmipClient
Result<KmipRootKey> find_root_key(KmipClient& client, const KmipUri& uri);

// make_root_key makes it, and gives its id: Create, then Activate. A key of that name which was made
// and never activated is what an interrupted make_root_key leaves behind; it is taken and activated.
// Errors: kInvalidArgument  the URI has no name=
//         kAlreadyExists    there is one
//         kConflict         another program is making one of that name at this moment
Result<std::string> make_root_key(KmipClient& client, const KmipUri& uri);

}  // namespace rewrap

#endif  // REWRAP_HSM_KMIP_ROOT_KEY_H_
