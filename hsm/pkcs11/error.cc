// One table: name and meaning of each return value that tokens give in practice.
#include "hsm/pkcs11/error.h"

#include <algorithm>
#include <array>

namespace rewrap {
namespace {

struct Entry {
  CK_RV rv;
  Errc code;
  const char* name;
};

#define REWRAP_CKR(name, code) \
  Entry { name, Errc::code, #name }
constexpr std::array kTable = {
    REWRAP_CKR(CKR_OK, kOk),
    REWRAP_CKR(CKR_CANCEL, kDenied),
    REWRAP_CKR(CKR_HOST_MEMORY, kExhausted),
    REWRAP_CKR(CKR_SLOT_ID_INVALID, kUnavailable),
    REWRAP_CKR(CKR_GENERAL_ERROR, kUnavailable),
    REWRAP_CKR(CKR_FUNCTION_FAILED, kUnavailable),
    REWRAP_CKR(CKR_ARGUMENTS_BAD, kUnsupported),
    REWRAP_CKR(CKR_CANT_LOCK, kUnsupported),
    REWRAP_CKR(CKR_ATTRIBUTE_READ_ONLY, kDenied),
    REWRAP_CKR(CKR_ATTRIBUTE_SENSITIVE, kDenied),
    REWRAP_CKR(CKR_ATTRIBUTE_TYPE_INVALID, kUnsupported),
    REWRAP_CKR(CKR_ATTRIBUTE_VALUE_INVALID, kUnsupported),
    REWRAP_CKR(CKR_ACTION_PROHIBITED, kDenied),
    REWRAP_CKR(CKR_DATA_INVALID, kUnsupported),
    REWRAP_CKR(CKR_DATA_LEN_RANGE, kUnsupported),
    REWRAP_CKR(CKR_DEVICE_ERROR, kUnavailable),
    REWRAP_CKR(CKR_DEVICE_MEMORY, kExhausted),
    REWRAP_CKR(CKR_DEVICE_REMOVED, kUnavailable),
    REWRAP_CKR(CKR_ENCRYPTED_DATA_INVALID, kIntegrity),
    REWRAP_CKR(CKR_ENCRYPTED_DATA_LEN_RANGE, kIntegrity),
    REWRAP_CKR(CKR_FUNCTION_CANCELED, kUnavailable),
    REWRAP_CKR(CKR_FUNCTION_NOT_SUPPORTED, kUnsupported),
    REWRAP_CKR(CKR_KEY_HANDLE_INVALID, kUnavailable),
    REWRAP_CKR(CKR_KEY_SIZE_RANGE, kUnsupported),
    REWRAP_CKR(CKR_KEY_TYPE_INCONSISTENT, kUnsupported),
    REWRAP_CKR(CKR_KEY_FUNCTION_NOT_PERMITTED, kDenied),
    REWRAP_CKR(CKR_KEY_NOT_WRAPPABLE, kDenied),
    REWRAP_CKR(CKR_KEY_UNEXTRACTABLE, kDenied),
    REWRAP_CKR(CKR_MECHANISM_INVALID, kUnsupported),
    REWRAP_CKR(CKR_MECHANISM_PARAM_INVALID, kUnsupported),
    REWRAP_CKR(CKR_OBJECT_HANDLE_INVALID, kUnavailable),
    REWRAP_CKR(CKR_OPERATION_ACTIVE, kUnavailable),
    REWRAP_CKR(CKR_OPERATION_NOT_INITIALIZED, kUnavailable),
    REWRAP_CKR(CKR_PIN_INCORRECT, kDenied),
    REWRAP_CKR(CKR_PIN_INVALID, kDenied),
    REWRAP_CKR(CKR_PIN_LEN_RANGE, kDenied),
    REWRAP_CKR(CKR_PIN_EXPIRED, kDenied),
    REWRAP_CKR(CKR_PIN_LOCKED, kDenied),
    REWRAP_CKR(CKR_SESSION_CLOSED, kUnavailable),
    REWRAP_CKR(CKR_SESSION_COUNT, kExhausted),
    REWRAP_CKR(CKR_SESSION_HANDLE_INVALID, kUnavailable),
    REWRAP_CKR(CKR_SESSION_READ_ONLY, kDenied),
    REWRAP_CKR(CKR_TEMPLATE_INCOMPLETE, kUnsupported),
    REWRAP_CKR(CKR_TEMPLATE_INCONSISTENT, kUnsupported),
    REWRAP_CKR(CKR_TOKEN_NOT_PRESENT, kUnavailable),
    REWRAP_CKR(CKR_TOKEN_NOT_RECOGNIZED, kUnavailable),
    REWRAP_CKR(CKR_TOKEN_WRITE_PROTECTED, kDenied),
    REWRAP_CKR(CKR_UNWRAPPING_KEY_SIZE_RANGE, kUnsupported),
    REWRAP_CKR(CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT, kUnsupported),
    REWRAP_CKR(CKR_USER_ALREADY_LOGGED_IN, kConflict),
    REWRAP_CKR(CKR_USER_NOT_LOGGED_IN, kUnavailable),
    REWRAP_CKR(CKR_USER_PIN_NOT_INITIALIZED, kNotFound),
    REWRAP_CKR(CKR_USER_ANOTHER_ALREADY_LOGGED_IN, kConflict),
    REWRAP_CKR(CKR_WRAPPED_KEY_INVALID, kIntegrity),
    REWRAP_CKR(CKR_WRAPPED_KEY_LEN_RANGE, kIntegrity),
    REWRAP_CKR(CKR_WRAPPING_KEY_HANDLE_INVALID, kUnavailable),
    REWRAP_CKR(CKR_WRAPPING_KEY_SIZE_RANGE, kUnsupported),
    REWRAP_CKR(CKR_WRAPPING_KEY_TYPE_INCONSISTENT, kUnsupported),
    REWRAP_CKR(CKR_RANDOM_NO_RNG, kUnsupported),
    REWRAP_CKR(CKR_BUFFER_TOO_SMALL, kUnsupported),
    REWRAP_CKR(CKR_CRYPTOKI_NOT_INITIALIZED, kUnavailable),
    REWRAP_CKR(CKR_FIPS_SELF_TEST_FAILED, kUnavailable),
    REWRAP_CKR(CKR_LIBRARY_LOAD_FAILED, kUnavailable),
    REWRAP_CKR(CKR_FUNCTION_REJECTED, kDenied),
};
#undef REWRAP_CKR

const Entry* find_entry(CK_RV rv) {
  const auto* found = std::find_if(kTable.begin(), kTable.end(),
                                   [rv](const Entry& entry) { return entry.rv == rv; });
  return found == kTable.end() ? nullptr : found;
}

}  // namespace

const char* ckr_name(CK_RV rv) {
  const Entry* entry = find_entry(rv);
  return entry == nullptr ? "CKR_?" : entry->name;
}

Errc ckr_code(CK_RV rv) {
  const Entry* entry = find_entry(rv);
  return entry == nullptr ? Errc::kUnavailable : entry->code;
}

Status check(CK_RV rv, Literal call, Literal message, Literal hint) {
  return check_as(ckr_code(rv), rv, call, message, hint);
}

Status check_as(Errc code, CK_RV rv, Literal call, Literal message, Literal hint) {
  if (rv == CKR_OK) return {};
  return Status::from_native(code, Native::kPkcs11, static_cast<std::uint32_t>(rv), ckr_name(rv),
                             call, message, hint);
}

}  // namespace rewrap
