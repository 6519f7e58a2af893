// One table: what each Result Reason means for whoever keeps a root key on the server.
#include "hsm/kmip/error.h"

#include <algorithm>
#include <array>

namespace rewrap {
namespace {

struct Entry {
  std::uint32_t reason;
  Errc code;
  const char* name;
  Literal message;
  Literal hint;
};

constexpr Literal kNotUnderstood = "the KMIP server does not understand the request";
constexpr Literal kNotUnderstoodHint =
    "see the server's log; it may not follow KMIP 1.2 where rewrap needs it";
constexpr Literal kNotOffered = "the KMIP server does not offer what a root needs";
constexpr Literal kNotOfferedHint = "see what it offers: rewrap root probe URI";
constexpr Literal kServerFailed = "the KMIP server failed";
constexpr Literal kServerFailedHint = "see the server's log, then run this again";

constexpr std::array kTable = {
    Entry{0x01, Errc::kNotFound, "Item Not Found", "the KMIP server has no such key",
          "check the name or id, and that the client certificate is that of the key's owner"},
    Entry{0x02, Errc::kExhausted, "Response Too Large",
          "the KMIP server's answer would be longer than 64 KiB",
          "name the key by id= if many keys have its name"},
    Entry{
        0x03, Errc::kDenied, "Authentication Not Successful",
        "the KMIP server does not accept this client",
        "register the client certificate with the server; it needs the use clientAuth and a name"},
    Entry{0x04, Errc::kUnsupported, "Invalid Message", kNotUnderstood, kNotUnderstoodHint},
    Entry{0x05, Errc::kUnsupported, "Operation Not Supported", kNotOffered, kNotOfferedHint},
    Entry{0x06, Errc::kUnsupported, "Missing Data", kNotUnderstood, kNotUnderstoodHint},
    Entry{0x07, Errc::kUnsupported, "Invalid Field", kNotUnderstood, kNotUnderstoodHint},
    Entry{0x08, Errc::kUnsupported, "Feature Not Supported", kNotOffered, kNotOfferedHint},
    Entry{0x09, Errc::kUnavailable, "Operation Canceled By Requester", kServerFailed,
          kServerFailedHint},
    Entry{0x0A, Errc::kUnavailable, "Cryptographic Failure", kServerFailed, kServerFailedHint},
    Entry{0x0B, Errc::kDenied, "Illegal Operation",
          "the KMIP server does not allow that for a key in this state",
          "look at the key's state on the server"},
    Entry{0x0C, Errc::kDenied, "Permission Denied",
          "the KMIP server does not allow that: the key belongs to another client, or its state "
          "forbids it",
          "check the key's owner and state on the server, and the client certificate"},
    Entry{0x0D, Errc::kUnavailable, "Object Archived", "the key is in the KMIP server's archive",
          "recover it on the server, then run this again"},
    Entry{0x10, Errc::kUnsupported, "Key Format Type Not Supported", kNotOffered, kNotOfferedHint},
    Entry{0x13, Errc::kNotFound, "Key Value Not Present",
          "the KMIP server knows the key but does not hold its value",
          "bring the key's value back to the server"},
    Entry{0x14, Errc::kUnsupported, "Attestation Required",
          "the KMIP server wants an attestation, which rewrap cannot give",
          "turn attestation off for this client"},
    Entry{0x15, Errc::kDenied, "Attestation Failed",
          "the KMIP server wants an attestation, which rewrap cannot give",
          "turn attestation off for this client"},
    // Of later versions, which some servers give whatever version was asked for.
    Entry{0x16, Errc::kDenied, "Sensitive", "the key may leave the KMIP server only wrapped",
          "the root key must be one that its owner can get: rewrap root create makes such a key"},
    Entry{0x17, Errc::kDenied, "Not Extractable", "the key may not leave the KMIP server",
          "the root key must be one that its owner can get: rewrap root create makes such a key"},
    Entry{0x18, Errc::kAlreadyExists, "Object Already Exists",
          "the KMIP server has such a key already", "choose another name"},
    Entry{0x100, Errc::kUnavailable, "General Failure", kServerFailed, kServerFailedHint},
};

}  // namespace

Literal kmip_operation_name(kmip::Operation operation) {
  using kmip::Operation;
  switch (operation) {
    case Operation::kCreate:
      return "Create";
    case Operation::kLocate:
      return "Locate";
    case Operation::kGet:
      return "Get";
    case Operation::kGetAttributes:
      return "Get Attributes";
    case Operation::kActivate:
      return "Activate";
    case Operation::kRevoke:
      return "Revoke";
    case Operation::kDestroy:
      return "Destroy";
    case Operation::kQuery:
      return "Query";
    case Operation::kDiscoverVersions:
      return "Discover Versions";
  }
  return "unknown operation";
}

Status kmip_failure(kmip::Operation operation, std::uint32_t reason) {
  const Literal call = kmip_operation_name(operation);
  const auto* found = std::find_if(kTable.begin(), kTable.end(),
                                   [reason](const Entry& entry) { return entry.reason == reason; });
  if (found == kTable.end()) {
    return Status::from_native(Errc::kUnavailable, Native::kKmip, reason, "an unknown reason", call,
                               kServerFailed, kServerFailedHint);
  }
  return Status::from_native(found->code, Native::kKmip, reason, found->name, call, found->message,
                             found->hint);
}

}  // namespace rewrap
