// What a token can do, found by doing it: lists of mechanisms and their flags are not the truth.
#ifndef REWRAP_HSM_PKCS11_PROBE_H_
#define REWRAP_HSM_PKCS11_PROBE_H_

#include "hsm/pkcs11/session.h"

namespace rewrap {

// probe_token tries each capability with throwaway session keys (about a second in all) and
// describes the token. The names:
//   "CKM_AES_KEY_GEN session key"       KEKs can be made in the token
//   "CKA_VALUE of a session key"        KEKs can come out: custody host
//   "CKM_AES_KEY_WRAP wrap+unwrap"      protectors can be made; per_second counts pairs
//   "CKM_AES_KEY_WRAP_KWP wrap+unwrap"
//   "CKM_AES_GCM encrypt+decrypt"
//   "CKM_AES_ECB bulk"                  custody kek-in-token; per_second counts 16-byte blocks
//   "unwrap+wrap+destroy"               custody in-token; per_second counts DEKs
//   "C_GenerateRandom"                  per_second counts bytes
RootReport probe_token(Session& session);

}  // namespace rewrap

#endif  // REWRAP_HSM_PKCS11_PROBE_H_
