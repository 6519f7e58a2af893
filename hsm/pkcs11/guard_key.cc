// Sealing and opening keys in each of the three ways.
#include "hsm/pkcs11/guard_key.h"

#include <algorithm>
#include <array>
#include <utility>

#include "hsm/pkcs11/cipher.h"
#include "hsm/pkcs11/error.h"
#include "hsm/random.h"

namespace rewrap {
namespace {

constexpr std::array<std::uint8_t, 3> kPublicExponent = {1, 0, 1};  // 65537
constexpr std::size_t kMaxBlockLen = 2048;  // an RSA-16384 block; more than any AES key needs

Status no_such_mechanism() {
  return {Errc::kUnsupported, "a PKCS#11 root does not know this mechanism"};
}

Result<Bytes> wrap_and_destroy(Session& session, const GuardKey& guard, SessionObject key) {
  REWRAP_ASSIGN(Bytes blob, wrap_key(session, CKM_AES_KEY_WRAP, guard.handle, key.handle()));
  REWRAP_TRY(key.destroy());
  return blob;
}

Result<Bytes> gcm_seal(Session& session, const GuardKey& guard, const SecretBuffer& key,
                       ByteView aad) {
  std::array<std::uint8_t, kGcmIvLen> iv{};
  REWRAP_TRY(random_bytes(iv));
  REWRAP_ASSIGN(const Bytes sealed, encrypt(session, CipherMechanism::gcm(iv, aad), guard.handle,
                                            key.expose_secret(), kMaxBlockLen));
  // Some tokens, most of all in FIPS mode, ignore the IV that they are given and put their own in
  // front or behind. Guessing which would be guessing at an IV.
  if (sealed.size() != key.size() + kGcmTagLen) {
    return Status(Errc::kUnsupported,
                  "the token's AES-GCM does not give ciphertext and tag: it may choose its own IV",
                  "make a root key for key wrap, or an RSA one, under another name");
  }
  Bytes blob(iv.begin(), iv.end());
  blob.insert(blob.end(), sealed.begin(), sealed.end());
  return blob;
}

Result<SecretBuffer> gcm_open(Session& session, const GuardKey& guard, ByteView blob,
                              ByteView aad) {
  if (blob.size() <= kGcmIvLen + kGcmTagLen)
    return Status(Errc::kIntegrity, "the wrapped key does not open");
  const ByteView iv = blob.first(kGcmIvLen);
  return decrypt(session, CipherMechanism::gcm(iv, aad), guard.handle, blob.subspan(kGcmIvLen),
                 kMaxBlockLen);
}

// RFC 8017 lets no ciphertext but one of the modulus' length and below its value open. Looked at
// here, since NSS answers such a one as if its caller had made a mistake.
Result<SecretBuffer> oaep_open(Session& session, const GuardKey& guard, ByteView blob) {
  const bool in_range = blob.size() == guard.modulus.size() &&
                        std::lexicographical_compare(blob.begin(), blob.end(),
                                                     guard.modulus.begin(), guard.modulus.end());
  if (!in_range) return Status(Errc::kIntegrity, "the wrapped key does not open");
  return decrypt(session, CipherMechanism::oaep(), guard.handle, blob, kMaxBlockLen);
}

Result<SecretBuffer> unwrap_and_read(Session& session, const GuardKey& guard, ByteView blob) {
  REWRAP_ASSIGN(SessionObject key, unwrap_session_key(session, CKM_AES_KEY_WRAP, guard.handle, blob,
                                                      CKK_AES, Readability::kReadable));
  REWRAP_ASSIGN(SecretBuffer value, read_value(session, key.handle()));
  REWRAP_TRY(key.destroy());
  return value;
}

}  // namespace

Result<Bytes> read_modulus(Session& session, CK_OBJECT_HANDLE key) {
  REWRAP_ASSIGN(Bytes modulus, read_bytes(session, key, CKA_MODULUS));
  modulus.erase(modulus.begin(), std::find_if(modulus.begin(), modulus.end(),
                                              [](std::uint8_t byte) { return byte != 0; }));
  return modulus;
}

Result<GuardKey> generate_rsa_pair(Session& session, const RsaPairPlan& plan) {
  // Usages are stated one by one: tokens refuse those that a half of a pair cannot have.
  Template public_half;
  public_half.number(CKA_CLASS, CKO_PUBLIC_KEY)
      .number(CKA_KEY_TYPE, CKK_RSA)
      .flag(CKA_TOKEN, plan.is_token_object)
      .flag(CKA_PRIVATE, false)
      .flag(CKA_ENCRYPT, true)
      .flag(CKA_WRAP, false)
      .flag(CKA_VERIFY, false)
      .number(CKA_MODULUS_BITS, plan.bits)
      .bytes(CKA_PUBLIC_EXPONENT, kPublicExponent)
      .bytes(CKA_LABEL, as_bytes(plan.label))
      .bytes(CKA_ID, plan.id);
  Template private_half;
  private_half.number(CKA_CLASS, CKO_PRIVATE_KEY)
      .number(CKA_KEY_TYPE, CKK_RSA)
      .flag(CKA_TOKEN, plan.is_token_object)
      .flag(CKA_PRIVATE, true)
      .flag(CKA_SENSITIVE, true)
      .flag(CKA_EXTRACTABLE, false)
      .flag(CKA_DECRYPT, true)
      .flag(CKA_UNWRAP, false)
      .flag(CKA_SIGN, false)
      .bytes(CKA_LABEL, as_bytes(plan.label))
      .bytes(CKA_ID, plan.id);
  GuardKey pair{.mechanism = Mechanism::kRsaOaep};
  CK_MECHANISM how{
      .mechanism = CKM_RSA_PKCS_KEY_PAIR_GEN, .pParameter = nullptr, .ulParameterLen = 0};
  REWRAP_TRY(check(session.api().C_GenerateKeyPair(
                       session.handle(), &how, public_half.data(), public_half.size(),
                       private_half.data(), private_half.size(), &pair.public_half, &pair.handle),
                   "C_GenerateKeyPair", "the token does not make an RSA key pair"));
  auto modulus = read_modulus(session, pair.public_half);
  if (!modulus.ok()) return discard(session, pair, modulus.status());
  pair.modulus = std::move(modulus).value();
  return pair;
}

Status discard(Session& session, const GuardKey& made, const Status& why) {
  bool all_gone = true;
  for (const CK_OBJECT_HANDLE half : {made.handle, made.public_half}) {
    if (half == CK_INVALID_HANDLE) continue;
    if (session.api().C_DestroyObject(session.handle(), half) != CKR_OK) all_gone = false;
  }
  if (all_gone) return why;
  return why.with_hint(
      "the key that was being made is still in the token: remove it by hand before another "
      "attempt");
}

Status fill_random(Session& session, ByteSpan out) {
  REWRAP_TRY(check_random_len(out.size()));
  if (out.empty()) return {};
  return check(session.api().C_GenerateRandom(session.handle(), out.data(), out.size()),
               "C_GenerateRandom", "the token gives no random bytes");
}

Result<Bytes> seal_new_key(Session& session, const GuardKey& guard, std::size_t len, ByteView aad) {
  if (guard.mechanism == Mechanism::kAesKeyWrap) {
    // Readable, as open_key's will be: a token that makes no readable keys should say so here.
    REWRAP_ASSIGN(SessionObject key,
                  generate_session_key(session, len, Readability::kReadable, {}));
    return wrap_and_destroy(session, guard, std::move(key));
  }
  REWRAP_ASSIGN(SecretBuffer key, SecretBuffer::create(len));
  REWRAP_TRY(fill_random(session, key.expose_secret()));
  return seal_key(session, guard, key, aad);
}

Result<Bytes> seal_key(Session& session, const GuardKey& guard, const SecretBuffer& key,
                       ByteView aad) {
  switch (guard.mechanism) {
    case Mechanism::kAesKeyWrap: {
      REWRAP_ASSIGN(SessionObject inside, import_session_key(session, key));
      return wrap_and_destroy(session, guard, std::move(inside));
    }
    case Mechanism::kAesGcm:
      return gcm_seal(session, guard, key, aad);
    case Mechanism::kRsaOaep:
      return encrypt(session, CipherMechanism::oaep(), guard.public_half, key.expose_secret(),
                     kMaxBlockLen);
    default:
      return no_such_mechanism();
  }
}

Result<SecretBuffer> open_key(Session& session, const GuardKey& guard, ByteView blob,
                              ByteView aad) {
  switch (guard.mechanism) {
    case Mechanism::kAesKeyWrap:
      return unwrap_and_read(session, guard, blob);
    case Mechanism::kAesGcm:
      return gcm_open(session, guard, blob, aad);
    case Mechanism::kRsaOaep:
      return oaep_open(session, guard, blob);
    default:
      return no_such_mechanism();
  }
}

Status try_key(Session& session, const GuardKey& guard, ByteView blob, ByteView aad) {
  if (guard.mechanism != Mechanism::kAesKeyWrap)
    return open_key(session, guard, blob, aad).status();
  REWRAP_ASSIGN(SessionObject key, unwrap_session_key(session, CKM_AES_KEY_WRAP, guard.handle, blob,
                                                      CKK_AES, Readability::kNever));
  return key.destroy();
}

}  // namespace rewrap
