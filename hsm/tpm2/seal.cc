// Sessions, policies, and the sealed object.
#include "hsm/tpm2/seal.h"

#include <openssl/evp.h>
#include <tss2/tss2_esys.h>
#include <tss2/tss2_mu.h>

#include <algorithm>
#include <memory>

#include "hsm/tpm2/counter.h"
#include "hsm/tpm2/error.h"
#include "hsm/tpm2/esys_ptr.h"

namespace rewrap {
namespace {

constexpr std::size_t kMaxMarshalledLen = 2048;
constexpr TPMA_OBJECT kStaysInTpm = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT;

// What a session encrypts: the first parameter of commands, or of answers, or both.
constexpr TPMA_SESSION kEncryptAnswers = TPMA_SESSION_ENCRYPT;
constexpr TPMA_SESSION kEncryptBoth = TPMA_SESSION_ENCRYPT | TPMA_SESSION_DECRYPT;

struct SessionWish {
  TPM2_SE type = TPM2_SE_HMAC;
  EsysHandle salt_key = ESYS_TR_NONE;
  EsysHandle bind = ESYS_TR_NONE;
  TPMA_SESSION encrypt = 0;
};

Result<TpmHandle> start_session(Tpm& tpm, const SessionWish& wish) {
  TPMT_SYM_DEF cipher{};
  cipher.algorithm = TPM2_ALG_AES;
  cipher.keyBits.aes = 128;
  cipher.mode.aes = TPM2_ALG_CFB;
  EsysHandle handle = ESYS_TR_NONE;
  REWRAP_TRY(check_tpm(
      Esys_StartAuthSession(tpm.esys(), wish.salt_key, wish.bind, ESYS_TR_NONE, ESYS_TR_NONE,
                            ESYS_TR_NONE, nullptr, wish.type, &cipher, TPM2_ALG_SHA256, &handle),
      "Esys_StartAuthSession", "the TPM does not start a session"));
  TpmHandle session(&tpm, handle, TpmHandle::Stay::kFlush);
  const TPMA_SESSION attributes = TPMA_SESSION_CONTINUESESSION | wish.encrypt;
  REWRAP_TRY(check_tpm(Esys_TRSess_SetAttributes(tpm.esys(), handle, attributes, 0xff),
                       "Esys_TRSess_SetAttributes", "libtss2 does not set up the session"));
  return session;
}

Status libtss2_failed() { return {Errc::kInternal, "libtss2 cannot marshal a structure"}; }

// ---- Policies ----

TPML_PCR_SELECTION selection_of(const PcrSelection& pcrs) {
  TPML_PCR_SELECTION out{};
  out.count = 1;
  out.pcrSelections[0].hash = static_cast<TPMI_ALG_HASH>(pcrs.bank);
  out.pcrSelections[0].sizeofSelect = kNumPcrs / 8;
  for (std::uint32_t i = 0; i < kNumPcrs / 8; ++i)
    out.pcrSelections[0].pcrSelect[i] = static_cast<BYTE>(pcrs.mask >> (8 * i));
  return out;
}

// digest_of_pcrs is what TPM2_PolicyPCR compares: SHA-256, the session's hash, over the values.
Result<TPM2B_DIGEST> digest_of_pcrs(const std::vector<Bytes>& values) {
  Bytes all;
  for (const Bytes& value : values) all.insert(all.end(), value.begin(), value.end());
  TPM2B_DIGEST out{};
  out.size = TPM2_SHA256_DIGEST_SIZE;
  if (EVP_Digest(all.data(), all.size(), out.buffer, nullptr, EVP_sha256(), nullptr) != 1)
    return Status(Errc::kInternal, "OpenSSL cannot compute SHA-256");
  return out;
}

// check_pcrs compares the values now with those sealed to, so that a mismatch can be named.
Status check_pcrs(Tpm& tpm, const SealedBlob& blob) {
  if (blob.pcrs.empty()) return {};
  REWRAP_ASSIGN(const std::vector<Bytes> now, tpm.read_pcrs(blob.pcrs));
  PcrSelection differ;
  differ.bank = blob.pcrs.bank;
  std::size_t i = 0;
  for (std::uint32_t pcr = 0; pcr < kNumPcrs; ++pcr) {
    if ((blob.pcrs.mask >> pcr & 1) == 0) continue;
    if (now[i] != blob.pcr_values[i]) differ.mask |= std::uint32_t{1} << pcr;
    ++i;
  }
  if (differ.empty()) return {};
  return fail_tpm(Errc::kDenied, TPM2_RC_POLICY_FAIL, "these differ: " + format_pcrs(differ),
                  "Esys_PCR_Read", "PCRs have other values than the KEK was sealed to",
                  "boot as before, or open by another protector and seal anew");
}

Status add_pcrs(Tpm& tpm, EsysHandle session, const SealedBlob& blob) {
  if (blob.pcrs.empty()) return {};
  REWRAP_ASSIGN(const TPM2B_DIGEST digest, digest_of_pcrs(blob.pcr_values));
  const TPML_PCR_SELECTION selection = selection_of(blob.pcrs);
  const TSS2_RC rc = Esys_PolicyPCR(tpm.esys(), session, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                                    &digest, &selection);
  // They changed after check_pcrs.
  if (tpm_error(rc) == TPM2_RC_VALUE) {
    REWRAP_TRY(check_pcrs(tpm, blob));
    return fail_tpm(Errc::kDenied, rc, "", "Esys_PolicyPCR",
                    "PCRs have other values than the KEK was sealed to");
  }
  return check_tpm(rc, "Esys_PolicyPCR", "the TPM does not check PCRs");
}

Status add_counter(Tpm& tpm, EsysHandle session, const SealedBlob& blob) {
  if (blob.counter == 0) return {};
  REWRAP_ASSIGN(const Counter counter, find_counter(tpm, blob.counter));
  TPM2B_OPERAND value{};
  value.size = sizeof blob.counter_value;
  store_be64(value.buffer, blob.counter_value);
  const EsysHandle index = counter.handle.get();
  return check_tpm(Esys_PolicyNV(tpm.esys(), index, index, session, ESYS_TR_PASSWORD, ESYS_TR_NONE,
                                 ESYS_TR_NONE, &value, 0, TPM2_EO_EQ),
                   "Esys_PolicyNV", "the TPM's counter has another value than the KEK needs");
}

// run_policy puts the blob's terms into a policy session, or a trial of one.
Status run_policy(Tpm& tpm, EsysHandle session, const SealedBlob& blob) {
  REWRAP_TRY(add_pcrs(tpm, session, blob));
  REWRAP_TRY(add_counter(tpm, session, blob));
  if (!blob.needs_pin) return {};
  return check_tpm(
      Esys_PolicyAuthValue(tpm.esys(), session, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE),
      "Esys_PolicyAuthValue", "the TPM does not ask for the PIN");
}

// trial_digest is the policy digest for the blob's terms, whether or not they are met now. Empty
// where no policy is needed.
Result<TPM2B_DIGEST> trial_digest(Tpm& tpm, const SealedBlob& blob) {
  if (!blob.needs_policy()) return TPM2B_DIGEST{};
  SessionWish wish;
  wish.type = TPM2_SE_TRIAL;
  REWRAP_ASSIGN(const TpmHandle session, start_session(tpm, wish));
  REWRAP_TRY(run_policy(tpm, session.get(), blob));
  EsysPtr<TPM2B_DIGEST> digest;
  REWRAP_TRY(check_tpm(Esys_PolicyGetDigest(tpm.esys(), session.get(), ESYS_TR_NONE, ESYS_TR_NONE,
                                            ESYS_TR_NONE, esys_out(&digest)),
                       "Esys_PolicyGetDigest", "the TPM does not tell the policy's digest"));
  return *digest;
}

// ---- Objects ----

TPMA_OBJECT attributes_for(const SealedBlob& blob) {
  TPMA_OBJECT attributes = kStaysInTpm;
  if (!blob.needs_policy()) attributes |= TPMA_OBJECT_USERWITHAUTH;
  // Without a PIN there is nothing to guess, and someone else's wrong PINs must not lock us out.
  if (!blob.needs_pin) attributes |= TPMA_OBJECT_NODA;
  return attributes;
}

Result<TPM2B_PUBLIC> read_public(const SealedBlob& blob) {
  TPM2B_PUBLIC out{};
  std::size_t offset = 0;
  const TSS2_RC rc =
      Tss2_MU_TPM2B_PUBLIC_Unmarshal(blob.pub.data(), blob.pub.size(), &offset, &out);
  if (rc == TSS2_RC_SUCCESS && offset == blob.pub.size()) return out;
  return Status(Errc::kIntegrity, "the sealed object's public part is damaged");
}

Result<TPM2B_PRIVATE> read_private(const SealedBlob& blob) {
  TPM2B_PRIVATE out{};
  std::size_t offset = 0;
  const TSS2_RC rc =
      Tss2_MU_TPM2B_PRIVATE_Unmarshal(blob.priv.data(), blob.priv.size(), &offset, &out);
  if (rc == TSS2_RC_SUCCESS && offset == blob.priv.size()) return out;
  return Status(Errc::kIntegrity, "the sealed object's private part is damaged");
}

// blames_object says whether the TPM found fault with what it was given to load.
bool blames_object(TSS2_RC rc) {
  constexpr TSS2_RC kParameterError = 0xc0;  // Part 2, 6.6: bits F and P
  return tpm_error(rc) == TPM2_RC_INTEGRITY || (rc & kParameterError) == kParameterError;
}

Result<TpmHandle> load(Tpm& tpm, const Parent& parent, const SealedBlob& blob) {
  REWRAP_ASSIGN(const TPM2B_PUBLIC pub, read_public(blob));
  REWRAP_ASSIGN(const TPM2B_PRIVATE priv, read_private(blob));
  EsysHandle handle = ESYS_TR_NONE;
  const TSS2_RC rc = Esys_Load(tpm.esys(), parent.handle.get(), ESYS_TR_PASSWORD, ESYS_TR_NONE,
                               ESYS_TR_NONE, &priv, &pub, &handle);
  if (rc != TSS2_RC_SUCCESS && blames_object(rc)) {
    return fail_tpm(Errc::kIntegrity, rc, "", "Esys_Load",
                    "the sealed object does not load: damaged, or sealed under another key");
  }
  REWRAP_TRY(check_tpm(rc, "Esys_Load", "the TPM does not load the sealed object",
                       "the parent key must have an empty auth value"));
  return TpmHandle(&tpm, handle, TpmHandle::Stay::kFlush);
}

template <typename T, typename Marshal>
Result<Bytes> marshal(Marshal marshal_it, const T& structure) {
  Bytes out(kMaxMarshalledLen);
  std::size_t len = 0;
  if (marshal_it(&structure, out.data(), out.size(), &len) != TSS2_RC_SUCCESS)
    return libtss2_failed();
  out.resize(len);
  return out;
}

TPM2B_PUBLIC sealed_template(const SealedBlob& blob, const TPM2B_DIGEST& policy) {
  TPM2B_PUBLIC out{};
  TPMT_PUBLIC& area = out.publicArea;
  area.type = TPM2_ALG_KEYEDHASH;
  area.nameAlg = TPM2_ALG_SHA256;
  area.objectAttributes = attributes_for(blob);
  area.authPolicy = policy;
  area.parameters.keyedHashDetail.scheme.scheme = TPM2_ALG_NULL;
  return out;
}

struct Created {
  EsysPtr<TPM2B_PUBLIC> pub;
  EsysPtr<TPM2B_PRIVATE> priv;
};

Result<Created> create_object(Tpm& tpm, const Parent& parent, EsysHandle session,
                              const TPM2B_SENSITIVE_CREATE& sensitive, const TPM2B_PUBLIC& wanted) {
  const TPM2B_DATA outside{};
  const TPML_PCR_SELECTION no_pcrs{};
  Created made;
  REWRAP_TRY(check_tpm(
      Esys_Create(tpm.esys(), parent.handle.get(), session, ESYS_TR_NONE, ESYS_TR_NONE, &sensitive,
                  &wanted, &outside, &no_pcrs, esys_out(&made.priv), esys_out(&made.pub), nullptr,
                  nullptr, nullptr),
      "Esys_Create", "the TPM does not seal", "the parent key must have an empty auth value"));
  return made;
}

// ---- The PIN ----

// tell_lockout says how long it takes, as far as the TPM tells.
Status tell_lockout(Tpm& tpm, TSS2_RC rc, Literal call) {
  const auto interval = tpm.property(TPM2_PT_LOCKOUT_INTERVAL);
  const std::string detail =
      interval.ok() ? "a try comes back every " + std::to_string(interval.value()) + " s" : "";
  return fail_tpm(Errc::kDenied, rc, detail, call,
                  "the TPM is locked after too many wrong PINs: now the right PIN fails too",
                  "wait until a try comes back, or reset with tpm2_dictionarylockout -c");
}

// check_final_try refuses the try that could lock the TPM.
Status check_final_try(Tpm& tpm, bool allow_final_try) {
  REWRAP_ASSIGN(const std::uint32_t permanent, tpm.property(TPM2_PT_PERMANENT));
  if ((permanent & TPMA_PERMANENT_INLOCKOUT) != 0)
    return tell_lockout(tpm, TPM2_RC_LOCKOUT, "Esys_GetCapability");
  if (allow_final_try) return {};
  REWRAP_ASSIGN(const std::uint32_t num_failed, tpm.property(TPM2_PT_LOCKOUT_COUNTER));
  REWRAP_ASSIGN(const std::uint32_t max_failed, tpm.property(TPM2_PT_MAX_AUTH_FAIL));
  if (num_failed + 1 < max_failed) return {};
  return {Errc::kDenied, "one more wrong PIN locks the TPM, so none was tried",
          "make sure of the PIN, then say --allow-final-pin-try; or wait until tries come back"};
}

Status judge_unseal(Tpm& tpm, const SealedBlob& blob, TSS2_RC rc) {
  switch (tpm_error(rc)) {
    case TPM2_RC_AUTH_FAIL:
    case TPM2_RC_BAD_AUTH:
      return fail_tpm(Errc::kDenied, rc, "", "Esys_Unseal",
                      "the TPM refused the PIN; one try was made and none will follow",
                      "check the file that pin-source names before you run this again");
    case TPM2_RC_LOCKOUT:
      return tell_lockout(tpm, rc, "Esys_Unseal");
    case TPM2_RC_POLICY_FAIL:
    case TPM2_RC_AUTH_UNAVAILABLE:  // the blob says that there are no terms, the object knows better
      REWRAP_TRY(check_pcrs(tpm, blob));
      return fail_tpm(Errc::kDenied, rc, "", "Esys_Unseal",
                      "the TPM says that the terms of the sealed KEK are not met");
    default:
      return check_tpm(rc, "Esys_Unseal", "the TPM does not unseal");
  }
}

Result<SecretBuffer> unseal_once(Tpm& tpm, const Parent& parent, const SealedBlob& blob,
                                 EsysHandle object) {
  SessionWish wish;
  wish.type = blob.needs_policy() ? TPM2_SE_POLICY : TPM2_SE_HMAC;
  wish.salt_key = parent.handle.get();
  // A policy session is not bound: libtss2 would leave the PIN out of its HMAC (Part 1, 19.6.5 puts
  // it in), and the try would be lost. The PIN is in the HMAC and the encryption all the same.
  if (blob.needs_pin && !blob.needs_policy()) wish.bind = object;
  wish.encrypt = kEncryptAnswers;
  REWRAP_ASSIGN(const TpmHandle session, start_session(tpm, wish));
  if (blob.needs_policy()) REWRAP_TRY(run_policy(tpm, session.get(), blob));
  EsysPtr<TPM2B_SENSITIVE_DATA> data;
  const TSS2_RC rc =
      Esys_Unseal(tpm.esys(), object, session.get(), ESYS_TR_NONE, ESYS_TR_NONE, esys_out(&data));
  if (rc != TSS2_RC_SUCCESS) return judge_unseal(tpm, blob, rc);
  const ByteSpan bytes(data->buffer, data->size);
  auto secret = bytes.empty() ? Result<SecretBuffer>(Status(Errc::kIntegrity, "nothing is sealed"))
                              : SecretBuffer::copy_of(bytes);
  wipe(ByteSpan(data->buffer, sizeof data->buffer));
  tpm.overwrite_residue();
  return secret;
}

bool is_pcr_changed(const Status& status) {
  return status.native() == Native::kTpm2 &&
         tpm_error(status.native_number()) == TPM2_RC_PCR_CHANGED;
}

bool same_digest(const TPM2B_DIGEST& a, const TPM2B_DIGEST& b) {
  return a.size == b.size && std::equal(a.buffer, a.buffer + a.size, b.buffer);
}

}  // namespace

Status check_pin(ByteView pin) {
  if (pin.empty() || pin.size() > kMaxTpmPinLen)
    return {Errc::kInvalidArgument, "a PIN for a TPM has 1 to 32 bytes", "use a shorter PIN"};
  if (pin.back() == 0) {
    return {Errc::kInvalidArgument, "a PIN for a TPM must not end in a zero byte",
            "TPMs cut zero bytes off; use another PIN"};
  }
  return {};
}

Status seal(Tpm& tpm, const Parent& parent, ByteView secret, ByteView pin, SealedBlob* blob) {
  if (secret.empty() || secret.size() > kMaxSealedLen || blob->needs_pin == pin.empty())
    return {Errc::kInternal, "a TPM seals 1 to 128 bytes, under the PIN that its terms say"};
  REWRAP_ASSIGN(const TPM2B_DIGEST policy, trial_digest(tpm, *blob));
  const TPM2B_PUBLIC wanted = sealed_template(*blob, policy);
  SessionWish wish;
  wish.salt_key = parent.handle.get();
  wish.bind = parent.handle.get();
  wish.encrypt = kEncryptBoth;
  REWRAP_ASSIGN(const TpmHandle session, start_session(tpm, wish));
  Wiped<TPM2B_SENSITIVE_CREATE> sensitive;
  sensitive->sensitive.userAuth.size = static_cast<UINT16>(pin.size());
  copy_bytes(sensitive->sensitive.userAuth.buffer, pin);
  sensitive->sensitive.data.size = static_cast<UINT16>(secret.size());
  copy_bytes(sensitive->sensitive.data.buffer, secret);
  const auto made = create_object(tpm, parent, session.get(), *sensitive.get(), wanted);
  // libtss2 keeps a copy of what it was given to seal until it is given something else.
  TPM2B_SENSITIVE_CREATE nothing{};
  nothing.sensitive.data.size = kMaxSealedLen;
  static_cast<void>(create_object(tpm, parent, session.get(), nothing, wanted).ok());
  tpm.overwrite_residue();
  if (!made.ok()) return made.status();
  REWRAP_ASSIGN(blob->pub, marshal(Tss2_MU_TPM2B_PUBLIC_Marshal, *made->pub));
  REWRAP_ASSIGN(blob->priv, marshal(Tss2_MU_TPM2B_PRIVATE_Marshal, *made->priv));
  return {};
}

Result<SecretBuffer> unseal(Tpm& tpm, const Parent& parent, const SealedBlob& blob,
                            const PinUse& pin) {
  REWRAP_TRY(check_pcrs(tpm, blob));
  REWRAP_ASSIGN(TpmHandle object, load(tpm, parent, blob));
  if (blob.needs_pin) {
    REWRAP_TRY(check_pin(pin.pin));
    REWRAP_TRY(check_final_try(tpm, pin.allow_final_try));
    REWRAP_TRY(object.set_auth(pin.pin));
  }
  auto secret = unseal_once(tpm, parent, blob, object.get());
  // The TPM looks at the PCRs before it looks at the PIN: no try was spent.
  if (!secret.ok() && is_pcr_changed(secret.status())) {
    REWRAP_TRY(check_pcrs(tpm, blob));
    secret = unseal_once(tpm, parent, blob, object.get());
  }
  return secret;
}

Status check_sealed(Tpm& tpm, const Parent& parent, const SealedBlob& blob) {
  REWRAP_ASSIGN(const TpmHandle object, load(tpm, parent, blob));
  REWRAP_ASSIGN(const TPM2B_PUBLIC pub, read_public(blob));
  const TPMT_PUBLIC& area = pub.publicArea;
  if (area.type != TPM2_ALG_KEYEDHASH || (area.objectAttributes & kStaysInTpm) != kStaysInTpm) {
    return {Errc::kRefused, "not a sealed object that stays in its TPM",
            "seal with the attributes fixedtpm and fixedparent"};
  }
  const bool has_policy = area.authPolicy.size != 0;
  if (has_policy && (area.objectAttributes & TPMA_OBJECT_USERWITHAUTH) != 0) {
    return {Errc::kRefused, "the sealed object opens by its auth value alone, past its policy",
            "seal without the attribute userwithauth"};
  }
  REWRAP_ASSIGN(const TPM2B_DIGEST policy, trial_digest(tpm, blob));
  if (same_digest(policy, area.authPolicy)) return {};
  return {Errc::kDenied,
          "the sealed object has other terms than pcrs=, pin-source= and counter= say",
          "name the PCRs that it was sealed to, at the values they have now"};
}

}  // namespace rewrap
