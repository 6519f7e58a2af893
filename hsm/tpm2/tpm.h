// A connection to a TPM 2.0 by libtss2's ESAPI, and the few commands that stand for themselves.
// Lengths are bytes. A process has one connection at a time: a second connect() waits for the first
// to go, in any thread (in the same thread for ever). A TPM does one thing at a time anyway, and
// without a resource manager it has room for three objects, which two users would both run out of.
// A connection ends in the thread that made it: it blocks SIGPIPE there.
#ifndef REWRAP_HSM_TPM2_TPM_H_
#define REWRAP_HSM_TPM2_TPM_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/bytes.h"
#include "engine/base/secret_buffer.h"
#include "engine/base/status.h"
#include "hsm/sigpipe_guard.h"
#include "hsm/tpm2/sealed_blob.h"

// libtss2's own names; its headers are for the .cc files.
struct ESYS_CONTEXT;
struct TSS2_TCTI_OPAQUE_CONTEXT_BLOB;

namespace rewrap {

// EsysHandle is ESYS_TR: what ESAPI calls an object, a session or an NV index of this connection.
using EsysHandle = std::uint32_t;
inline constexpr EsysHandle kNoHandle = 0xfff;  // ESYS_TR_NONE

class Tpm {
 public:
  // connect reaches the TPM that `tcti` names, else the environment's TPM2TOOLS_TCTI, else
  // device:/dev/tpmrm0. Sets TSS2_LOG=all+none in the environment, if the user has not set it, before the first
  // connection: libtss2 would write to stderr by itself.
  // Errors: kUnavailable  no TPM there; the message says which of the three was tried
  static Result<std::unique_ptr<Tpm>> connect(const std::string& tcti);

  Tpm(const Tpm&) = delete;
  Tpm& operator=(const Tpm&) = delete;
  ~Tpm();

  [[nodiscard]] ESYS_CONTEXT* esys() const { return esys_; }

  // random fills `out` from the TPM's generator. Errors: kUnavailable.
  Status random(ByteSpan out);

  // overwrite_residue makes libtss2 forget the answer that it got last: its buffer keeps the
  // plaintext of an unsealed secret until the next answer comes.
  void overwrite_residue();

  // property gives one TPM_PT value; handles lists the handles in use from `first` on, of its kind.
  // Errors: kNotFound if the TPM does not know the property; kUnavailable.
  Result<std::uint32_t> property(std::uint32_t which);
  Result<std::vector<std::uint32_t>> handles(std::uint32_t first);

  // read_pcrs gives the values by rising number. Errors: kUnsupported if the TPM has no such bank.
  Result<std::vector<Bytes>> read_pcrs(const PcrSelection& pcrs);

 private:
  explicit Tpm(std::unique_lock<std::mutex> turn) : turn_(std::move(turn)) {}

  std::unique_lock<std::mutex> turn_;
  SigpipeGuard no_sigpipe_;
  TSS2_TCTI_OPAQUE_CONTEXT_BLOB* tcti_ = nullptr;
  ESYS_CONTEXT* esys_ = nullptr;
};

// TpmHandle is a loaded object or a session, flushed from the TPM when it goes, or the name of
// something that stays there. It must go before its connection.
class TpmHandle {
 public:
  enum class Stay { kFlush, kKeep };

  TpmHandle() = default;
  TpmHandle(Tpm* tpm, EsysHandle handle, Stay stay) : tpm_(tpm), handle_(handle), stay_(stay) {}
  TpmHandle(TpmHandle&& other) noexcept
      : tpm_(std::exchange(other.tpm_, nullptr)), handle_(other.handle_), stay_(other.stay_) {}
  TpmHandle& operator=(TpmHandle&& other) noexcept {
    std::swap(tpm_, other.tpm_);
    std::swap(handle_, other.handle_);
    std::swap(stay_, other.stay_);
    return *this;
  }
  TpmHandle(const TpmHandle&) = delete;
  TpmHandle& operator=(const TpmHandle&) = delete;
  ~TpmHandle();

  [[nodiscard]] EsysHandle get() const { return handle_; }

  // set_auth tells libtss2 (not the TPM) the auth value; it is wiped there when the handle goes.
  Status set_auth(ByteView auth);

 private:
  Tpm* tpm_ = nullptr;
  EsysHandle handle_ = kNoHandle;
  Stay stay_ = Stay::kKeep;
};

// Wiped holds a C structure that may hold a secret, and overwrites it at the end.
template <typename T>
class Wiped {
 public:
  Wiped() = default;
  Wiped(const Wiped&) = delete;
  Wiped& operator=(const Wiped&) = delete;
  ~Wiped() { wipe({reinterpret_cast<std::uint8_t*>(&value_), sizeof value_}); }
  T* operator->() { return &value_; }
  T* get() { return &value_; }

 private:
  T value_{};
};

inline constexpr std::size_t kMaxTpmPinLen = 32;  // an auth value is no longer than SHA-256

}  // namespace rewrap

#endif  // REWRAP_HSM_TPM2_TPM_H_
