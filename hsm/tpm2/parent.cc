// Finding and persisting the parent.
#include "hsm/tpm2/parent.h"

#include <tss2/tss2_esys.h>

#include "hsm/tpm2/error.h"
#include "hsm/tpm2/esys_ptr.h"

namespace rewrap {
namespace {

constexpr TPMA_OBJECT kStorageKey =
    TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT | TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT;

// storage_template is, but for the empty `unique`, the TCG's template for a storage root key (TCG EK
// Credential Profile; TPM v2.0 Provisioning Guidance, 7.5.1).
TPM2B_PUBLIC storage_template() {
  TPM2B_PUBLIC out{};
  TPMT_PUBLIC& area = out.publicArea;
  area.type = TPM2_ALG_ECC;
  area.nameAlg = TPM2_ALG_SHA256;
  // noDA: someone else's wrong PINs must not lock this key.
  area.objectAttributes =
      kStorageKey | TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_SENSITIVEDATAORIGIN | TPMA_OBJECT_NODA;
  TPMS_ECC_PARMS& ecc = area.parameters.eccDetail;
  ecc.symmetric.algorithm = TPM2_ALG_AES;
  ecc.symmetric.keyBits.aes = 128;
  ecc.symmetric.mode.aes = TPM2_ALG_CFB;
  ecc.scheme.scheme = TPM2_ALG_NULL;
  ecc.curveID = TPM2_ECC_NIST_P256;
  ecc.kdf.scheme = TPM2_ALG_NULL;
  return out;
}

Result<Bytes> name_of(Tpm& tpm, EsysHandle handle) {
  EsysPtr<TPM2B_NAME> name;
  REWRAP_TRY(check_tpm(Esys_TR_GetName(tpm.esys(), handle, esys_out(&name)), "Esys_TR_GetName",
                       "libtss2 does not name the parent key"));
  return Bytes(name->name, name->name + name->size);
}

Result<Parent> make_primary(Tpm& tpm) {
  const TPM2B_SENSITIVE_CREATE nothing{};
  const TPM2B_PUBLIC wanted = storage_template();
  const TPM2B_DATA outside{};
  const TPML_PCR_SELECTION no_pcrs{};
  EsysHandle handle = kNoHandle;
  const TSS2_RC rc = Esys_CreatePrimary(tpm.esys(), ESYS_TR_RH_OWNER, ESYS_TR_PASSWORD,
                                        ESYS_TR_NONE, ESYS_TR_NONE, &nothing, &wanted, &outside,
                                        &no_pcrs, &handle, nullptr, nullptr, nullptr, nullptr);
  if (tpm_error(rc) == TPM2_RC_BAD_AUTH || tpm_error(rc) == TPM2_RC_AUTH_FAIL) {
    return fail_tpm(Errc::kDenied, rc, "", "Esys_CreatePrimary",
                    "the TPM's owner hierarchy has a password",
                    "have its owner put a storage key at a handle, and say handle=0x81000001");
  }
  REWRAP_TRY(check_tpm(rc, "Esys_CreatePrimary", "the TPM does not make the parent key",
                       "the TPM must know ECC P-256, SHA-256 and AES-128-CFB"));
  Parent parent;
  parent.handle = TpmHandle(&tpm, handle, TpmHandle::Stay::kFlush);
  REWRAP_ASSIGN(parent.name, name_of(tpm, handle));
  return parent;
}

// look_up gives the key at a persistent handle, whatever it is.
Result<Parent> look_up(Tpm& tpm, std::uint32_t persistent) {
  EsysHandle handle = kNoHandle;
  const TSS2_RC rc = Esys_TR_FromTPMPublic(tpm.esys(), persistent, ESYS_TR_NONE, ESYS_TR_NONE,
                                           ESYS_TR_NONE, &handle);
  if (tpm_error(rc) == TPM2_RC_HANDLE) {
    return fail_tpm(Errc::kNotFound, rc, "", "Esys_TR_FromTPMPublic",
                    "the TPM has no key at the URI's handle",
                    "put one there: rewrap root create URI; if there was one, the owner hierarchy "
                    "was cleared or this is another TPM");
  }
  REWRAP_TRY(check_tpm(rc, "Esys_TR_FromTPMPublic", "the TPM does not show the parent key"));
  Parent parent;
  parent.handle = TpmHandle(&tpm, handle, TpmHandle::Stay::kKeep);
  REWRAP_ASSIGN(parent.name, name_of(tpm, handle));
  return parent;
}

Status check_storage_key(Tpm& tpm, EsysHandle handle) {
  EsysPtr<TPM2B_PUBLIC> area;
  REWRAP_TRY(check_tpm(Esys_ReadPublic(tpm.esys(), handle, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                                       esys_out(&area), nullptr, nullptr),
                       "Esys_ReadPublic", "the TPM does not show the parent key"));
  const TPMA_OBJECT attributes = area->publicArea.objectAttributes;
  if ((attributes & kStorageKey) == kStorageKey && (attributes & TPMA_OBJECT_SIGN_ENCRYPT) == 0)
    return {};
  return {Errc::kRefused, "the key at the URI's handle is not a storage key that stays in its TPM",
          "choose another handle= and make one there: rewrap root create URI"};
}

}  // namespace

Result<Parent> find_parent(Tpm& tpm, std::uint32_t handle) {
  if (handle == 0) return make_primary(tpm);
  REWRAP_ASSIGN(Parent parent, look_up(tpm, handle));
  REWRAP_TRY(check_storage_key(tpm, parent.handle.get()));
  return parent;
}

Status persist_parent(Tpm& tpm, std::uint32_t handle) {
  REWRAP_ASSIGN(const Parent primary, make_primary(tpm));
  const auto there = look_up(tpm, handle);
  if (there.ok() && there->name == primary.name) return {};
  if (there.ok()) {
    return {Errc::kAlreadyExists, "another key is at the URI's handle",
            "use it as it is if it is a storage key, or choose another handle="};
  }
  if (there.status().code() != Errc::kNotFound) return there.status();
  EsysHandle persistent = kNoHandle;
  return check_tpm(
      Esys_EvictControl(tpm.esys(), ESYS_TR_RH_OWNER, primary.handle.get(), ESYS_TR_PASSWORD,
                        ESYS_TR_NONE, ESYS_TR_NONE, handle, &persistent),
      "Esys_EvictControl", "the TPM does not keep the parent key",
      "see what it keeps with tpm2_getcap handles-persistent, and free a handle");
}

}  // namespace rewrap
