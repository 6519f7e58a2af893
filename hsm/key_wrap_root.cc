// Making, opening and judging protectors; see the header.
#include "hsm/key_wrap_root.h"

#include <utility>

namespace rewrap {
namespace {

constexpr std::size_t kSemiblockLen = 8;   // RFC 3394 adds one semiblock
constexpr std::size_t kCanaryKeyLen = 32;  // any AES key would do

bool is_aes_key_len(std::size_t len) { return len == 16 || len == 24 || len == 32; }

Status damaged_blob() {
  return {
      Errc::kCorruption,
      "the protector's blob is damaged: the root key is the right one, but the KEK does not open",
      "restore the protector from a copy of the store"};
}

}  // namespace

Result<ProtectedKek> KeyWrapRoot::create(std::size_t kek_len, ByteView context) {
  REWRAP_TRY(check_process());
  REWRAP_TRY(ready());
  if (!is_aes_key_len(kek_len))
    return Status(Errc::kInvalidArgument, "a KEK has 16, 24 or 32 bytes");
  ProtectedKek made;
  made.protector.root_uri = uri_;
  made.protector.key_ref = key_ref();
  REWRAP_ASSIGN(made.protector.blob, wrap_new_key(kek_len));
  REWRAP_ASSIGN(made.protector.canary, wrap_new_key(kCanaryKeyLen));
  // From here on only what is stored is used, so that a protector which does not work is never
  // given out.
  REWRAP_ASSIGN(made.kek, unwrap_key(made.protector.blob));
  if (made.kek.size() != kek_len)
    return Status(Errc::kInternal, "the root made a KEK of another length");
  REWRAP_TRY(try_canary(made.protector.canary));
  REWRAP_ASSIGN(made.protector.check,
                check_value(made.kek.expose_secret(), made.protector, context));
  if (!decode_protector(encode_protector(made.protector)).ok()) {
    return Status(Errc::kInvalidArgument, "the root's URI or key name is too long to store",
                  "use a shorter URI");
  }
  return made;
}

Result<SecretBuffer> KeyWrapRoot::open(const Protector& protector, ByteView context) {
  REWRAP_TRY(check_process());
  REWRAP_TRY(ready());
  if (protector.mechanism != Mechanism::kAesKeyWrap) {
    return Status(Errc::kUnsupported,
                  "the protector was made by a mechanism that this root does not know");
  }
  if (!is_aes_key_len(protector.blob.size() - kSemiblockLen)) return damaged_blob();
  auto kek = unwrap_key(protector.blob);
  if (!kek.ok() && kek.status().code() == Errc::kIntegrity) return judge_damage(protector);
  if (!kek.ok()) return kek.status();
  if (kek->size() != protector.blob.size() - kSemiblockLen) return damaged_blob();
  REWRAP_ASSIGN(const auto check, check_value(kek->expose_secret(), protector, context));
  if (!secrets_equal(check, protector.check)) {
    return Status(
        Errc::kCorruption, "the protector does not belong here: its check value is wrong",
        "restore the protector from a copy of the store; it may have been exchanged with another");
  }
  return kek;
}

Status KeyWrapRoot::judge_damage(const Protector& protector) {
  const Status canary = try_canary(protector.canary);
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

Status KeyWrapRoot::destroy(const Protector& /*protector*/) { return {}; }

}  // namespace rewrap
