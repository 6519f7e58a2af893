// Trying a token out: what it really does, found by doing it with throwaway session keys, since the
// flags that tokens list are not always the truth; and with two token keys, as KEKs that stay in the
// token are. Nothing is left there, unless all ends between the making and the destroying of such a
// key: its label begins with rewrap-kek-probe-. Belongs to the session's thread.
#ifndef REWRAP_HSM_PKCS11_PROBE_H_
#define REWRAP_HSM_PKCS11_PROBE_H_

#include <functional>
#include <memory>

#include "hsm/pkcs11/root_key.h"
#include "hsm/pkcs11/session.h"
#include "hsm/root.h"

namespace rewrap {

// probe_token tries each mechanism, about 0.1 s each where a rate is measured, and derives from that
// how KEKs can be guarded and which custody modes can be had. `root_key` is what was found under the
// URI's name, if anything; `open_writable` opens one more session to the same token, which may make
// token keys. The session's handle is a new one afterwards.
// The names of the capabilities, which scripts may look for:
//   "CKM_AES_KEY_GEN session key"         KEKs can be made in the token
//   "CKA_VALUE of a session key"          KEKs can come out: custody host by key wrap
//   "C_CreateObject of a session key"     KEKs that exist can be protected by key wrap
//   "CKM_AES_KEY_WRAP wrap+unwrap", "CKM_AES_KEY_WRAP_KWP wrap+unwrap",
//   "CKM_AES_GCM encrypt+decrypt", "CKM_RSA_PKCS_OAEP encrypt+decrypt"
//                                         per_second counts keys there and back
//   "token key for ENCRYPT+DECRYPT", "token key for WRAP+UNWRAP"
//                                         a KEK of custody kek-in-token, of in-token: made with the
//                                         attributes that it needs, used, destroyed
//   "CKM_AES_ECB bulk"                    custody kek-in-token; per_second counts 16-byte blocks
//   "unwrap+wrap+destroy"                 custody in-token; per_second counts DEKs
//   "C_GenerateRandom"                    per_second counts bytes
//   "root key is fit for use"             only where the URI names one that exists
using SessionOpener = std::function<Result<std::unique_ptr<Session>>()>;
RootReport probe_token(Session& session, const RootKey& root_key,
                       const SessionOpener& open_writable);

// choose_mechanism gives the first of AES key wrap, AES-GCM and RSA-OAEP by which the token seals a
// key, opens it again, and refuses a damaged one.
// Errors: kUnsupported  none of them
//         kUnavailable  the token fails
Result<Mechanism> choose_mechanism(Session& session);

}  // namespace rewrap

#endif  // REWRAP_HSM_PKCS11_PROBE_H_
