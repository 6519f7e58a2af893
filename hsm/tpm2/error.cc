// One table: name and meaning of each return value that TPMs and libtss2 give in practice.
#include "hsm/tpm2/error.h"

#include <tss2/tss2_common.h>
#include <tss2/tss2_tpm2_types.h>

#include <algorithm>
#include <array>
#include <mutex>
#include <set>

namespace rewrap {
namespace {

constexpr std::size_t kMaxKeptTexts = 256;
constexpr std::uint32_t kFormatOne = 0x80;       // TPM 2.0 Library, Part 2, 6.6: bit F
constexpr std::uint32_t kFormatOneError = 0xbf;  // bit F and the error's own number
constexpr std::uint32_t kAnyTpmError = 0xfff;

struct Entry {
  std::uint32_t error;
  Errc code;
  const char* name;
};

constexpr std::array kTable = {
    Entry{TPM2_RC_AUTH_FAIL, Errc::kDenied, "TPM_RC_AUTH_FAIL"},
    Entry{TPM2_RC_BAD_AUTH, Errc::kDenied, "TPM_RC_BAD_AUTH"},
    Entry{TPM2_RC_LOCKOUT, Errc::kDenied, "TPM_RC_LOCKOUT"},
    Entry{TPM2_RC_POLICY_FAIL, Errc::kDenied, "TPM_RC_POLICY_FAIL"},
    Entry{TPM2_RC_POLICY, Errc::kDenied, "TPM_RC_POLICY"},
    Entry{TPM2_RC_PCR_CHANGED, Errc::kConflict, "TPM_RC_PCR_CHANGED"},
    Entry{TPM2_RC_PCR, Errc::kUnsupported, "TPM_RC_PCR"},
    Entry{TPM2_RC_VALUE, Errc::kUnsupported, "TPM_RC_VALUE"},
    Entry{TPM2_RC_SIZE, Errc::kUnsupported, "TPM_RC_SIZE"},
    Entry{TPM2_RC_ATTRIBUTES, Errc::kUnsupported, "TPM_RC_ATTRIBUTES"},
    Entry{TPM2_RC_HASH, Errc::kUnsupported, "TPM_RC_HASH"},
    Entry{TPM2_RC_CURVE, Errc::kUnsupported, "TPM_RC_CURVE"},
    Entry{TPM2_RC_COMMAND_CODE, Errc::kUnsupported, "TPM_RC_COMMAND_CODE"},
    Entry{TPM2_RC_AUTH_UNAVAILABLE, Errc::kInternal, "TPM_RC_AUTH_UNAVAILABLE"},
    Entry{TPM2_RC_INTEGRITY, Errc::kIntegrity, "TPM_RC_INTEGRITY"},
    Entry{TPM2_RC_HANDLE, Errc::kNotFound, "TPM_RC_HANDLE"},
    Entry{TPM2_RC_HIERARCHY, Errc::kDenied, "TPM_RC_HIERARCHY"},
    Entry{TPM2_RC_DISABLED, Errc::kDenied, "TPM_RC_DISABLED"},
    Entry{TPM2_RC_OBJECT_MEMORY, Errc::kUnavailable, "TPM_RC_OBJECT_MEMORY"},
    Entry{TPM2_RC_SESSION_MEMORY, Errc::kUnavailable, "TPM_RC_SESSION_MEMORY"},
    Entry{TPM2_RC_SESSION_HANDLES, Errc::kUnavailable, "TPM_RC_SESSION_HANDLES"},
    Entry{TPM2_RC_OBJECT_HANDLES, Errc::kUnavailable, "TPM_RC_OBJECT_HANDLES"},
    Entry{TPM2_RC_MEMORY, Errc::kUnavailable, "TPM_RC_MEMORY"},
    Entry{TPM2_RC_NV_SPACE, Errc::kExhausted, "TPM_RC_NV_SPACE"},
    Entry{TPM2_RC_NV_DEFINED, Errc::kAlreadyExists, "TPM_RC_NV_DEFINED"},
    Entry{TPM2_RC_NV_UNINITIALIZED, Errc::kNotFound, "TPM_RC_NV_UNINITIALIZED"},
    Entry{TPM2_RC_NV_RATE, Errc::kUnavailable, "TPM_RC_NV_RATE"},
    Entry{TPM2_RC_NV_UNAVAILABLE, Errc::kUnavailable, "TPM_RC_NV_UNAVAILABLE"},
    Entry{TPM2_RC_RETRY, Errc::kUnavailable, "TPM_RC_RETRY"},
    Entry{TPM2_RC_YIELDED, Errc::kUnavailable, "TPM_RC_YIELDED"},
    Entry{TPM2_RC_TESTING, Errc::kUnavailable, "TPM_RC_TESTING"},
    Entry{TPM2_RC_FAILURE, Errc::kUnavailable, "TPM_RC_FAILURE"},
    Entry{TPM2_RC_INITIALIZE, Errc::kUnavailable, "TPM_RC_INITIALIZE"},
    Entry{TSS2_TCTI_RC_IO_ERROR, Errc::kUnavailable, "TSS2_TCTI_RC_IO_ERROR"},
    Entry{TSS2_TCTI_RC_NOT_SUPPORTED, Errc::kUnavailable, "TSS2_TCTI_RC_NOT_SUPPORTED"},
    Entry{TSS2_TCTI_RC_BAD_VALUE, Errc::kInvalidArgument, "TSS2_TCTI_RC_BAD_VALUE"},
    Entry{TSS2_TCTI_RC_MALFORMED_RESPONSE, Errc::kUnavailable, "TSS2_TCTI_RC_MALFORMED_RESPONSE"},
    Entry{TSS2_TCTI_RC_NO_CONNECTION, Errc::kUnavailable, "TSS2_TCTI_RC_NO_CONNECTION"},
    Entry{TSS2_ESYS_RC_MEMORY, Errc::kExhausted, "TSS2_ESYS_RC_MEMORY"},
    Entry{TSS2_ESYS_RC_MALFORMED_RESPONSE, Errc::kUnavailable, "TSS2_ESYS_RC_MALFORMED_RESPONSE"},
    Entry{TSS2_ESYS_RC_RSP_AUTH_FAILED, Errc::kUnavailable, "TSS2_ESYS_RC_RSP_AUTH_FAILED"},
};

const Entry* find_entry(std::uint32_t rc) {
  const std::uint32_t error = tpm_error(rc);
  const auto* found = std::find_if(kTable.begin(), kTable.end(),
                                   [error](const Entry& entry) { return entry.error == error; });
  return found == kTable.end() ? nullptr : found;
}

// kept_text gives the same text with a life as long as the program's, as Status needs it; nullptr
// when there are too many already.
const char* kept_text(const std::string& text) {
  static std::mutex mutex;
  // Never destroyed: a Status may outlive every static object.
  static auto* texts = new std::set<std::string>();
  const std::lock_guard<std::mutex> lock(mutex);
  if (texts->size() >= kMaxKeptTexts && !texts->contains(text)) return nullptr;
  return texts->insert(text).first->c_str();
}

Status from_tpm(Errc code, std::uint32_t rc, const char* text, Literal call, Literal message,
                Literal hint) {
  return Status::from_native(code, Native::kTpm2, rc, text, call, message, hint);
}

bool is_out_of_room(std::uint32_t error) {
  return error == TPM2_RC_OBJECT_MEMORY || error == TPM2_RC_SESSION_MEMORY ||
         error == TPM2_RC_SESSION_HANDLES || error == TPM2_RC_OBJECT_HANDLES;
}

bool is_connection(std::uint32_t error) {
  return (error & TSS2_RC_LAYER_MASK) == TSS2_TCTI_RC_LAYER ||
         error == TSS2_ESYS_RC_MALFORMED_RESPONSE || error == TSS2_ESYS_RC_RSP_AUTH_FAILED;
}

}  // namespace

std::uint32_t tpm_error(std::uint32_t rc) {
  const std::uint32_t layer = rc & TSS2_RC_LAYER_MASK;
  const bool from_tpm = layer == TSS2_TPM_RC_LAYER || layer == TSS2_RESMGR_TPM_RC_LAYER ||
                        layer == TSS2_RESMGR_RC_LAYER;
  if (!from_tpm) return rc;
  if ((rc & kFormatOne) != 0) return rc & kFormatOneError;
  return rc & kAnyTpmError;
}

const char* tpm_error_name(std::uint32_t rc) {
  const Entry* entry = find_entry(rc);
  return entry == nullptr ? "TPM_RC_?" : entry->name;
}

Errc tpm_code(std::uint32_t rc) {
  const Entry* entry = find_entry(rc);
  return entry == nullptr ? Errc::kUnavailable : entry->code;
}

Status check_tpm(std::uint32_t rc, Literal call, Literal message, Literal hint) {
  if (rc == TSS2_RC_SUCCESS) return {};
  const std::uint32_t error = tpm_error(rc);
  const char* name = tpm_error_name(rc);
  if (is_out_of_room(error)) {
    return from_tpm(
        Errc::kUnavailable, rc, name, call,
        "the TPM has no room: another program uses it now, or ended without cleaning up",
        "use /dev/tpmrm0, which cleans up; or, once the programs that use it have ended, rewrap "
        "root flush URI");
  }
  if (is_connection(error)) {
    return from_tpm(tpm_code(rc), rc, name, call, "the connection to the TPM failed",
                    "check that the TPM is there and that tcti= names it, then run this again");
  }
  return from_tpm(tpm_code(rc), rc, name, call, message, hint);
}

Status fail_tpm(Errc code, std::uint32_t rc, const std::string& detail, Literal call,
                Literal message, Literal hint) {
  const char* name = tpm_error_name(rc);
  const char* text = detail.empty() ? nullptr : kept_text(name + ("; " + detail));
  return from_tpm(code, rc, text == nullptr ? name : text, call, message, hint);
}

}  // namespace rewrap
