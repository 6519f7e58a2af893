// Plain PKCS#11 calls for tests.
#include "tests/hsm/raw_token.h"

#include <array>

#include "hsm/pkcs11/error.h"
#include "hsm/pkcs11/guard_key.h"
#include "hsm/pkcs11/keys.h"

namespace rewrap::test {
namespace {

Result<std::unique_ptr<Session>> open_session(const std::string& uri) {
  REWRAP_ASSIGN(const Pkcs11Uri parsed, parse_pkcs11_uri(uri));
  return Session::open(parsed, SessionMode::kReadWrite, {});
}

Result<std::size_t> count_keys(const std::string& uri, bool in_token) {
  REWRAP_ASSIGN(const auto session, open_session(uri));
  CK_FUNCTION_LIST& api = session->api();
  Template wanted;
  wanted.number(CKA_CLASS, CKO_SECRET_KEY).flag(CKA_TOKEN, in_token);
  REWRAP_TRY(check(api.C_FindObjectsInit(session->handle(), wanted.data(), wanted.size()),
                   "C_FindObjectsInit", "find"));
  std::array<CK_OBJECT_HANDLE, 100> found{};
  CK_ULONG num_found = 0;
  REWRAP_TRY(check(api.C_FindObjects(session->handle(), found.data(), found.size(), &num_found),
                   "C_FindObjects", "find"));
  REWRAP_TRY(check(api.C_FindObjectsFinal(session->handle()), "C_FindObjectsFinal", "find"));
  return std::size_t{num_found};
}

}  // namespace

Status import_key(const std::string& uri, const RawKey& key) {
  REWRAP_ASSIGN(const auto session, open_session(uri));
  Template attributes;
  attributes.number(CKA_CLASS, CKO_SECRET_KEY)
      .number(CKA_KEY_TYPE, key.is_aes ? CKK_AES : CKK_GENERIC_SECRET)
      .flag(CKA_TOKEN, true)
      .flag(CKA_PRIVATE, true)
      .flag(CKA_SENSITIVE, key.sensitive)
      .flag(CKA_EXTRACTABLE, key.extractable)
      .bytes(CKA_LABEL, as_bytes(key.label))
      .bytes(CKA_ID, key.id)
      .bytes(CKA_VALUE, key.value);
  add_usage(
      attributes,
      {.encrypt = key.encrypt, .decrypt = key.decrypt, .wrap = key.wrap, .unwrap = key.unwrap});
  CK_OBJECT_HANDLE handle = CK_INVALID_HANDLE;
  return check(session->api().C_CreateObject(session->handle(), attributes.data(),
                                             attributes.size(), &handle),
               "C_CreateObject", "cannot import a key");
}

Result<std::map<std::string, bool>> read_flags(const std::string& uri, const std::string& label) {
  REWRAP_ASSIGN(const auto session, open_session(uri));
  REWRAP_ASSIGN(const CK_OBJECT_HANDLE key, find_secret_key(*session, label, {}));
  const std::map<std::string, CK_ATTRIBUTE_TYPE> types = {
      {"CKA_TOKEN", CKA_TOKEN},
      {"CKA_PRIVATE", CKA_PRIVATE},
      {"CKA_MODIFIABLE", CKA_MODIFIABLE},
      {"CKA_SENSITIVE", CKA_SENSITIVE},
      {"CKA_EXTRACTABLE", CKA_EXTRACTABLE},
      {"CKA_ALWAYS_SENSITIVE", CKA_ALWAYS_SENSITIVE},
      {"CKA_NEVER_EXTRACTABLE", CKA_NEVER_EXTRACTABLE},
      {"CKA_WRAP", CKA_WRAP},
      {"CKA_UNWRAP", CKA_UNWRAP},
      {"CKA_ENCRYPT", CKA_ENCRYPT},
      {"CKA_DECRYPT", CKA_DECRYPT},
      {"CKA_SIGN", CKA_SIGN},
      {"CKA_VERIFY", CKA_VERIFY},
      {"CKA_DERIVE", CKA_DERIVE},
  };
  std::map<std::string, bool> flags;
  for (const auto& [name, type] : types) {
    REWRAP_ASSIGN(flags[name], read_flag(*session, key, type));
  }
  return flags;
}

Result<Bytes> read_key_value(const std::string& uri, const std::string& label) {
  REWRAP_ASSIGN(const auto session, open_session(uri));
  REWRAP_ASSIGN(const CK_OBJECT_HANDLE key, find_secret_key(*session, label, {}));
  return read_bytes(*session, key, CKA_VALUE);
}

Status destroy_key(const std::string& uri, const std::string& label) {
  REWRAP_ASSIGN(const auto session, open_session(uri));
  REWRAP_ASSIGN(const CK_OBJECT_HANDLE key, find_secret_key(*session, label, {}));
  return check(session->api().C_DestroyObject(session->handle(), key), "C_DestroyObject",
               "cannot destroy a key");
}

Status destroy_keys(const std::string& uri, const std::string& label) {
  REWRAP_ASSIGN(const auto session, open_session(uri));
  for (const CK_OBJECT_CLASS key_class : {CKO_SECRET_KEY, CKO_PRIVATE_KEY, CKO_PUBLIC_KEY}) {
    const auto keys = find_keys(*session, key_class, label, {});
    if (keys.status().code() == Errc::kNotFound) continue;
    if (!keys.ok()) return keys.status();
    for (const CK_OBJECT_HANDLE key : keys.value())
      REWRAP_TRY(check(session->api().C_DestroyObject(session->handle(), key), "C_DestroyObject",
                       "cannot destroy a key"));
  }
  return {};
}

Status make_rsa_pair(const std::string& uri, const std::string& label, const Bytes& id) {
  REWRAP_ASSIGN(const auto session, open_session(uri));
  return generate_rsa_pair(*session, {.is_token_object = true, .label = label, .id = id}).status();
}

Result<Bytes> read_modulus(const std::string& uri, const std::string& label) {
  REWRAP_ASSIGN(const auto session, open_session(uri));
  REWRAP_ASSIGN(const CK_OBJECT_HANDLE key, find_key(*session, CKO_PUBLIC_KEY, label, {}));
  return read_bytes(*session, key, CKA_MODULUS);
}

Result<std::size_t> num_session_objects(const std::string& uri) { return count_keys(uri, false); }

Result<std::size_t> num_token_keys(const std::string& uri) { return count_keys(uri, true); }

Result<std::string> token_serial(const std::string& uri) {
  REWRAP_ASSIGN(const auto session, open_session(uri));
  return session->token().serial;
}

}  // namespace rewrap::test
