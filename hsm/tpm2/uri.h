// tpm2: URIs. Pure, any thread.
#ifndef REWRAP_HSM_TPM2_URI_H_
#define REWRAP_HSM_TPM2_URI_H_

#include <cstdint>
#include <string>

#include "engine/base/status.h"
#include "hsm/tpm2/sealed_blob.h"

namespace rewrap {

// Tpm2Uri holds what the URI names. It never holds a PIN.
struct Tpm2Uri {
  std::string tcti;           // how to reach the TPM, in libtss2's words; empty: not given
  std::uint32_t handle = 0;   // the persistent parent; 0: a primary key made anew each time
  PcrSelection pcrs;          // empty: not bound to PCRs
  std::string pin_file;       // the file that pin-source names; empty: no PIN
  std::uint32_t counter = 0;  // the NV index of the counter; 0: none
};

// parse_tpm2_uri reads `tpm2:` or `tpm2:?name=value&...` with, each at most once and with a value,
//   tcti=swtpm:path=/run/tpm.sock     '&', '%' and '#' in it percent-encoded (RFC 3986)
//   handle=0x81000001                 0x81000000 to 0x817fffff, the owner's persistent objects
//   pcrs=sha256:7+11                  a bank (sha256, sha384, sha512), PCRs 0 to 22 but not 16
//   pin-source=file:/absolute/path    the PIN is in that file, see pin_file_of and read_pin_file
//   counter=0x01800100                0x01800000 to 0x01bfffff, the owner's NV indices
// Errors: kInvalidArgument  the message and the hint say which rule was broken
Result<Tpm2Uri> parse_tpm2_uri(const std::string& uri);

}  // namespace rewrap

#endif  // REWRAP_HSM_TPM2_URI_H_
