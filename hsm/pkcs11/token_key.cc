// KEKs as objects of a token.
#include "hsm/pkcs11/token_key.h"

#include <array>
#include <utility>

#include "hsm/pkcs11/ecb.h"
#include "hsm/pkcs11/error.h"

namespace rewrap {
namespace {

constexpr std::string_view kSerialField = "serial=";
constexpr std::string_view kIdField = ";id=";
constexpr std::string_view kLabelField = ";label=";
constexpr std::size_t kSemiblockLen = 8;

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

bool decode_hex(std::string_view text, Bytes* out) {
  if (text.size() % 2 != 0) return false;
  for (std::size_t i = 0; i < text.size(); i += 2) {
    const int high = hex_digit(text[i]);
    const int low = hex_digit(text[i + 1]);
    if (high < 0 || low < 0) return false;
    out->push_back(static_cast<std::uint8_t>(16 * high + low));
  }
  return true;
}

KeyUse use_of(TokenCustody custody) {
  if (custody == TokenCustody::kKekInToken) return {.encrypt = true, .decrypt = true};
  return {.wrap = true, .unwrap = true};
}

CK_MECHANISM plain_mechanism(CK_MECHANISM_TYPE type) {
  return {.mechanism = type, .pParameter = nullptr, .ulParameterLen = 0};
}

// template_of_dek states all but the length and the value.
Template template_of_dek(std::size_t len, Readability readability) {
  Template attributes;
  attributes.number(CKA_CLASS, CKO_SECRET_KEY)
      .number(CKA_KEY_TYPE, is_aes_key_len(len) ? CKK_AES : CKK_GENERIC_SECRET)
      .flag(CKA_TOKEN, false)
      .flag(CKA_PRIVATE, true)
      .flag(CKA_SENSITIVE, readability != Readability::kReadable)
      .flag(CKA_EXTRACTABLE, readability != Readability::kNever);
  add_usage(attributes, {});
  return attributes;
}

Template template_of_kek(const TokenKeyName& name, TokenCustody custody, std::size_t len) {
  Template attributes;
  attributes.number(CKA_CLASS, CKO_SECRET_KEY)
      .number(CKA_KEY_TYPE, CKK_AES)
      .number(CKA_VALUE_LEN, len)
      .flag(CKA_TOKEN, true)
      .flag(CKA_PRIVATE, true)
      .flag(CKA_SENSITIVE, true)
      .flag(CKA_EXTRACTABLE, false)
      .flag(CKA_MODIFIABLE, false)
      .bytes(CKA_LABEL, as_bytes(name.label))
      .bytes(CKA_ID, name.id);
  add_usage(attributes, use_of(custody));
  return attributes;
}

// check_made compares what the token made with what it was told, beyond what read_kind asks of any
// KEK.
Status check_made(Session& session, CK_OBJECT_HANDLE key, TokenCustody custody, std::size_t len) {
  REWRAP_ASSIGN(const TokenKeyKind kind, read_kind(session, key));
  REWRAP_ASSIGN(const bool modifiable, read_flag(session, key, CKA_MODIFIABLE));
  REWRAP_ASSIGN(const bool always_sensitive, read_flag(session, key, CKA_ALWAYS_SENSITIVE));
  REWRAP_ASSIGN(const bool never_extractable, read_flag(session, key, CKA_NEVER_EXTRACTABLE));
  const bool as_told = kind.custody == custody && kind.len == len && !modifiable &&
                       always_sensitive && never_extractable;
  if (as_told) return {};
  return {Errc::kUnsupported, "the token made a KEK with other attributes than asked for",
          "this token cannot guard a KEK; use --custody host"};
}

// opens_either says whether a key under the KEK's name is the KEK. One with other uses is not.
Result<bool> opens_either(Session& session, CK_OBJECT_HANDLE key, const Protector& protector) {
  const auto kind = read_kind(session, key);
  if (kind.status().code() == Errc::kRefused) return false;
  if (!kind.ok()) return kind.status();
  for (const Bytes* blob : {&protector.blob, &protector.canary}) {
    const auto opened = unwrap_bytes(session, key, kind->custody, *blob);
    if (opened.ok()) return true;
    if (opened.status().code() != Errc::kIntegrity) return opened.status();
  }
  return false;
}

// A value that may be of damage, or of a token that fails: SoftHSM says CKR_GENERAL_ERROR for both.
bool may_mean_damage(CK_RV rv) {
  return rv == CKR_GENERAL_ERROR || rv == CKR_FUNCTION_FAILED || ckr_code(rv) == Errc::kIntegrity;
}

Result<SessionObject> import_inside(Session& session, ByteView secret) {
  Template attributes = template_of_dek(secret.size(), Readability::kWrapOnly);
  attributes.secret(CKA_VALUE, secret);
  CK_OBJECT_HANDLE key = CK_INVALID_HANDLE;
  REWRAP_TRY(check(
      session.api().C_CreateObject(session.handle(), attributes.data(), attributes.size(), &key),
      "C_CreateObject", "the token does not take a key in"));
  return SessionObject(session, key);
}

// copy_into_session gives a copy of a token key that lives in the session, which some tokens use
// many times as fast. SoftHSM refuses it for keys that are not MODIFIABLE; for such a key that is
// the better part of the bargain: nobody can give it a use of the other family.
Result<SessionObject> copy_into_session(Session& session, CK_OBJECT_HANDLE key) {
  Template changed;
  changed.flag(CKA_TOKEN, false);
  CK_OBJECT_HANDLE copy = CK_INVALID_HANDLE;
  REWRAP_TRY(check(
      session.api().C_CopyObject(session.handle(), key, changed.data(), changed.size(), &copy),
      "C_CopyObject", "the token does not copy the KEK"));
  return SessionObject(session, copy);
}

bool same_kind(const Result<TokenKeyKind>& a, const TokenKeyKind& b) {
  return a.ok() && a->custody == b.custody && a->len == b.len;
}

}  // namespace

std::string encode_key_ref(const TokenKeyName& name) {
  // The label last, since it may hold anything.
  std::string key_ref(kSerialField);
  return key_ref.append(name.serial)
      .append(kIdField)
      .append(encode_hex(name.id))
      .append(kLabelField)
      .append(name.label);
}

Result<TokenKeyName> decode_key_ref(const std::string& key_ref) {
  const Status damaged(Errc::kCorruption, "the protector does not name a KEK in a token",
                       "restore the protector from a copy of the store");
  const std::string_view text = key_ref;
  const std::size_t id_at = text.find(kIdField);
  const std::size_t label_at = text.find(kLabelField);
  if (!text.starts_with(kSerialField) || id_at == std::string_view::npos ||
      label_at == std::string_view::npos || label_at < id_at) {
    return damaged;
  }
  TokenKeyName name;
  name.serial = text.substr(kSerialField.size(), id_at - kSerialField.size());
  const std::size_t id_begin = id_at + kIdField.size();
  if (!decode_hex(text.substr(id_begin, label_at - id_begin), &name.id)) return damaged;
  name.label = text.substr(label_at + kLabelField.size());
  if (name.id.empty() || !name.label.starts_with(kTokenKekPrefix)) return damaged;
  return name;
}

Status generate_token_key(Session& session, const TokenKeyName& name, TokenCustody custody,
                          std::size_t len) {
  const Status earlier = destroy_token_key(session, name);
  if (earlier.code() != Errc::kNotFound) REWRAP_TRY(earlier);
  Template attributes = template_of_kek(name, custody, len);
  CK_MECHANISM how = plain_mechanism(CKM_AES_KEY_GEN);
  CK_OBJECT_HANDLE key = CK_INVALID_HANDLE;
  REWRAP_TRY(check(session.api().C_GenerateKey(session.handle(), &how, attributes.data(),
                                               attributes.size(), &key),
                   "C_GenerateKey", "the token does not make a KEK of its own"));
  const Status made = check_made(session, key, custody, len);
  if (made.ok() || remedy_of(made) != Remedy::kNone)
    return made;  // lost: the next attempt removes it
  REWRAP_TRY(check(session.api().C_DestroyObject(session.handle(), key), "C_DestroyObject",
                   "the token made a KEK with other attributes than asked for, and keeps it",
                   "remove it by hand: its label begins with rewrap-kek-"));
  return {Errc::kUnsupported,
          "the token made a KEK with other attributes than asked for; it was destroyed again",
          "this token cannot guard a KEK; use --custody host"};
}

Status destroy_token_key(Session& session, const TokenKeyName& name) {
  REWRAP_ASSIGN(const CK_OBJECT_HANDLE key, find_secret_key(session, name.label, name.id));
  return destroy_token_key(session, key);
}

Status destroy_token_key(Session& session, CK_OBJECT_HANDLE key) {
  return check(session.api().C_DestroyObject(session.handle(), key), "C_DestroyObject",
               "the token does not destroy the KEK");
}

Result<CK_OBJECT_HANDLE> find_token_key(Session& session, const TokenKeyName& name,
                                        const Protector& protector) {
  const auto listed = find_keys(session, CKO_SECRET_KEY, name.label, name.id);
  if (listed.status().code() == Errc::kNotFound) {
    return listed.status().with_hint(
        "bring back the token, or the token's backup, that the KEK was made in");
  }
  REWRAP_ASSIGN(const auto found, listed);
  if (found.size() == 1) return found.front();
  std::vector<CK_OBJECT_HANDLE> proven;
  for (const CK_OBJECT_HANDLE key : found) {
    REWRAP_ASSIGN(const bool opens, opens_either(session, key, protector));
    if (opens) proven.push_back(key);
  }
  if (proven.size() == 1) return proven.front();
  if (proven.empty()) {
    return Status(Errc::kDenied, "several keys have the KEK's name, and none is the KEK",
                  "bring back the token that the KEK was made in, or restore the protector");
  }
  return Status(
      Errc::kConflict, "the KEK is in the token more than once",
      "a restore may have doubled it: after a backup, remove all but one of the keys with "
      "this label by the token's own tool");
}

Result<TokenKeyKind> read_kind(Session& session, CK_OBJECT_HANDLE key) {
  REWRAP_ASSIGN(const CK_ULONG key_type, read_number(session, key, CKA_KEY_TYPE));
  REWRAP_ASSIGN(const CK_ULONG len, read_number(session, key, CKA_VALUE_LEN));
  if (key_type != CKK_AES || !is_aes_key_len(len))
    return Status(Errc::kRefused, "the KEK in the token is not an AES key");
  REWRAP_ASSIGN(const bool is_private, read_flag(session, key, CKA_PRIVATE));
  REWRAP_ASSIGN(const bool sensitive, read_flag(session, key, CKA_SENSITIVE));
  REWRAP_ASSIGN(const bool extractable, read_flag(session, key, CKA_EXTRACTABLE));
  if (extractable || !sensitive || !is_private) {
    return Status(Errc::kRefused, "the KEK can leave its token, or be used without a login",
                  "re-wrap to a KEK that rewrap made, and take this one for known to others");
  }
  constexpr std::array<CK_ATTRIBUTE_TYPE, 7> kUses = {
      CKA_ENCRYPT, CKA_DECRYPT, CKA_WRAP, CKA_UNWRAP, CKA_SIGN, CKA_VERIFY, CKA_DERIVE};
  unsigned uses = 0;
  for (const CK_ATTRIBUTE_TYPE use : kUses) {
    REWRAP_ASSIGN(const bool allowed, read_flag(session, key, use));
    uses = 2 * uses + (allowed ? 1U : 0U);
  }
  if (uses == 0b1100000) return TokenKeyKind{.custody = TokenCustody::kKekInToken, .len = len};
  if (uses == 0b0011000) return TokenKeyKind{.custody = TokenCustody::kInToken, .len = len};
  return Status(Errc::kRefused,
                "the KEK in the token has other uses than ENCRYPT+DECRYPT or WRAP+UNWRAP alone",
                "a key with uses of both kinds gives away what it wraps; re-wrap to a new KEK");
}

Result<Bytes> wrap_bytes(Session& session, CK_OBJECT_HANDLE key, TokenCustody custody,
                         ByteView secret) {
  Bytes wrapped(secret.size() + kSemiblockLen);
  if (custody == TokenCustody::kKekInToken) {
    REWRAP_TRY(wrap_by_ecb(session, key, secret, wrapped));
    return wrapped;
  }
  REWRAP_ASSIGN(SessionObject inside, import_inside(session, secret));
  REWRAP_TRY(wrap_inside(session, key, inside.handle(), wrapped));
  REWRAP_TRY(inside.destroy());
  return wrapped;
}

Result<SecretBuffer> unwrap_bytes(Session& session, CK_OBJECT_HANDLE key, TokenCustody custody,
                                  ByteView wrapped, KnownBlock* first_step) {
  if (custody == TokenCustody::kKekInToken) return unwrap_by_ecb(session, key, wrapped, first_step);
  REWRAP_ASSIGN(SessionObject inside, unwrap_inside(session, key, wrapped, Readability::kReadable));
  REWRAP_ASSIGN(SecretBuffer secret, read_value(session, inside.handle()));
  REWRAP_TRY(inside.destroy());
  if (secret.size() + kSemiblockLen != wrapped.size())
    return Status(Errc::kUnsupported, "the token opened a wrap to a key of an odd length");
  return secret;
}

Result<SessionObject> unwrap_inside(Session& session, CK_OBJECT_HANDLE key, ByteView wrapped,
                                    Readability readability) {
  // No CKA_VALUE_LEN here: the length follows from the wrap, and SoftHSM refuses to be told.
  Template attributes = template_of_dek(wrapped.size() - kSemiblockLen, readability);
  CK_MECHANISM how = plain_mechanism(CKM_AES_KEY_WRAP);
  std::array<std::uint8_t, kMaxWrappedLen> input{};  // the C function takes a pointer to non-const
  copy_bytes(input, wrapped);
  CK_OBJECT_HANDLE inside = CK_INVALID_HANDLE;
  const CK_RV rv =
      session.api().C_UnwrapKey(session.handle(), &how, key, input.data(), wrapped.size(),
                                attributes.data(), attributes.size(), &inside);
  if (may_mean_damage(rv))
    return check_as(Errc::kIntegrity, rv, "C_UnwrapKey", "the wrapped key does not open");
  REWRAP_TRY(check(rv, "C_UnwrapKey", "the token failed to unwrap a key"));
  return SessionObject(session, inside);
}

Result<SessionObject> generate_inside(Session& session, std::size_t len) {
  Template attributes = template_of_dek(len, Readability::kWrapOnly);
  attributes.number(CKA_VALUE_LEN, len);
  CK_MECHANISM how =
      plain_mechanism(is_aes_key_len(len) ? CKM_AES_KEY_GEN : CKM_GENERIC_SECRET_KEY_GEN);
  CK_OBJECT_HANDLE key = CK_INVALID_HANDLE;
  REWRAP_TRY(check(session.api().C_GenerateKey(session.handle(), &how, attributes.data(),
                                               attributes.size(), &key),
                   "C_GenerateKey", "the token does not make a key of this length"));
  return SessionObject(session, key);
}

Status wrap_inside(Session& session, CK_OBJECT_HANDLE key, CK_OBJECT_HANDLE inside, ByteSpan out) {
  // Fixed and generous: the length that some tokens tell beforehand is not the length that comes
  // out.
  std::array<std::uint8_t, kMaxWrappedLen> wrapped{};
  CK_ULONG len = wrapped.size();
  CK_MECHANISM how = plain_mechanism(CKM_AES_KEY_WRAP);
  REWRAP_TRY(
      check(session.api().C_WrapKey(session.handle(), &how, key, inside, wrapped.data(), &len),
            "C_WrapKey", "the token does not wrap a key"));
  if (len != out.size())
    return {Errc::kUnsupported, "the token made a wrap of another length than the standard says"};
  copy_bytes(out, ByteView(wrapped).first(len));
  return {};
}

Result<FoundKey> TokenKey::find(Session& session) const {
  const auto key = find_token_key(session, name_, protector_);
  if (!key.ok()) return key.status();
  REWRAP_ASSIGN(const TokenKeyKind kind, read_kind(session, key.value()));
  if (!same_kind(kind, kind_))
    return Status(Errc::kDenied, "another key is under the KEK's name in the token");
  auto copy = copy_into_session(session, key.value());
  if (!copy.ok()) {
    if (remedy_of(copy.status()) != Remedy::kNone) return copy.status();
    return FoundKey{.handle = key.value(), .is_copy = false};
  }
  const auto kind_of_copy = read_kind(session, copy->handle());
  if (!same_kind(kind_of_copy, kind_)) {
    if (remedy_of(kind_of_copy.status()) != Remedy::kNone) return kind_of_copy.status();
    return FoundKey{.handle = key.value(), .is_copy = false};
  }
  return FoundKey{.handle = copy->release(), .is_copy = true};
}

Result<KnownBlock> TokenKey::prove(Session& session, CK_OBJECT_HANDLE handle) const {
  const Status other(Errc::kDenied,
                     "another key is under the KEK's name: it does not open the KEK's own blob",
                     "bring back the token that the KEK was made in");
  KnownBlock known;
  auto check_key = unwrap_bytes(session, handle, kind_.custody, protector_.blob, &known);
  if (!check_key.ok()) {
    const Status& status = check_key.status();
    if (status.code() != Errc::kIntegrity) return status;
    if (remedy_of(status) == Remedy::kNone) return other;
    // The blob opened before, so the token is to blame until it has been asked again.
    return check_as(Errc::kUnavailable, status.native_number(), "C_UnwrapKey",
                    "the token does not open the KEK's own blob",
                    "it is sick, or another key is under the KEK's name: bring back the token that "
                    "the KEK was made in");
  }
  REWRAP_ASSIGN(const auto check, check_value(check_key->expose_secret(), protector_, context_));
  if (!secrets_equal(check, protector_.check)) return other;
  return known;
}

}  // namespace rewrap
