// Defining, reading and raising the counter.
#include "hsm/tpm2/counter.h"

#include <tss2/tss2_esys.h>

#include "hsm/tpm2/error.h"
#include "hsm/tpm2/esys_ptr.h"

namespace rewrap {
namespace {

constexpr std::size_t kCounterLen = 8;
constexpr TPMA_NV kCounterType = TPM2_NT_COUNTER << TPMA_NV_TPM2_NT_SHIFT;
constexpr TPMA_NV kAttributes = kCounterType | TPMA_NV_AUTHREAD | TPMA_NV_AUTHWRITE | TPMA_NV_NO_DA;

Status define(Tpm& tpm, std::uint32_t index) {
  const TPM2B_AUTH no_auth{};
  TPM2B_NV_PUBLIC area{};
  area.nvPublic.nvIndex = index;
  area.nvPublic.nameAlg = TPM2_ALG_SHA256;
  area.nvPublic.attributes = kAttributes;
  area.nvPublic.dataSize = kCounterLen;
  EsysHandle handle = kNoHandle;
  const TSS2_RC rc = Esys_NV_DefineSpace(tpm.esys(), ESYS_TR_RH_OWNER, ESYS_TR_PASSWORD,
                                         ESYS_TR_NONE, ESYS_TR_NONE, &no_auth, &area, &handle);
  if (tpm_error(rc) == TPM2_RC_BAD_AUTH || tpm_error(rc) == TPM2_RC_AUTH_FAIL) {
    return fail_tpm(Errc::kDenied, rc, "", "Esys_NV_DefineSpace",
                    "the TPM's owner hierarchy has a password",
                    "have its owner make the counter: tpm2_nvdefine INDEX -C o -s 8 -a "
                    "'nt=counter|authread|authwrite|no_da'");
  }
  return check_tpm(rc, "Esys_NV_DefineSpace", "the TPM does not make the counter",
                   "see what it holds with tpm2_nvreadpublic, and free an index");
}

// look_up gives the index's handle, and in `*written` whether it was ever raised.
Result<TpmHandle> look_up(Tpm& tpm, std::uint32_t index, bool* written) {
  EsysHandle handle = kNoHandle;
  const TSS2_RC rc =
      Esys_TR_FromTPMPublic(tpm.esys(), index, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &handle);
  if (tpm_error(rc) == TPM2_RC_HANDLE) {
    return fail_tpm(Errc::kNotFound, rc, "", "Esys_TR_FromTPMPublic",
                    "the TPM has no counter at the index");
  }
  REWRAP_TRY(check_tpm(rc, "Esys_TR_FromTPMPublic", "the TPM does not show the counter"));
  TpmHandle out(&tpm, handle, TpmHandle::Stay::kKeep);
  EsysPtr<TPM2B_NV_PUBLIC> area;
  REWRAP_TRY(check_tpm(Esys_NV_ReadPublic(tpm.esys(), handle, ESYS_TR_NONE, ESYS_TR_NONE,
                                          ESYS_TR_NONE, esys_out(&area), nullptr),
                       "Esys_NV_ReadPublic", "the TPM does not show the counter"));
  const TPMA_NV attributes = area->nvPublic.attributes;
  const bool counts = (attributes & TPMA_NV_TPM2_NT_MASK) == kCounterType;
  if (!counts || (attributes & kAttributes) != kAttributes) {
    return Status(Errc::kRefused, "the NV index is not a counter that this program can use",
                  "choose another counter=; it will be made");
  }
  *written = (attributes & TPMA_NV_WRITTEN) != 0;
  return out;
}

Status read_value(Tpm& tpm, Counter* counter) {
  EsysPtr<TPM2B_MAX_NV_BUFFER> value;
  const EsysHandle handle = counter->handle.get();
  REWRAP_TRY(check_tpm(Esys_NV_Read(tpm.esys(), handle, handle, ESYS_TR_PASSWORD, ESYS_TR_NONE,
                                    ESYS_TR_NONE, kCounterLen, 0, esys_out(&value)),
                       "Esys_NV_Read", "the TPM does not tell the counter"));
  if (value->size != kCounterLen)
    return {Errc::kUnsupported, "the TPM's counter does not have 8 bytes"};
  counter->value = load_be64(value->buffer);
  return {};
}

Status raise(Tpm& tpm, EsysHandle handle) {
  return check_tpm(
      Esys_NV_Increment(tpm.esys(), handle, handle, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE),
      "Esys_NV_Increment", "the TPM does not raise the counter",
      "some TPMs limit how often; run this again in a minute");
}

}  // namespace

Result<Counter> find_counter(Tpm& tpm, std::uint32_t index) {
  bool written = false;
  Counter counter;
  REWRAP_ASSIGN(counter.handle, look_up(tpm, index, &written));
  if (!written) return Status(Errc::kNotFound, "the TPM's counter was never raised");
  REWRAP_TRY(read_value(tpm, &counter));
  return counter;
}

Result<Counter> find_or_define_counter(Tpm& tpm, std::uint32_t index) {
  bool written = false;
  auto handle = look_up(tpm, index, &written);
  if (!handle.ok() && handle.status().code() == Errc::kNotFound) {
    REWRAP_TRY(define(tpm, index));
    handle = look_up(tpm, index, &written);
  }
  if (!handle.ok()) return handle.status();
  Counter counter;
  counter.handle = std::move(handle).value();
  counter.is_new = !written;
  if (!written) REWRAP_TRY(raise(tpm, counter.handle.get()));
  REWRAP_TRY(read_value(tpm, &counter));
  return counter;
}

Status increment_counter(Tpm& tpm, Counter* counter) {
  REWRAP_TRY(raise(tpm, counter->handle.get()));
  return read_value(tpm, counter);
}

}  // namespace rewrap
