// C_Encrypt and C_Decrypt.
#include "hsm/pkcs11/cipher.h"

#include <utility>

#include "hsm/pkcs11/error.h"
#include "hsm/pkcs11/keys.h"

namespace rewrap {
namespace {

// The C functions and structures have no const; what goes in is only read.
std::uint8_t* unconst(ByteView bytes) { return const_cast<std::uint8_t*>(bytes.data()); }

}  // namespace

CipherMechanism CipherMechanism::ecb() { return CipherMechanism(CKM_AES_ECB); }

CipherMechanism CipherMechanism::gcm(ByteView iv, ByteView aad) {
  CipherMechanism how(CKM_AES_GCM);
  how.gcm_.pIv = unconst(iv);
  how.gcm_.ulIvLen = iv.size();
  how.gcm_.ulIvBits = 8 * iv.size();  // some tokens read this one, some the other
  how.gcm_.pAAD = aad.empty() ? nullptr : unconst(aad);
  how.gcm_.ulAADLen = aad.size();
  how.gcm_.ulTagBits = 8 * kGcmTagLen;
  return how;
}

CipherMechanism CipherMechanism::oaep() {
  CipherMechanism how(CKM_RSA_PKCS_OAEP);
  how.oaep_.hashAlg = CKM_SHA_1;
  how.oaep_.mgf = CKG_MGF1_SHA1;
  how.oaep_.source = CKZ_DATA_SPECIFIED;
  return how;
}

CK_MECHANISM CipherMechanism::get() {
  switch (type_) {
    case CKM_AES_GCM:
      return {.mechanism = type_, .pParameter = &gcm_, .ulParameterLen = sizeof gcm_};
    case CKM_RSA_PKCS_OAEP:
      return {.mechanism = type_, .pParameter = &oaep_, .ulParameterLen = sizeof oaep_};
    default:
      return {.mechanism = type_, .pParameter = nullptr, .ulParameterLen = 0};
  }
}

Result<Bytes> encrypt(Session& session, CipherMechanism how, CK_OBJECT_HANDLE key, ByteView in,
                      std::size_t max_len) {
  CK_FUNCTION_LIST& api = session.api();
  constexpr Literal kMessage = "the token does not encrypt";
  CK_MECHANISM mechanism = how.get();
  REWRAP_TRY(
      check(api.C_EncryptInit(session.handle(), &mechanism, key), "C_EncryptInit", kMessage));
  Bytes out(max_len);
  CK_ULONG len = out.size();
  const CK_RV rv = api.C_Encrypt(session.handle(), unconst(in), in.size(), out.data(), &len);
  if (rv != CKR_OK) {
    (void)session.renew();  // whatever was left open must not meet the next call
    return check(rv, "C_Encrypt", kMessage);
  }
  if (len > out.size())
    return Status(Errc::kUnsupported, "the token gave a ciphertext of an odd length");
  out.resize(len);
  return out;
}

Result<SecretBuffer> decrypt(Session& session, CipherMechanism how, CK_OBJECT_HANDLE key,
                             ByteView in, std::size_t max_len) {
  CK_FUNCTION_LIST& api = session.api();
  CK_MECHANISM mechanism = how.get();
  REWRAP_TRY(check(api.C_DecryptInit(session.handle(), &mechanism, key), "C_DecryptInit",
                   "the token does not decrypt"));
  REWRAP_ASSIGN(SecretBuffer out, SecretBuffer::create(max_len));
  CK_ULONG len = out.size();
  const CK_RV rv =
      api.C_Decrypt(session.handle(), unconst(in), in.size(), out.expose_secret().data(), &len);
  if (rv != CKR_OK) {
    const Status failed = judge_open(session, key, rv, "C_Decrypt");
    (void)session.renew();
    return failed;
  }
  if (len > out.size())
    return Status(Errc::kUnsupported, "the token gave a plaintext of an odd length");
  out.shrink_to(len);
  return out;
}

}  // namespace rewrap
