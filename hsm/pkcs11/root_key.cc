// Root keys by their attributes.
#include "hsm/pkcs11/root_key.h"

#include <utility>

#include "hsm/pkcs11/error.h"

namespace rewrap {
namespace {

constexpr std::size_t kRootKeyLen = 32;
constexpr CK_ULONG kRsaBits = 3072;
constexpr std::size_t kMinModulusLen = 2048 / 8;
constexpr Literal kMakeAnother = "make a safe one under another name: rewrap root create URI";

Status can_leave() {
  return {Errc::kRefused,
          "the root key can leave its token (CKA_EXTRACTABLE, or not CKA_SENSITIVE)", kMakeAnother};
}

// stays_inside refuses a key that can be read. An attribute that the token does not tell counts as
// unsafe.
Status stays_inside(Session& session, CK_OBJECT_HANDLE key) {
  REWRAP_ASSIGN(const bool sensitive, read_flag(session, key, CKA_SENSITIVE));
  REWRAP_ASSIGN(const bool extractable, read_flag(session, key, CKA_EXTRACTABLE));
  if (extractable || !sensitive) return can_leave();
  return {};
}

// judge_aes_key says how an AES key guards KEKs.
Result<Mechanism> judge_aes_key(Session& session, CK_OBJECT_HANDLE key) {
  REWRAP_TRY(stays_inside(session, key));
  REWRAP_ASSIGN(const bool wraps, read_flag(session, key, CKA_WRAP));
  REWRAP_ASSIGN(const bool unwraps, read_flag(session, key, CKA_UNWRAP));
  REWRAP_ASSIGN(const bool encrypts, read_flag(session, key, CKA_ENCRYPT));
  REWRAP_ASSIGN(const bool decrypts, read_flag(session, key, CKA_DECRYPT));
  if ((wraps || unwraps) && (encrypts || decrypts)) {
    return Status(Errc::kRefused,
                  "the root key may both wrap keys and decrypt data, so what it wraps can be read",
                  kMakeAnother);
  }
  if (wraps && unwraps) return Mechanism::kAesKeyWrap;
  if (encrypts && decrypts) return Mechanism::kAesGcm;
  return Status(Errc::kRefused,
                "the root key may not wrap and unwrap keys, nor encrypt and decrypt", kMakeAnother);
}

// check_rsa_pair refuses a private key that may do more than decrypt: raw signing and unwrapping
// are decryption under other names.
Status check_rsa_pair(Session& session, GuardKey* pair) {
  REWRAP_TRY(stays_inside(session, pair->handle));
  REWRAP_ASSIGN(const CK_ULONG key_type, read_number(session, pair->handle, CKA_KEY_TYPE));
  if (key_type == CKK_RSA) {
    REWRAP_ASSIGN(pair->modulus, read_modulus(session, pair->handle));
  }
  if (pair->modulus.size() < kMinModulusLen) {
    return {Errc::kUnsupported, "the root key is neither an AES key nor RSA of at least 2048 bits",
            kMakeAnother};
  }
  REWRAP_ASSIGN(const bool decrypts, read_flag(session, pair->handle, CKA_DECRYPT));
  REWRAP_ASSIGN(const bool unwraps, read_flag(session, pair->handle, CKA_UNWRAP));
  REWRAP_ASSIGN(const bool signs, read_flag(session, pair->handle, CKA_SIGN));
  if (!decrypts || unwraps || signs) {
    return {Errc::kRefused, "the RSA root key may do something else than decrypt, or not that",
            kMakeAnother};
  }
  // What is sealed is opened again before it is used, so a public key that does not belong to the
  // private one is found out; but it may not be a puzzle.
  REWRAP_ASSIGN(const Bytes public_modulus, read_modulus(session, pair->public_half));
  if (public_modulus != pair->modulus) {
    return {Errc::kRefused, "the RSA root key's public half does not belong to its private half",
            "remove the public key that was put in its place"};
  }
  return {};
}

// make_key_ref names the key by the token's serial number, the key's id and its label (last, since
// it may hold anything).
Result<std::string> make_key_ref(Session& session, CK_OBJECT_HANDLE key) {
  REWRAP_ASSIGN(const Bytes id, read_bytes(session, key, CKA_ID));
  REWRAP_ASSIGN(const Bytes label, read_bytes(session, key, CKA_LABEL));
  std::string key_ref = "serial=" + session.token().serial + ";id=" + encode_hex(id) + ";label=";
  key_ref.append(label.begin(), label.end());
  if (key_ref.size() > kMaxKeyRefLen)
    return Status(Errc::kUnsupported, "the root key's label and id are too long");
  return key_ref;
}

// judge_key fills the mechanism and the public half in, and says whether the key is fit.
Status judge_key(Session& session, CK_OBJECT_CLASS key_class, const Pkcs11Uri& uri,
                 GuardKey* guard) {
  if (key_class == CKO_PRIVATE_KEY) {
    guard->mechanism = Mechanism::kRsaOaep;
    REWRAP_ASSIGN(guard->public_half, find_key(session, CKO_PUBLIC_KEY, uri.object, uri.id));
    return check_rsa_pair(session, guard);
  }
  REWRAP_ASSIGN(const CK_ULONG key_type, read_number(session, guard->handle, CKA_KEY_TYPE));
  if (key_type != CKK_AES)
    return {Errc::kUnsupported, "the root key is not an AES key",
            "make one: rewrap root create URI"};
  REWRAP_ASSIGN(guard->mechanism, judge_aes_key(session, guard->handle));
  return {};
}

Result<CK_OBJECT_HANDLE> generate_aes(Session& session, const std::string& label, ByteView id,
                                      const KeyUse& use) {
  Template attributes;
  attributes.number(CKA_CLASS, CKO_SECRET_KEY)
      .number(CKA_KEY_TYPE, CKK_AES)
      .number(CKA_VALUE_LEN, kRootKeyLen)
      .flag(CKA_TOKEN, true)
      .flag(CKA_PRIVATE, true)
      .flag(CKA_SENSITIVE, true)
      .flag(CKA_EXTRACTABLE, false)
      .flag(CKA_MODIFIABLE, false)
      .bytes(CKA_LABEL, as_bytes(label))
      .bytes(CKA_ID, id);
  add_usage(attributes, use);
  CK_MECHANISM mechanism{.mechanism = CKM_AES_KEY_GEN, .pParameter = nullptr, .ulParameterLen = 0};
  CK_OBJECT_HANDLE key = CK_INVALID_HANDLE;
  REWRAP_TRY(check(session.api().C_GenerateKey(session.handle(), &mechanism, attributes.data(),
                                               attributes.size(), &key),
                   "C_GenerateKey", "the token does not make a root key"));
  return key;
}

Result<GuardKey> generate(Session& session, Mechanism mechanism, const std::string& label,
                          ByteView id) {
  if (mechanism == Mechanism::kRsaOaep) {
    const RsaPairPlan plan{.bits = kRsaBits, .is_token_object = true, .label = label, .id = id};
    return generate_rsa_pair(session, plan);
  }
  GuardKey guard{.mechanism = mechanism};
  const KeyUse use = mechanism == Mechanism::kAesGcm ? KeyUse{.encrypt = true, .decrypt = true}
                                                     : KeyUse{.wrap = true, .unwrap = true};
  REWRAP_ASSIGN(guard.handle, generate_aes(session, label, id, use));
  return guard;
}

}  // namespace

RootKey find_root_key(Session& session, const Pkcs11Uri& uri) {
  RootKey key;
  CK_OBJECT_CLASS key_class = CKO_SECRET_KEY;
  auto found = find_key(session, key_class, uri.object, uri.id);
  if (!found.ok() && found.status().code() == Errc::kNotFound) {
    const auto pair = find_key(session, CKO_PRIVATE_KEY, uri.object, uri.id);
    if (pair.ok() || pair.status().code() != Errc::kNotFound) {
      key_class = CKO_PRIVATE_KEY;
      found = pair;
    }
  }
  if (!found.ok()) {
    key.status = found.status();
    if (key.status.code() == Errc::kNotFound) {
      key.status = key.status.with_hint(
          "check object= and id= in the URI, or make the key: rewrap root create URI");
    }
    return key;
  }
  key.guard.handle = found.value();
  auto key_ref = make_key_ref(session, key.guard.handle);
  key.status = key_ref.ok() ? judge_key(session, key_class, uri, &key.guard) : key_ref.status();
  if (key_ref.ok()) key.key_ref = std::move(key_ref).value();
  return key;
}

Status make_root_key(Session& session, Mechanism mechanism, const std::string& label, ByteView id) {
  REWRAP_ASSIGN(GuardKey guard, generate(session, mechanism, label, id));
  Status made_as_told;
  if (mechanism == Mechanism::kRsaOaep) {
    made_as_told = check_rsa_pair(session, &guard);
  } else {
    const auto judged = judge_aes_key(session, guard.handle);
    made_as_told = judged.status();
    if (judged.ok() && judged.value() != mechanism)
      made_as_told = Status(Errc::kUnsupported, "the root key has another use than asked for");
  }
  if (made_as_told.ok()) return {};
  // A token that failed has not said that the key is unfit.
  if (made_as_told.native() == Native::kPkcs11) return discard(session, guard, made_as_told);
  return discard(
      session, guard,
      {Errc::kUnsupported, "the token made a root key with other attributes than asked for",
       "it was destroyed again; this token cannot guard a root key"});
}

}  // namespace rewrap
