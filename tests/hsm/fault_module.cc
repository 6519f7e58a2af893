// A PKCS#11 module that passes calls on to SoftHSM and fails where it is told to.
#include "tests/hsm/fault_module.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <mutex>
#include <string>
#include <type_traits>
#include <vector>

#include "hsm/pkcs11/cryptoki.h"
#include "tests/hsm/real_module.h"

using rewrap::test::Fault;
using rewrap::test::FaultControl;

extern "C" {
FaultControl rewrap_fault_control{};
}

namespace {

CK_FUNCTION_LIST real;
CK_FUNCTION_LIST faulty;

std::recursive_mutex mutex;
FaultControl& control = rewrap_fault_control;

// State of the two orders: calls counted so far, and whether one goes on until the restart.
struct Progress {
  long num_seen = 0;
  bool going_on = false;
};
Progress progress_of_first;
Progress progress_of_second;

std::vector<CK_SESSION_HANDLE> sessions;  // open ones
CK_SLOT_ID slot_in_use = 0;

// --- Object handles ---

// What SoftHSM calls object handles_seen[n] is handle n + kFirstHandle outside, or another one in
// the first `shuffle` of them.
constexpr CK_OBJECT_HANDLE kFirstHandle = 1000;
std::vector<CK_OBJECT_HANDLE> handles_seen;
std::vector<CK_OBJECT_HANDLE> copies;  // by SoftHSM's handles
std::size_t shuffle_in_use = 0;

std::size_t exchange_in_use = 0;  // likewise, on top of it

std::size_t reversed(std::size_t n, std::size_t num) { return n < num ? num - 1 - n : n; }

CK_OBJECT_HANDLE outside_of(CK_OBJECT_HANDLE inside) {
  std::size_t n = 0;
  while (n < handles_seen.size() && handles_seen[n] != inside) ++n;
  if (n == handles_seen.size()) handles_seen.push_back(inside);
  return kFirstHandle + reversed(reversed(n, shuffle_in_use), exchange_in_use);
}

CK_OBJECT_HANDLE inside_of(CK_OBJECT_HANDLE outside) {
  const std::size_t n = reversed(reversed(outside - kFirstHandle, exchange_in_use), shuffle_in_use);
  return outside >= kFirstHandle && n < handles_seen.size() ? handles_seen[n] : CK_INVALID_HANDLE;
}

// --- Orders ---

bool is_silent_loss(const Fault& fault) {
  return fault.drop_sessions != 0 || fault.drop_login != 0 || fault.exchange != 0;
}

bool is_due(const Fault& fault, Progress* progress, const char* function) {
  if (fault.rv == CKR_OK && !is_silent_loss(fault)) return false;
  if (progress->going_on) return true;
  if (fault.function[0] != 0 && std::strcmp(fault.function, function) != 0) return false;
  ++progress->num_seen;
  const long n = fault.every > 0 ? (progress->num_seen - 1) % fault.every + 1 : progress->num_seen;
  const long at = fault.every > 0 ? fault.every : fault.at;
  const bool due = at > 0 && n >= at && n < at + fault.num;
  progress->going_on = due && fault.until_restart != 0;
  return due;
}

// due_fault counts a call and gives the order by which it fails, if any.
const Fault* due_fault(const char* function) {
  ++control.num_calls;
  const bool second_counts = progress_of_first.num_seen > 0 && control.num_faults > 0;
  if (second_counts && is_due(control.second, &progress_of_second, function))
    return &control.second;
  return is_due(control.first, &progress_of_first, function) ? &control.first : nullptr;
}

void drop_things(const Fault& fault) {
  if (fault.drop_login != 0 && !sessions.empty()) real.C_Logout(sessions.front());
  if (fault.drop_sessions != 0) {
    real.C_CloseAllSessions(slot_in_use);
    sessions.clear();
  }
  if (fault.exchange != 0) exchange_in_use = static_cast<std::size_t>(fault.exchange);
}

// guarded makes the call, or what an order says instead.
template <typename Call>
CK_RV guarded(const char* function, const Call& call) {
  const std::lock_guard lock(mutex);
  const Fault* fault = due_fault(function);
  if (fault == nullptr) return call();
  ++control.num_faults;
  const Fault now = *fault;
  if (now.rv == CKR_OK) {
    drop_things(now);
    return call();
  }
  if (now.after != 0) (void)call();
  drop_things(now);
  return now.rv;
}

// Passed is a function of the list that is passed on as it is.
template <auto kMember, typename Function>
struct Passed;
template <auto kMember, typename... Args>
struct Passed<kMember, CK_RV (*)(Args...)> {
  static inline const char* name = "";
  static CK_RV call(Args... args) {
    return guarded(name, [&] { return (real.*kMember)(args...); });
  }
};

#define REWRAP_PASS(function)                                                             \
  do {                                                                                    \
    using It = Passed<&CK_FUNCTION_LIST::function, decltype(CK_FUNCTION_LIST::function)>; \
    It::name = #function;                                                                 \
    faulty.function = It::call;                                                           \
  } while (false)

// --- Control by a file ---

std::string control_file() {
  const char* path = std::getenv("REWRAP_FAULTS");  // NOLINT(concurrency-mt-unsafe): only read
  return path == nullptr ? "" : path;
}

void read_control_file() {
  if (control_file().empty()) return;
  std::ifstream in(control_file());
  for (std::string line; std::getline(in, line);) {
    const std::size_t equals = line.find('=');
    if (equals == std::string::npos) continue;
    const std::string name = line.substr(0, equals);
    const std::string text = line.substr(equals + 1);
    const long number = std::strtol(text.c_str(), nullptr, 0);
    Fault& fault = control.first;
    if (name == "rv") fault.rv = static_cast<unsigned long>(number);
    if (name == "function") std::strncpy(fault.function, text.c_str(), sizeof fault.function - 1);
    if (name == "at") fault.at = number;
    if (name == "every") fault.every = number;
    if (name == "num") fault.num = number;
    if (name == "until_restart") fault.until_restart = static_cast<int>(number);
    if (name == "after") fault.after = static_cast<int>(number);
    if (name == "drop_sessions") fault.drop_sessions = static_cast<int>(number);
    if (name == "drop_login") fault.drop_login = static_cast<int>(number);
    if (name == "exchange") fault.exchange = number;
    if (name == "shuffle") control.shuffle = number;
  }
}

void write_seen() {
  if (control_file().empty()) return;
  std::ofstream(control_file() + ".seen", std::ios::trunc)
      << "calls=" << control.num_calls << "\nfaults=" << control.num_faults
      << "\nlogins=" << control.num_logins << "\ninitializes=" << control.num_initializes << "\n";
}

}  // namespace

extern "C" {

__attribute__((visibility("default"))) void rewrap_fault_start() {
  const std::lock_guard lock(mutex);
  progress_of_first = {};
  progress_of_second = {};
  exchange_in_use = 0;
  control.num_calls = control.num_faults = control.num_logins = 0;
}

static CK_RV faulty_initialize(void* arguments) {
  const std::lock_guard lock(mutex);
  ++control.num_initializes;
  const bool now = control.num_initializes % 2 == 0;
  shuffle_in_use = now ? static_cast<std::size_t>(control.shuffle) : 0;
  return real.C_Initialize(arguments);
}

static CK_RV faulty_finalize(void* reserved) {
  const std::lock_guard lock(mutex);
  progress_of_first.going_on = progress_of_second.going_on = false;
  handles_seen.clear();
  copies.clear();
  exchange_in_use = 0;
  sessions.clear();
  write_seen();
  return real.C_Finalize(reserved);
}

static CK_RV faulty_get_token_info(CK_SLOT_ID slot, CK_TOKEN_INFO* info) {
  return guarded("C_GetTokenInfo", [&] {
    const CK_RV rv = real.C_GetTokenInfo(slot, info);
    if (rv != CKR_OK) return rv;
    info->flags |= control.token_flags;
    const std::size_t len = strnlen(control.serial, sizeof control.serial - 1);
    if (len > 0) std::memset(info->serialNumber, ' ', sizeof info->serialNumber);
    std::memcpy(info->serialNumber, control.serial, len);
    return rv;
  });
}

static CK_RV faulty_open_session(CK_SLOT_ID slot, CK_FLAGS flags, void* application,
                                 CK_NOTIFY notify, CK_SESSION_HANDLE* session) {
  return guarded("C_OpenSession", [&] {
    const CK_RV rv = real.C_OpenSession(slot, flags, application, notify, session);
    if (rv == CKR_OK) sessions.push_back(*session);
    slot_in_use = slot;
    return rv;
  });
}

static CK_RV faulty_close_session(CK_SESSION_HANDLE session) {
  const std::lock_guard lock(mutex);
  std::erase(sessions, session);
  return real.C_CloseSession(session);
}

static CK_RV faulty_login(CK_SESSION_HANDLE session, CK_USER_TYPE user, unsigned char* pin,
                          CK_ULONG pin_len) {
  ++control.num_logins;
  return guarded("C_Login", [&] { return real.C_Login(session, user, pin, pin_len); });
}

static CK_RV faulty_create_object(CK_SESSION_HANDLE session, CK_ATTRIBUTE* attributes, CK_ULONG num,
                                  CK_OBJECT_HANDLE* object) {
  return guarded("C_CreateObject", [&] {
    const CK_RV rv = real.C_CreateObject(session, attributes, num, object);
    if (rv == CKR_OK) *object = outside_of(*object);
    return rv;
  });
}

static CK_RV faulty_copy_object(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object,
                                CK_ATTRIBUTE* attributes, CK_ULONG num, CK_OBJECT_HANDLE* copy) {
  return guarded("C_CopyObject", [&] {
    const CK_RV rv = real.C_CopyObject(session, inside_of(object), attributes, num, copy);
    if (rv != CKR_OK) return rv;
    copies.push_back(*copy);
    *copy = outside_of(*copy);
    return rv;
  });
}

static CK_RV faulty_destroy_object(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object) {
  return guarded("C_DestroyObject",
                 [&] { return real.C_DestroyObject(session, inside_of(object)); });
}

static CK_RV faulty_get_attribute_value(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object,
                                        CK_ATTRIBUTE* attributes, CK_ULONG num) {
  return guarded("C_GetAttributeValue", [&] {
    const CK_OBJECT_HANDLE inside = inside_of(object);
    const CK_RV rv = real.C_GetAttributeValue(session, inside, attributes, num);
    const bool is_copy = std::find(copies.begin(), copies.end(), inside) != copies.end();
    const bool lies = control.lie_about != 0 && (is_copy || control.lie_about_copies_only == 0);
    for (CK_ULONG i = 0; rv == CKR_OK && lies && i < num; ++i) {
      if (attributes[i].type == control.lie_about && attributes[i].pValue != nullptr)
        *static_cast<CK_BBOOL*>(attributes[i].pValue) ^= 1U;
    }
    return rv;
  });
}

static CK_RV faulty_find_objects(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE* objects, CK_ULONG max,
                                 CK_ULONG* num) {
  return guarded("C_FindObjects", [&] {
    const CK_RV rv = real.C_FindObjects(session, objects, max, num);
    for (CK_ULONG i = 0; rv == CKR_OK && i < *num; ++i) objects[i] = outside_of(objects[i]);
    return rv;
  });
}

static CK_RV faulty_encrypt_init(CK_SESSION_HANDLE session, CK_MECHANISM* mechanism,
                                 CK_OBJECT_HANDLE key) {
  return guarded("C_EncryptInit",
                 [&] { return real.C_EncryptInit(session, mechanism, inside_of(key)); });
}

static CK_RV faulty_decrypt_init(CK_SESSION_HANDLE session, CK_MECHANISM* mechanism,
                                 CK_OBJECT_HANDLE key) {
  return guarded("C_DecryptInit",
                 [&] { return real.C_DecryptInit(session, mechanism, inside_of(key)); });
}

// refuse_len ends the operation, as the standard says of all errors but a small buffer.
static CK_RV refuse_len(CK_SESSION_HANDLE session, bool encrypting) {
  unsigned char block[16] = {};
  CK_ULONG len = sizeof block;
  if (encrypting) {
    (void)real.C_Encrypt(session, block, sizeof block, block, &len);
    return CKR_DATA_LEN_RANGE;
  }
  (void)real.C_Decrypt(session, block, sizeof block, block, &len);
  return CKR_ENCRYPTED_DATA_LEN_RANGE;
}

static CK_RV faulty_encrypt(CK_SESSION_HANDLE session, unsigned char* in, CK_ULONG in_len,
                            unsigned char* out, CK_ULONG* out_len) {
  return guarded("C_Encrypt", [&] {
    if (control.max_len != 0 && in_len > control.max_len) return refuse_len(session, true);
    const CK_RV rv = real.C_Encrypt(session, in, in_len, out, out_len);
    if (rv == CKR_OK) *out_len -= control.short_by;
    return rv;
  });
}

static CK_RV faulty_decrypt(CK_SESSION_HANDLE session, unsigned char* in, CK_ULONG in_len,
                            unsigned char* out, CK_ULONG* out_len) {
  return guarded("C_Decrypt", [&] {
    if (control.max_len != 0 && in_len > control.max_len) return refuse_len(session, false);
    const CK_RV rv = real.C_Decrypt(session, in, in_len, out, out_len);
    if (rv == CKR_OK) *out_len -= control.short_by;
    return rv;
  });
}

static bool is_for_the_token(const CK_ATTRIBUTE* attributes, CK_ULONG num) {
  return std::any_of(attributes, attributes + num, [](const CK_ATTRIBUTE& attribute) {
    return attribute.type == CKA_TOKEN && attribute.ulValueLen == 1 &&
           *static_cast<const CK_BBOOL*>(attribute.pValue) != CK_FALSE;
  });
}

static CK_RV faulty_generate_key(CK_SESSION_HANDLE session, CK_MECHANISM* mechanism,
                                 CK_ATTRIBUTE* attributes, CK_ULONG num, CK_OBJECT_HANDLE* key) {
  return guarded("C_GenerateKey", [&] {
    if (control.no_token_keys != 0 && is_for_the_token(attributes, num))
      return static_cast<CK_RV>(control.no_token_keys);
    const CK_RV rv = real.C_GenerateKey(session, mechanism, attributes, num, key);
    if (rv == CKR_OK) *key = outside_of(*key);
    return rv;
  });
}

static CK_RV faulty_generate_key_pair(CK_SESSION_HANDLE session, CK_MECHANISM* mechanism,
                                      CK_ATTRIBUTE* public_half, CK_ULONG num_public,
                                      CK_ATTRIBUTE* private_half, CK_ULONG num_private,
                                      CK_OBJECT_HANDLE* public_key, CK_OBJECT_HANDLE* private_key) {
  return guarded("C_GenerateKeyPair", [&] {
    const CK_RV rv = real.C_GenerateKeyPair(session, mechanism, public_half, num_public,
                                            private_half, num_private, public_key, private_key);
    if (rv != CKR_OK) return rv;
    *public_key = outside_of(*public_key);
    *private_key = outside_of(*private_key);
    return rv;
  });
}

static CK_RV faulty_wrap_key(CK_SESSION_HANDLE session, CK_MECHANISM* mechanism,
                             CK_OBJECT_HANDLE wrapping_key, CK_OBJECT_HANDLE key,
                             unsigned char* wrapped, CK_ULONG* wrapped_len) {
  return guarded("C_WrapKey", [&] {
    return real.C_WrapKey(session, mechanism, inside_of(wrapping_key), inside_of(key), wrapped,
                          wrapped_len);
  });
}

static CK_RV faulty_unwrap_key(CK_SESSION_HANDLE session, CK_MECHANISM* mechanism,
                               CK_OBJECT_HANDLE key, unsigned char* wrapped, CK_ULONG wrapped_len,
                               CK_ATTRIBUTE* attributes, CK_ULONG num, CK_OBJECT_HANDLE* out) {
  return guarded("C_UnwrapKey", [&] {
    const CK_RV rv = real.C_UnwrapKey(session, mechanism, inside_of(key), wrapped, wrapped_len,
                                      attributes, num, out);
    if (rv == CKR_OK) *out = outside_of(*out);
    return rv;
  });
}

__attribute__((visibility("default"))) CK_RV C_GetFunctionList(CK_FUNCTION_LIST** list) {
  const std::lock_guard lock(mutex);
  if (rewrap::test::load_softhsm(&real) != CKR_OK) return CKR_GENERAL_ERROR;
  faulty = real;
  faulty.C_Initialize = faulty_initialize;
  faulty.C_Finalize = faulty_finalize;
  faulty.C_GetTokenInfo = faulty_get_token_info;
  faulty.C_OpenSession = faulty_open_session;
  faulty.C_CloseSession = faulty_close_session;
  faulty.C_Login = faulty_login;
  faulty.C_CreateObject = faulty_create_object;
  faulty.C_CopyObject = faulty_copy_object;
  faulty.C_DestroyObject = faulty_destroy_object;
  faulty.C_GetAttributeValue = faulty_get_attribute_value;
  faulty.C_FindObjects = faulty_find_objects;
  faulty.C_EncryptInit = faulty_encrypt_init;
  faulty.C_DecryptInit = faulty_decrypt_init;
  faulty.C_Encrypt = faulty_encrypt;
  faulty.C_Decrypt = faulty_decrypt;
  faulty.C_GenerateKey = faulty_generate_key;
  faulty.C_GenerateKeyPair = faulty_generate_key_pair;
  faulty.C_WrapKey = faulty_wrap_key;
  faulty.C_UnwrapKey = faulty_unwrap_key;
  REWRAP_PASS(C_GetSlotList);
  REWRAP_PASS(C_GetMechanismList);
  REWRAP_PASS(C_GetSessionInfo);
  REWRAP_PASS(C_FindObjectsInit);
  REWRAP_PASS(C_FindObjectsFinal);
  REWRAP_PASS(C_GenerateRandom);
  read_control_file();
  *list = &faulty;
  return CKR_OK;
}

}  // extern "C"
