// Trying a KMIP server out. One thread at a time.
#ifndef REWRAP_HSM_KMIP_PROBE_H_
#define REWRAP_HSM_KMIP_PROBE_H_

#include <string>

#include "hsm/kmip/client.h"
#include "hsm/root.h"

namespace rewrap {

// probe_kmip does with a throwaway key everything that is ever done with a root key. The key is named
// rewrap-probe-..., and destroyed at the end; a probe that dies in the middle leaves it behind.
// `key_ref` is that of the root key found, empty if there is none.
Result<RootReport> probe_kmip(KmipClient& client, const std::string& key_ref);

}  // namespace rewrap

#endif  // REWRAP_HSM_KMIP_PROBE_H_
