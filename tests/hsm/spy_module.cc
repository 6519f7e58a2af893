// A PKCS#11 module that passes calls on to SoftHSM, counts some, and fails on demand.
#include "tests/hsm/spy_module.h"

#include "hsm/pkcs11/cryptoki.h"
#include "tests/hsm/real_module.h"

namespace {

CK_FUNCTION_LIST real;
CK_FUNCTION_LIST spied;

}  // namespace

extern "C" {

rewrap::test::SpyControl rewrap_spy_control{};

static CK_RV spy_login(CK_SESSION_HANDLE session, CK_USER_TYPE user, unsigned char* pin,
                       CK_ULONG pin_len) {
  ++rewrap_spy_control.num_logins;
  return real.C_Login(session, user, pin, pin_len);
}

static CK_RV spy_logout(CK_SESSION_HANDLE session) {
  ++rewrap_spy_control.num_logouts;
  return real.C_Logout(session);
}

static CK_RV spy_finalize(void* reserved) {
  ++rewrap_spy_control.num_finalizes;
  return real.C_Finalize(reserved);
}

static CK_RV spy_get_token_info(CK_SLOT_ID slot, CK_TOKEN_INFO* info) {
  if (rewrap_spy_control.is_dead != 0) return CKR_DEVICE_ERROR;
  if (rewrap_spy_control.num_missed_tokens > 0) {
    --rewrap_spy_control.num_missed_tokens;
    return CKR_TOKEN_NOT_RECOGNIZED;
  }
  const CK_RV rv = real.C_GetTokenInfo(slot, info);
  if (rv == CKR_OK) info->flags |= rewrap_spy_control.extra_token_flags;
  return rv;
}

static CK_RV spy_open_session(CK_SLOT_ID slot, CK_FLAGS flags, void* application, CK_NOTIFY notify,
                              CK_SESSION_HANDLE* session) {
  if (rewrap_spy_control.is_dead != 0) return CKR_DEVICE_ERROR;
  const CK_RV rv = real.C_OpenSession(slot, flags, application, notify, session);
  if (rv == CKR_OK) ++rewrap_spy_control.num_open_sessions;
  return rv;
}

static CK_RV spy_close_session(CK_SESSION_HANDLE session) {
  const CK_RV rv = real.C_CloseSession(session);
  if (rv == CKR_OK) --rewrap_spy_control.num_open_sessions;
  return rv;
}

static CK_RV spy_unwrap_key(CK_SESSION_HANDLE session, CK_MECHANISM* mechanism,
                            CK_OBJECT_HANDLE key, unsigned char* wrapped, CK_ULONG wrapped_len,
                            CK_ATTRIBUTE* attributes, CK_ULONG num, CK_OBJECT_HANDLE* out) {
  if (rewrap_spy_control.unwrap_result != CKR_OK) return rewrap_spy_control.unwrap_result;
  return real.C_UnwrapKey(session, mechanism, key, wrapped, wrapped_len, attributes, num, out);
}

static CK_RV spy_decrypt(CK_SESSION_HANDLE session, unsigned char* in, CK_ULONG in_len,
                         unsigned char* out, CK_ULONG* out_len) {
  if (rewrap_spy_control.decrypt_result != CKR_OK) return rewrap_spy_control.decrypt_result;
  return real.C_Decrypt(session, in, in_len, out, out_len);
}

__attribute__((visibility("default"))) CK_RV C_GetFunctionList(CK_FUNCTION_LIST** list) {
  if (rewrap::test::load_softhsm(&real) != CKR_OK) return CKR_GENERAL_ERROR;
  spied = real;
  spied.C_Login = spy_login;
  spied.C_Logout = spy_logout;
  spied.C_Finalize = spy_finalize;
  spied.C_GetTokenInfo = spy_get_token_info;
  spied.C_OpenSession = spy_open_session;
  spied.C_CloseSession = spy_close_session;
  spied.C_UnwrapKey = spy_unwrap_key;
  spied.C_Decrypt = spy_decrypt;
  *list = &spied;
  return CKR_OK;
}

}  // extern "C"
