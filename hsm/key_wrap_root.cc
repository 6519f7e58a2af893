// Making, opening and judging protectors; see the header.
#include "hsm/key_wrap_root.h"

#include <string_view>
#include <utility>

namespace rewrap {
namespace {

constexpr std::size_t kKeyWrapOverhead = 8;       // RFC 3394 adds one semiblock
constexpr std::size_t kGcmOverhead = 12 + 16;     // the IV before the ciphertext, the tag behind it
constexpr std::size_t kMinRsaBlobLen = 2048 / 8;  // one RSA block, whatever is inside
constexpr std::size_t kMaxRsaBlobLen = 16384 / 8;  // larger keys than any token has
constexpr std::size_t kCanaryKeyLen = 32;          // any AES key would do

// The canary's binding. It is not the KEK's context, so that a wrong context leaves the canary
// alive; and it is no context that a caller would choose, so that a canary cannot stand in for a
// KEK.
constexpr std::string_view kCanaryBinding = "rewrap canary v1";

// can_hold_key sorts out blobs of impossible lengths before the root sees them: tokens have many
// words for those, and not all of them say that the blob is to blame.
bool can_hold_key(Mechanism mechanism, std::size_t blob_len) {
  switch (mechanism) {
    case Mechanism::kAesKeyWrap:
      return is_aes_key_len(blob_len - kKeyWrapOverhead);
    case Mechanism::kAesGcm:
      return is_aes_key_len(blob_len - kGcmOverhead);
    case Mechanism::kRsaOaep:
      return blob_len >= kMinRsaBlobLen && blob_len <= kMaxRsaBlobLen;
    default:
      return false;
  }
}

bool is_by_blob(Mechanism mechanism) {
  return mechanism == Mechanism::kAesKeyWrap || mechanism == Mechanism::kAesGcm ||
         mechanism == Mechanism::kRsaOaep;
}

Status damaged_blob() {
  return {
      Errc::kCorruption,
      "the protector's blob is damaged: the root key is the right one, but the KEK does not open",
      "restore the protector from a copy of the store"};
}

Status check_kek_len(std::size_t len) {
  if (is_aes_key_len(len)) return {};
  return {Errc::kInvalidArgument, "a KEK has 16, 24 or 32 bytes"};
}

}  // namespace

Protector KeyWrapRoot::begin() const {
  Protector made;
  made.root_uri = uri_;
  made.mechanism = mechanism();
  made.key_ref = key_ref();
  return made;
}

// From here on only what is stored is used, so that a protector which does not work is never given
// out.
Result<SecretBuffer> KeyWrapRoot::finish(Protector* made, std::size_t kek_len, ByteView context) {
  REWRAP_ASSIGN(made->canary, seal_new_key(kCanaryKeyLen, as_bytes(kCanaryBinding)));
  if (!can_hold_key(made->mechanism, made->blob.size()))
    return Status(Errc::kInternal, "the root made a blob of an odd length");
  REWRAP_ASSIGN(SecretBuffer kek, open_key(made->blob, context));
  if (kek.size() != kek_len)
    return Status(Errc::kInternal, "the root gave a KEK of another length back");
  REWRAP_TRY(try_canary(*made));
  REWRAP_ASSIGN(made->check, check_value(kek.expose_secret(), *made, context));
  if (!decode_protector(encode_protector(*made)).ok()) {
    return Status(Errc::kInvalidArgument, "the root's URI or key name is too long to store",
                  "use a shorter URI");
  }
  return kek;
}

Result<ProtectedKek> KeyWrapRoot::create(std::size_t kek_len, ByteView context) {
  REWRAP_TRY(check_process());
  REWRAP_TRY(ready());
  REWRAP_TRY(check_kek_len(kek_len));
  ProtectedKek made;
  made.protector = begin();
  REWRAP_ASSIGN(made.protector.blob, seal_new_key(kek_len, context));
  REWRAP_ASSIGN(made.kek, finish(&made.protector, kek_len, context));
  return made;
}

Result<Protector> KeyWrapRoot::protect(const SecretBuffer& kek, ByteView context) {
  REWRAP_TRY(check_process());
  REWRAP_TRY(ready());
  REWRAP_TRY(check_kek_len(kek.size()));
  Protector made = begin();
  REWRAP_ASSIGN(made.blob, seal_key(kek, context));
  REWRAP_ASSIGN(const SecretBuffer back, finish(&made, kek.size(), context));
  if (!secrets_equal(back.expose_secret(), kek.expose_secret()))
    return Status(Errc::kInternal, "the root gave another KEK back than it was given");
  return made;
}

Result<SecretBuffer> KeyWrapRoot::open(const Protector& protector, ByteView context) {
  REWRAP_TRY(check_process());
  REWRAP_TRY(ready());
  if (protector.mechanism != mechanism()) return judge_mechanism(protector);
  if (!can_hold_key(protector.mechanism, protector.blob.size())) return damaged_blob();
  auto kek = open_key(protector.blob, context);
  if (!kek.ok() && kek.status().code() == Errc::kIntegrity) return judge_damage(protector);
  if (!kek.ok()) return kek.status();
  if (!is_aes_key_len(kek->size())) return damaged_blob();
  REWRAP_ASSIGN(const auto check, check_value(kek->expose_secret(), protector, context));
  if (!secrets_equal(check, protector.check)) {
    return Status(
        Errc::kCorruption, "the protector does not belong here: its check value is wrong",
        "restore the protector from a copy of the store; it may have been exchanged with another");
  }
  return kek;
}

Status KeyWrapRoot::try_canary(const Protector& protector) {
  if (!can_hold_key(mechanism(), protector.canary.size()))
    return {Errc::kIntegrity, "the canary has an odd length"};
  return try_key(protector.canary, as_bytes(kCanaryBinding));
}

Status KeyWrapRoot::judge_damage(const Protector& protector) {
  const Status canary = try_canary(protector);
  if (canary.ok()) return damaged_blob();
  if (canary.code() != Errc::kIntegrity) return canary;
  if (protector.key_ref != key_ref()) {
    return {Errc::kDenied,
            "the protector was made under another root key than the one its URI leads to now",
            "bring back the token or the key file that the keyset was made with"};
  }
  return {
      Errc::kDenied, "another key is under this name: neither the KEK nor the canary opens",
      "find the root key that made this protector; it may have been replaced under the same name"};
}

Status KeyWrapRoot::judge_mechanism(const Protector& protector) {
  if (!is_by_blob(protector.mechanism)) {
    return {Errc::kUnsupported,
            "the protector was made by a mechanism that this root does not know"};
  }
  const Status canary = try_canary(protector);
  if (canary.ok()) {
    return {Errc::kCorruption,
            "the protector names another mechanism than the one it was made by: it is damaged",
            "restore the protector from a copy of the store"};
  }
  if (canary.code() != Errc::kIntegrity) return canary;
  return {Errc::kDenied,
          "another kind of key is under this name: the protector was made by another mechanism",
          "find the root key that made this protector; it may have been replaced under the same "
          "name"};
}

Status KeyWrapRoot::destroy(const Protector& /*protector*/) { return {}; }

}  // namespace rewrap
