// Keys in a token.
#include "hsm/pkcs11/keys.h"

#include <array>
#include <utility>

#include "hsm/pkcs11/error.h"

namespace rewrap {
namespace {

constexpr std::size_t kMaxValueLen = 64;       // the longest key read: a DEK for XTS-AES-256
constexpr std::size_t kMaxAttributeLen = 512;  // labels and ids

// template_of_session_key states all that the templates of generated and unwrapped keys have in
// common.
Template template_of_session_key(CK_KEY_TYPE key_type, Readability readability) {
  Template attributes;
  attributes.number(CKA_CLASS, CKO_SECRET_KEY)
      .number(CKA_KEY_TYPE, key_type)
      .flag(CKA_TOKEN, false)
      .flag(CKA_PRIVATE, true)
      .flag(CKA_SENSITIVE, readability != Readability::kReadable)
      .flag(CKA_EXTRACTABLE, readability != Readability::kNever);
  return attributes;
}

Status get_attribute(Session& session, CK_OBJECT_HANDLE key, CK_ATTRIBUTE* attribute) {
  return check(session.api().C_GetAttributeValue(session.handle(), key, attribute, 1),
               "C_GetAttributeValue", "the token does not tell an attribute of the key");
}

Status get_exactly(Session& session, CK_OBJECT_HANDLE key, CK_ATTRIBUTE_TYPE type, ByteSpan out) {
  CK_ATTRIBUTE attribute{.type = type, .pValue = out.data(), .ulValueLen = out.size()};
  REWRAP_TRY(get_attribute(session, key, &attribute));
  if (attribute.ulValueLen != out.size())
    return {Errc::kUnsupported, "an attribute of the key has an odd length"};
  return {};
}

// list_matches lists up to kMaxFound; a token may give fewer per call than are there.
Result<std::vector<CK_OBJECT_HANDLE>> list_matches(Session& session, Template& wanted) {
  CK_FUNCTION_LIST& api = session.api();
  constexpr Literal kMessage = "the token does not search its keys";
  REWRAP_TRY(check(api.C_FindObjectsInit(session.handle(), wanted.data(), wanted.size()),
                   "C_FindObjectsInit", kMessage));
  std::vector<CK_OBJECT_HANDLE> found(kMaxFound);
  std::size_t num_found = 0;
  CK_RV rv = CKR_OK;
  while (num_found < found.size()) {
    CK_ULONG num_more = 0;
    rv = api.C_FindObjects(session.handle(), found.data() + num_found, found.size() - num_found,
                           &num_more);
    if (rv != CKR_OK || num_more == 0) break;
    num_found += num_more;
  }
  const CK_RV end = api.C_FindObjectsFinal(session.handle());
  REWRAP_TRY(check(rv, "C_FindObjects", kMessage));
  REWRAP_TRY(check(end, "C_FindObjectsFinal", kMessage));
  found.resize(num_found);
  return found;
}

Literal not_found_message(CK_OBJECT_CLASS key_class) {
  if (key_class == CKO_PRIVATE_KEY) return "the token has no private key of that name";
  if (key_class == CKO_PUBLIC_KEY) return "the token has no public key of that name";
  return "the token has no secret key of that name";
}

}  // namespace

// The return value alone does not tell a blob that does not open from a token that does not work:
// SoftHSM says CKR_GENERAL_ERROR for a damaged blob too. So after such a code the token has to
// answer on a new session and still have the key.
Status judge_open(Session& session, CK_OBJECT_HANDLE key, CK_RV rv, Literal call) {
  constexpr Literal kDoesNotOpen = "the wrapped key does not open";
  if (ckr_code(rv) == Errc::kIntegrity) return check(rv, call, kDoesNotOpen);
  const Status failed = check(rv, call, "the token failed to open a wrapped key");
  const bool ambiguous = rv == CKR_GENERAL_ERROR || rv == CKR_FUNCTION_FAILED;
  const bool alive = session.renew().ok() && read_number(session, key, CKA_CLASS).ok();
  if (ambiguous && alive) return check_as(Errc::kIntegrity, rv, call, kDoesNotOpen);
  return failed;
}

SessionObject::SessionObject(SessionObject&& other) noexcept
    : session_(other.session_),
      made_in_(other.made_in_),
      handle_(std::exchange(other.handle_, CK_INVALID_HANDLE)) {}

SessionObject::~SessionObject() {
  if (handle_ != CK_INVALID_HANDLE && session_->check_process().ok()) (void)destroy();
}

Status SessionObject::destroy() {
  const CK_OBJECT_HANDLE handle = std::exchange(handle_, CK_INVALID_HANDLE);
  if (handle == CK_INVALID_HANDLE || made_in_ != session_->handle()) return {};
  return check(session_->api().C_DestroyObject(session_->handle(), handle), "C_DestroyObject",
               "the token does not destroy a session key");
}

Result<CK_OBJECT_HANDLE> find_secret_key(Session& session, const std::string& label, ByteView id) {
  return find_key(session, CKO_SECRET_KEY, label, id);
}

Result<std::vector<CK_OBJECT_HANDLE>> find_keys(Session& session, CK_OBJECT_CLASS key_class,
                                                const std::string& label, ByteView id) {
  if (label.empty() && id.empty()) {
    return Status(Errc::kInvalidArgument, "the URI names no key",
                  "add object=LABEL or id=%01 to the URI");
  }
  Template wanted;
  wanted.number(CKA_CLASS, key_class).flag(CKA_TOKEN, true);
  if (!label.empty()) wanted.bytes(CKA_LABEL, as_bytes(label));
  if (!id.empty()) wanted.bytes(CKA_ID, id);
  REWRAP_ASSIGN(auto found, list_matches(session, wanted));
  if (!found.empty()) return found;
  return Status(Errc::kNotFound, not_found_message(key_class), "check object= and id= in the URI");
}

Result<CK_OBJECT_HANDLE> find_key(Session& session, CK_OBJECT_CLASS key_class,
                                  const std::string& label, ByteView id) {
  REWRAP_ASSIGN(const auto found, find_keys(session, key_class, label, id));
  if (found.size() > 1) {
    return Status(Errc::kConflict, "more than one key in the token matches the URI",
                  "add id= to the URI");
  }
  return found.front();
}

Result<bool> read_flag(Session& session, CK_OBJECT_HANDLE key, CK_ATTRIBUTE_TYPE type) {
  CK_BBOOL value = kCkFalse;
  REWRAP_TRY(get_exactly(session, key, type, {&value, sizeof value}));
  return value != kCkFalse;
}

Result<CK_ULONG> read_number(Session& session, CK_OBJECT_HANDLE key, CK_ATTRIBUTE_TYPE type) {
  std::array<std::uint8_t, sizeof(CK_ULONG)> raw{};
  REWRAP_TRY(get_exactly(session, key, type, raw));
  CK_ULONG value = 0;
  std::memcpy(&value, raw.data(), sizeof value);
  return value;
}

Result<Bytes> read_bytes(Session& session, CK_OBJECT_HANDLE key, CK_ATTRIBUTE_TYPE type) {
  Bytes value(kMaxAttributeLen);
  CK_ATTRIBUTE attribute{.type = type, .pValue = value.data(), .ulValueLen = value.size()};
  REWRAP_TRY(get_attribute(session, key, &attribute));
  if (attribute.ulValueLen > value.size())
    return Status(Errc::kUnsupported, "an attribute of the key has an odd length");
  value.resize(attribute.ulValueLen);
  return value;
}

Result<SecretBuffer> read_value(Session& session, CK_OBJECT_HANDLE key) {
  REWRAP_ASSIGN(SecretBuffer value, SecretBuffer::create(kMaxValueLen));
  const ByteSpan room = value.expose_secret();
  CK_ATTRIBUTE attribute{.type = CKA_VALUE, .pValue = room.data(), .ulValueLen = room.size()};
  REWRAP_TRY(get_attribute(session, key, &attribute));
  if (attribute.ulValueLen == 0 || attribute.ulValueLen > room.size()) {
    return Status(Errc::kUnsupported, "the token gave a key of an odd length");
  }
  value.shrink_to(attribute.ulValueLen);
  return value;
}

Status read_value_into(Session& session, CK_OBJECT_HANDLE key, ByteSpan out) {
  const Status status = get_exactly(session, key, CKA_VALUE, out);
  if (!status.ok()) wipe(out);
  return status;
}

Result<SessionObject> generate_session_key(Session& session, std::size_t len,
                                           Readability readability, const KeyUse& use) {
  Template attributes = template_of_session_key(CKK_AES, readability);
  attributes.number(CKA_VALUE_LEN, len);
  add_usage(attributes, use);
  CK_MECHANISM mechanism{.mechanism = CKM_AES_KEY_GEN, .pParameter = nullptr, .ulParameterLen = 0};
  CK_OBJECT_HANDLE key = CK_INVALID_HANDLE;
  REWRAP_TRY(check(session.api().C_GenerateKey(session.handle(), &mechanism, attributes.data(),
                                               attributes.size(), &key),
                   "C_GenerateKey", "the token does not make an AES key"));
  return SessionObject(session, key);
}

Result<SessionObject> import_session_key(Session& session, const SecretBuffer& value) {
  Template attributes = template_of_session_key(CKK_AES, Readability::kWrapOnly);
  add_usage(attributes, {});
  attributes.secret(CKA_VALUE, value.expose_secret());
  CK_OBJECT_HANDLE key = CK_INVALID_HANDLE;
  REWRAP_TRY(check(
      session.api().C_CreateObject(session.handle(), attributes.data(), attributes.size(), &key),
      "C_CreateObject", "the token does not take a key in from outside",
      "let the token make the KEK instead: protectors for a KEK that exists already "
      "need a token that imports keys"));
  return SessionObject(session, key);
}

Result<Bytes> wrap_key(Session& session, CK_MECHANISM_TYPE mechanism, CK_OBJECT_HANDLE wrapping_key,
                       CK_OBJECT_HANDLE key) {
  CK_MECHANISM how{.mechanism = mechanism, .pParameter = nullptr, .ulParameterLen = 0};
  // Fixed and generous: the length that some tokens tell beforehand is not the length that comes
  // out.
  Bytes wrapped(kMaxWrappedLen);
  CK_ULONG len = wrapped.size();
  REWRAP_TRY(check(
      session.api().C_WrapKey(session.handle(), &how, wrapping_key, key, wrapped.data(), &len),
      "C_WrapKey", "the token does not wrap a key"));
  if (len > wrapped.size())
    return Status(Errc::kUnsupported, "the token gave a wrap of an odd length");
  wrapped.resize(len);
  return wrapped;
}

Result<SessionObject> unwrap_session_key(Session& session, CK_MECHANISM_TYPE mechanism,
                                         CK_OBJECT_HANDLE wrapping_key, ByteView wrapped,
                                         CK_KEY_TYPE key_type, Readability readability) {
  // No CKA_VALUE_LEN here: the length follows from the wrap, and SoftHSM refuses to be told.
  Template attributes = template_of_session_key(key_type, readability);
  add_usage(attributes, {});
  CK_MECHANISM how{.mechanism = mechanism, .pParameter = nullptr, .ulParameterLen = 0};
  Bytes input(wrapped.begin(), wrapped.end());  // the C function takes a pointer to non-const
  CK_OBJECT_HANDLE key = CK_INVALID_HANDLE;
  const CK_RV rv =
      session.api().C_UnwrapKey(session.handle(), &how, wrapping_key, input.data(), input.size(),
                                attributes.data(), attributes.size(), &key);
  if (rv != CKR_OK) return judge_open(session, wrapping_key, rv, "C_UnwrapKey");
  return SessionObject(session, key);
}

}  // namespace rewrap
