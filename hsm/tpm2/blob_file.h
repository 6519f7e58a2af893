// Sealed KEKs as tpm2-tools keeps them: a .pub and a .priv file (TPM2B_PUBLIC and TPM2B_PRIVATE,
// marshalled), and those files themselves. Any thread.
#ifndef REWRAP_HSM_TPM2_BLOB_FILE_H_
#define REWRAP_HSM_TPM2_BLOB_FILE_H_

#include <string>

#include "engine/base/bytes.h"
#include "hsm/root.h"

namespace rewrap {

// What tpm2_create -u PUB -r PRIV writes and tpm2_load reads. Nothing in it is secret.
struct SealedFiles {
  Bytes pub;
  Bytes priv;
};

// export_sealed gives the files of a protector. tpm2_load opens them under the same parent key; what
// the check value binds them to is lost.
// Errors: kUnsupported  another root's protector
//         kCorruption   it is damaged
Result<SealedFiles> export_sealed(const Protector& protector);

// write_sealed makes PREFIX.pub and PREFIX.priv, mode 0600, durable when it returns; both or neither.
// Errors: kAlreadyExists  one of them is there, and is left alone; else the file system's
Status write_sealed(const std::string& prefix, const SealedFiles& files);

// read_sealed reads them. Errors: kInvalidArgument  too long to be such a file; else the file system's
Result<SealedFiles> read_sealed(const std::string& prefix);

// import_sealed opens what tpm2_create sealed under the URI's parent key, and makes a protector of
// it. The URI's pcrs= and pin-source= must say how it was sealed: -L with tpm2_policypcr, then
// tpm2_policypassword where there is a PIN too; or -p alone. With counter= it is refused: such KEKs
// are sealed by protect().
// Errors: kInvalidArgument  not 16, 24 or 32 bytes, or counter= is given
//         kDenied           sealed under another parent key, or to other terms; wrong PIN
//         kRefused          the object's attributes would let it out, or past its policy
Result<ProtectedKek> import_sealed(const std::string& uri, const SealedFiles& files,
                                   ByteView context, const RootOptions& options);

}  // namespace rewrap

#endif  // REWRAP_HSM_TPM2_BLOB_FILE_H_
