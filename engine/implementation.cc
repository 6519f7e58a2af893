// The table of implementations in order of preference, and the choice among them.
#include "engine/implementation.h"

#if defined(__x86_64__)
#include <cpuid.h>

#include "aesni/gcm.h"
#include "aesni/kernels.h"
#endif

#include <array>
#include <mutex>

#include "engine/fused_gcm.h"
#include "engine/fused_kw.h"
#include "engine/ipsecmb.h"
#include "engine/openssl_transform.h"
#include "engine/two_step.h"

namespace rewrap {
namespace {

#if defined(__x86_64__)
// make_by_library serves what no kernel does: KWP of a broken semiblock, long keys, GCM where there
// are no kernels for it or with additional data that they do not take. For GCM ipsec-mb, where it
// runs, is some four times as fast as EVP, and keeps its key schedules in secret memory.
Result<std::unique_ptr<Transform>> make_by_library(const TransformSpec& spec) {
  return has_gcm(spec) && ipsecmb_runs() ? make_ipsecmb(spec) : make_openssl(spec);
}

template <const aesni::KwKernel& kKw, const aesni::GcmKernels* kGcm = nullptr>
Result<std::unique_ptr<Transform>> make_fused(const TransformSpec& spec) {
  REWRAP_TRY(validate(spec));
  if (is_fused_kw(spec)) return make_fused_kw(kKw, spec);
  const bool is_mixed = spec.from && spec.to && spec.from->algorithm != spec.to->algorithm;
  if (has_gcm(spec) && is_mixed) return make_in_two_steps(spec, make_fused<kKw, kGcm>);
  REWRAP_ASSIGN(auto library, make_by_library(spec));
  if (kGcm == nullptr || !has_gcm(spec) || !is_fused_gcm(spec)) return library;
  return make_fused_gcm(*kGcm, spec, std::move(library));
}
#endif

constexpr std::array kImplementations = {
#if defined(__x86_64__)
    Implementation{"vaes512", "fused kernels, four keys a register; GCM too",
                   "AVX-512 (F, BW, DQ, VL), BMI2, VAES and VPCLMULQDQ",
                   [](const CpuFeatures& cpu) {
                     return cpu.aes && cpu.bmi2 && cpu.avx512 && cpu.vaes && cpu.vpclmulqdq;
                   },
                   make_fused<aesni::kVaes512Kw, &aesni::kVaes512Gcm>},
    Implementation{"vaes256", "fused kernels, two keys a register", "AVX2 and VAES",
                   [](const CpuFeatures& cpu) { return cpu.aes && cpu.avx2 && cpu.vaes; },
                   make_fused<aesni::kVaes256Kw>},
    Implementation{"aesni", "fused kernels, one key a register", "AES-NI and SSE4.1",
                   [](const CpuFeatures& cpu) { return cpu.aes && cpu.sse41; },
                   make_fused<aesni::kAesniKw>},
    Implementation{"ipsecmb", "step-sliced over ipsec-mb's AES-ECB jobs, GCM by its single calls",
                   "AES-NI, SSE4.2, PCLMULQDQ and a passed self-test of ipsec-mb",
                   [](const CpuFeatures& cpu) { return cpu.aes && ipsecmb_runs(); }, make_ipsecmb},
#endif
    Implementation{"openssl", "EVP: AES-ECB step-sliced, AES-GCM; the portable fallback", "any CPU",
                   [](const CpuFeatures&) { return true; }, make_openssl},
};

#if defined(__x86_64__)
// CPUID leaf 7, ECX. Clang 14 does not know these names in __builtin_cpu_supports, unlike those of
// the AVX family, for which the built-in also asks whether the operating system saves the
// registers.
constexpr unsigned kVaesBit = 1U << 9;
constexpr unsigned kVpclmulqdqBit = 1U << 10;

CpuFeatures detect_cpu() {
  CpuFeatures cpu;
  __builtin_cpu_init();
  cpu.aes = __builtin_cpu_supports("aes") != 0;
  cpu.sse41 = __builtin_cpu_supports("sse4.1") != 0;
  cpu.bmi2 = __builtin_cpu_supports("bmi2") != 0;
  cpu.avx2 = __builtin_cpu_supports("avx2") != 0;
  cpu.avx512 = __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512bw") != 0 &&
               __builtin_cpu_supports("avx512dq") != 0 && __builtin_cpu_supports("avx512vl") != 0;
  unsigned eax = 0;
  unsigned ebx = 0;
  unsigned ecx = 0;
  unsigned edx = 0;
  if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) != 0) {
    cpu.vaes = cpu.avx2 && (ecx & kVaesBit) != 0;
    cpu.vpclmulqdq = cpu.avx2 && (ecx & kVpclmulqdqBit) != 0;
  }
  return cpu;
}
#else
CpuFeatures detect_cpu() { return {}; }
#endif

// Each implementation is tested once, before its first use, whichever thread comes first.
Status tested_once(std::size_t index) {
  static std::array<std::once_flag, kImplementations.size()> flags;
  static std::array<Status, kImplementations.size()> verdicts;
  std::call_once(flags[index], [index] { verdicts[index] = self_test(kImplementations[index]); });
  return verdicts[index];
}

}  // namespace

const CpuFeatures& cpu_features() {
  static const CpuFeatures cpu = detect_cpu();
  return cpu;
}

std::span<const Implementation> implementations() { return kImplementations; }

Result<const Implementation*> choose_implementation(std::string_view name) {
  for (std::size_t i = 0; i < kImplementations.size(); ++i) {
    const Implementation& candidate = kImplementations[i];
    if (!name.empty() && name != candidate.name) continue;
    if (candidate.runs_on(cpu_features())) {
      REWRAP_TRY(tested_once(i));
      return &candidate;
    }
    if (!name.empty()) {
      return Status(Errc::kUnsupported, "this CPU cannot run the implementation asked for",
                    "rewrap bench --list shows what runs here");
    }
  }
  return Status(Errc::kNotFound, "no implementation of that name",
                "rewrap bench --list shows what was built");
}

}  // namespace rewrap
