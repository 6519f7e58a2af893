// Connecting to a TPM, and its plain commands.
#include "hsm/tpm2/tpm.h"

#include <tss2/tss2_esys.h>
#include <tss2/tss2_tctildr.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <mutex>

#include "hsm/random.h"
#include "hsm/tpm2/error.h"
#include "hsm/tpm2/esys_ptr.h"

namespace rewrap {
namespace {

static_assert(kNoHandle == ESYS_TR_NONE);
static_assert(kMaxTpmPinLen == TPM2_SHA256_DIGEST_SIZE);

constexpr std::size_t kMaxRandomPerCall = 32;  // every TPM gives a SHA-256's worth
constexpr std::size_t kResidueLen = 64;        // more than the answer to Unseal; TPMs may give less
constexpr std::size_t kMaxHandles = 254;       // what fits one answer

// silence keeps libtss2 from writing to stderr, where the user has not asked for it. It reads the
// variable at its first message.
void silence() {
  static std::once_flag once;
  // NOLINTNEXTLINE(concurrency-mt-unsafe): once, before the first connection
  std::call_once(once, [] { static_cast<void>(setenv("TSS2_LOG", "all+none", 0)); });
}

// the_turn is held by the process's one connection.
std::mutex& the_turn() {
  static auto* mutex = new std::mutex();  // never destroyed: roots may outlive static objects
  return *mutex;
}

struct Choice {
  std::string tcti;
  const char* source;
};

Choice choose(const std::string& tcti) {
  if (!tcti.empty()) return {.tcti = tcti, .source = "tcti= in the URI"};
  // NOLINTNEXTLINE(concurrency-mt-unsafe): nothing here changes the environment after silence()
  const char* environment = std::getenv("TPM2TOOLS_TCTI");
  if (environment != nullptr && environment[0] != '\0')
    return {.tcti = environment, .source = "TPM2TOOLS_TCTI in the environment"};
  return {.tcti = "device:/dev/tpmrm0", .source = "the default"};
}

}  // namespace

Result<std::unique_ptr<Tpm>> Tpm::connect(const std::string& tcti) {
  silence();
  const Choice choice = choose(tcti);
  std::unique_ptr<Tpm> tpm(new Tpm(std::unique_lock<std::mutex>(the_turn())));
  TSS2_RC rc = Tss2_TctiLdr_Initialize(choice.tcti.c_str(), &tpm->tcti_);
  if (rc == TSS2_RC_SUCCESS) rc = Esys_Initialize(&tpm->esys_, tpm->tcti_, nullptr);
  if (rc == TSS2_RC_SUCCESS) return tpm;
  return fail_tpm(Errc::kUnavailable, rc, choice.source + (": " + choice.tcti),
                  "Tss2_TctiLdr_Initialize", "no TPM can be reached",
                  "check tcti= in the URI, TPM2TOOLS_TCTI, or that /dev/tpmrm0 is there and open "
                  "to this user");
}

Tpm::~Tpm() {
  if (esys_ != nullptr) Esys_Finalize(&esys_);
  if (tcti_ != nullptr) Tss2_TctiLdr_Finalize(&tcti_);
}

Status Tpm::random(ByteSpan out) {
  const bool any = !out.empty();
  REWRAP_TRY(check_random_len(out.size()));
  while (!out.empty()) {
    const std::size_t want = std::min(out.size(), kMaxRandomPerCall);
    EsysPtr<TPM2B_DIGEST> bytes;
    REWRAP_TRY(check_tpm(Esys_GetRandom(esys_, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                                        static_cast<UINT16>(want), esys_out(&bytes)),
                         "Esys_GetRandom", "the TPM gives no random bytes"));
    const std::size_t got = std::min<std::size_t>(bytes->size, want);
    if (got == 0) return {Errc::kUnavailable, "the TPM gives no random bytes"};
    copy_bytes(out, ByteView(bytes->buffer, got));
    wipe(ByteSpan(bytes->buffer, bytes->size));
    out = out.subspan(got);
  }
  if (any) overwrite_residue();
  return {};
}

void Tpm::overwrite_residue() {
  EsysPtr<TPM2B_DIGEST> bytes;
  // A TPM that fails here has overwritten the buffer with its failure, or is gone.
  static_cast<void>(Esys_GetRandom(esys_, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, kResidueLen,
                                   esys_out(&bytes)));
}

Result<std::uint32_t> Tpm::property(std::uint32_t which) {
  EsysPtr<TPMS_CAPABILITY_DATA> data;
  TPMI_YES_NO more = TPM2_NO;
  REWRAP_TRY(
      check_tpm(Esys_GetCapability(esys_, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                                   TPM2_CAP_TPM_PROPERTIES, which, 1, &more, esys_out(&data)),
                "Esys_GetCapability", "the TPM does not tell its properties"));
  const TPML_TAGGED_TPM_PROPERTY& list = data->data.tpmProperties;
  if (list.count != 1 || list.tpmProperty[0].property != which)
    return Status(Errc::kNotFound, "the TPM does not know a property");
  return list.tpmProperty[0].value;
}

Result<std::vector<std::uint32_t>> Tpm::handles(std::uint32_t first) {
  EsysPtr<TPMS_CAPABILITY_DATA> data;
  TPMI_YES_NO more = TPM2_NO;
  REWRAP_TRY(
      check_tpm(Esys_GetCapability(esys_, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                                   TPM2_CAP_HANDLES, first, kMaxHandles, &more, esys_out(&data)),
                "Esys_GetCapability", "the TPM does not tell what it holds"));
  const TPML_HANDLE& list = data->data.handles;
  return std::vector<std::uint32_t>(list.handle, list.handle + list.count);
}

Result<std::vector<Bytes>> Tpm::read_pcrs(const PcrSelection& pcrs) {
  std::vector<Bytes> values;
  // One by one: a TPM gives up to eight at once, but which ones is its choice.
  for (std::uint32_t pcr = 0; pcr < kNumPcrs; ++pcr) {
    if ((pcrs.mask >> pcr & 1) == 0) continue;
    TPML_PCR_SELECTION selection{};
    selection.count = 1;
    selection.pcrSelections[0].hash = static_cast<TPMI_ALG_HASH>(pcrs.bank);
    selection.pcrSelections[0].sizeofSelect = kNumPcrs / 8;
    selection.pcrSelections[0].pcrSelect[pcr / 8] = static_cast<BYTE>(1U << (pcr % 8));
    EsysPtr<TPML_DIGEST> answer;
    REWRAP_TRY(check_tpm(Esys_PCR_Read(esys_, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &selection,
                                       nullptr, nullptr, esys_out(&answer)),
                         "Esys_PCR_Read", "the TPM does not tell its PCRs"));
    if (answer->count != 1 || answer->digests[0].size != pcr_value_len(pcrs.bank)) {
      return Status(Errc::kUnsupported, "the TPM does not have this PCR in this bank",
                    "choose another bank in pcrs=; tpm2_pcrread lists those it has");
    }
    values.emplace_back(answer->digests[0].buffer,
                        answer->digests[0].buffer + answer->digests[0].size);
  }
  return values;
}

TpmHandle::~TpmHandle() {
  if (tpm_ == nullptr || handle_ == kNoHandle) return;
  // libtss2 frees the auth value without wiping it.
  const TPM2B_AUTH nothing{};
  static_cast<void>(Esys_TR_SetAuth(tpm_->esys(), handle_, &nothing));
  if (stay_ == Stay::kFlush) static_cast<void>(Esys_FlushContext(tpm_->esys(), handle_));
  // Where flushing failed libtss2 still knows the handle; it goes with the connection.
}

Status TpmHandle::set_auth(ByteView auth) {
  Wiped<TPM2B_AUTH> value;
  if (auth.size() > kMaxTpmPinLen)
    return {Errc::kInvalidArgument, "a PIN for a TPM has at most 32 bytes", "use a shorter PIN"};
  value->size = static_cast<UINT16>(auth.size());
  copy_bytes(value->buffer, auth);
  return check_tpm(Esys_TR_SetAuth(tpm_->esys(), handle_, value.get()), "Esys_TR_SetAuth",
                   "libtss2 does not take the PIN");
}

}  // namespace rewrap
