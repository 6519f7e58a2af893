// PKCS#11 URIs (RFC 7512), as far as a root or a wrapping key needs them. Pure, any thread.
#ifndef REWRAP_HSM_PKCS11_URI_H_
#define REWRAP_HSM_PKCS11_URI_H_

#include <string>

#include "engine/base/bytes.h"
#include "engine/base/status.h"

namespace rewrap {

// Pkcs11Uri holds what the URI names; an empty field was not given. It never holds a PIN.
struct Pkcs11Uri {
  std::string module_path;   // absolute
  std::string pin_file;      // the file that pin-source names
  std::string init_args;     // what C_Initialize's pReserved points to; most modules want nothing
  std::string token;         // token label, up to 32 bytes
  std::string serial;        // up to 16
  std::string manufacturer;  // up to 32
  std::string model;         // up to 16
  std::string object;        // the key's CKA_LABEL
  Bytes id;                  // the key's CKA_ID

  [[nodiscard]] bool names_key() const { return !object.empty() || !id.empty(); }
};

inline constexpr std::size_t kMaxKeyLabelLen = 255;
inline constexpr std::size_t kMaxKeyIdLen = 64;

// parse_pkcs11_uri accepts token, serial, manufacturer, model, object, id, type=secret-key,
// module-path (required), pin-source (pin_file_of) and x-rewrap-init-args (what NSS and its
// like want to be told when they start), each at most once and with a value.
// What it does not know it refuses: an attribute that is dropped in silence makes the URI match
// more tokens than the operator meant.
// Errors: kInvalidArgument  the message and the hint say which rule was broken
Result<Pkcs11Uri> parse_pkcs11_uri(const std::string& uri);

}  // namespace rewrap

#endif  // REWRAP_HSM_PKCS11_URI_H_
