// The KMIP root: a root key kept by a KMIP server, one AES-256 symmetric key object. It is fetched
// when the root is opened (Get, over mutual TLS, into locked memory), the connection is let go, and KEKs
// are wrapped by AES key wrap on this host. docs/roots-kmip.md says why it is done that way.
#ifndef REWRAP_HSM_KMIP_KMIP_ROOT_H_
#define REWRAP_HSM_KMIP_KMIP_ROOT_H_

#include <functional>
#include <memory>
#include <string>

#include "hsm/kmip/client.h"
#include "hsm/root.h"

namespace rewrap {

// Whether open_kmip_root wants a root key there.
enum class KmipKeyNeed { kUsable, kNone };

// open_kmip_root fetches the root key. A Deactivated or Compromised one opens KEKs but protects no
// new ones (kRefused), so that a keyset can be taken to another root. Errors as open_root.
Result<std::unique_ptr<Root>> open_kmip_root(const std::string& uri, KmipKeyNeed need);

// KmipConnect makes a new connection each time. Errors: as KmipClient::connect
using KmipConnect = std::function<Result<std::unique_ptr<KmipClient>>()>;

// make_kmip_provider_root makes a root for programs that keep servers and identities elsewhere. It has
// a root key of its own for each KEK, made when the KEK is, named rewrap-`key_name` (the first) or by
// chance (if empty, and any further ones), and found again by its Unique Identifier in the protector.
// Nothing is asked of the server before the root is used. `uri` goes into the protectors.
// destroy leaves the root key on the server: which other protector it may serve, the server knows not.
// Errors: kInvalidArgument  `connect` is empty
Result<std::unique_ptr<Root>> make_kmip_provider_root(const std::string& uri, KmipConnect connect,
                                                      std::string key_name);

// create_kmip_root_key makes the root key on the server (Create, Activate), and fetches it once. What
// an interrupted one left behind is finished. Errors: as create_root_key; kConflict if another program
// makes one of that name at the same time.
Status create_kmip_root_key(const std::string& uri);

}  // namespace rewrap

#endif  // REWRAP_HSM_KMIP_KMIP_ROOT_H_
