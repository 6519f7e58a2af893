// The TPM 2.0 root: KEKs sealed in this machine's TPM. The TPM is reached for each operation anew and
// let go after it, so that nothing is left in it, and a TPM that serves one connection at a time can
// be shared. Lengths are bytes.
//
// Anti-rollback (counter= in the URI). A protector then opens only while a counter in the TPM has one
// value, so that a store copied yesterday does not open after a rekey. In this order exactly one set
// of protectors works at every instant, whatever crashes:
//   1. create() and protect(), for every KEK that is still needed, old ones too. All are made for the
//      value that follows the counter's; none opens yet (kConflict). Since it cannot be unsealed yet,
//      such a protector is checked by loading the object and comparing its policy.
//   2. Store them beside the old ones and commit: durable. The KEKs from step 1 may be used before.
//   3. activate() each. The first raises the counter by one: now these open, and the old ones are
//      dead (kRefused). The others find that done.
//   4. Delete the old ones.
// After a crash between 2 and 3, activate() what is stored (or delete it and go on with the old); a
// crash between 3 and 4 leaves old ones to be deleted. The first protectors ever need activate() too.
// A counter serves one keyset: whatever else is sealed to it dies at step 3. Whoever may send commands
// to the TPM can raise or delete the counter, and clear the TPM: keep a protector of another root.
#ifndef REWRAP_HSM_TPM2_TPM2_ROOT_H_
#define REWRAP_HSM_TPM2_TPM2_ROOT_H_

#include <cstddef>
#include <memory>
#include <string>

#include "hsm/root.h"

namespace rewrap {

// Whether open_tpm2_root looks for the parent key at once.
enum class ParentNeed { kUsable, kNone };

// open_tpm2_root checks that the TPM is there, and with kUsable its parent key. KEKs are made of the
// TPM's random bytes XORed with OpenSSL's. Root::open's codes, besides those of root.h:
//   kDenied      wrong PIN, locked TPM, final try, other PCR values, another TPM
//   kConflict    the protector is stored but not active yet: activate() it
//   kRefused     the TPM's counter says that the protector is older than the last rekey
//   kCorruption  the blob is damaged, or does not belong to this context
// The hint says the next step. Errors as open_root.
Result<std::unique_ptr<Root>> open_tpm2_root(const std::string& uri, const RootOptions& options,
                                             ParentNeed need);

// create_tpm2_root_key makes the parent key persistent at the URI's handle; it is no error if it is
// there already.
// Errors: kAlreadyExists    another key is at the handle
//         kInvalidArgument  the URI names no handle: there is nothing to make
Status create_tpm2_root_key(const std::string& uri);

// flush_leftovers throws every transient object and session out of the TPM, and gives their number.
// For a raw TPM whose room is used up by a program that ended without cleaning up; they may belong to
// a program that still runs, so only when the operator asks for it. Through a resource manager it
// finds nothing of others.
Result<std::size_t> flush_leftovers(const std::string& uri);

}  // namespace rewrap

#endif  // REWRAP_HSM_TPM2_TPM2_ROOT_H_
