// The table of implementations in order of preference, and the choice among them.
#include "engine/implementation.h"

#include <array>
#include <mutex>

#include "engine/step_sliced.h"

namespace rewrap {
namespace {

Result<std::unique_ptr<Transform>> make_openssl(const TransformSpec& spec) {
  REWRAP_TRY(validate(spec));
  std::optional<SlicedSide> from;
  std::optional<SlicedSide> to;
  if (spec.from) {
    REWRAP_ASSIGN(auto cipher, make_openssl_ecb(*spec.from->kek));
    from = SlicedSide{spec.from->algorithm, std::move(cipher)};
  }
  if (spec.to) {
    REWRAP_ASSIGN(auto cipher, make_openssl_ecb(*spec.to->kek));
    to = SlicedSide{spec.to->algorithm, std::move(cipher)};
  }
  return make_step_sliced(spec.key_len, std::move(from), std::move(to), spec.check_only);
}

constexpr std::array kImplementations = {
    Implementation{"openssl", "step-sliced over EVP AES-ECB, the portable fallback", "any CPU",
                   [](const CpuFeatures&) { return true; }, make_openssl},
};

CpuFeatures detect_cpu() {
  CpuFeatures cpu;
#if defined(__x86_64__)
  __builtin_cpu_init();
  cpu.aes = __builtin_cpu_supports("aes") != 0;
  cpu.avx2 = __builtin_cpu_supports("avx2") != 0;
  cpu.avx512 = __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512bw") != 0 &&
               __builtin_cpu_supports("avx512dq") != 0 && __builtin_cpu_supports("avx512vl") != 0;
  cpu.vaes = __builtin_cpu_supports("vaes") != 0;
  cpu.vpclmulqdq = __builtin_cpu_supports("vpclmulqdq") != 0;
#endif
  return cpu;
}

// Each implementation is tested once, before its first use, whichever thread comes first.
Status tested_once(std::size_t index) {
  static std::array<std::once_flag, kImplementations.size()> flags;
  static std::array<Status, kImplementations.size()> verdicts;
  std::call_once(flags[index], [index] { verdicts[index] = self_test(kImplementations[index]); });
  return verdicts[index];
}

}  // namespace

Status validate(const TransformSpec& spec) {
  if (!spec.from && !spec.to)
    return Status(Errc::kInvalidArgument, "a transform needs a wrapped side");
  if (spec.check_only && (!spec.from || spec.to)) {
    return Status(Errc::kInvalidArgument, "a check has a wrapped input and no output");
  }
  for (const auto* side : {&spec.from, &spec.to}) {
    if (!*side) continue;
    if ((*side)->kek == nullptr)
      return Status(Errc::kInvalidArgument, "a wrapped side needs its KEK");
    if (!is_wrappable((*side)->algorithm, spec.key_len)) {
      return Status(Errc::kInvalidArgument, "this key length cannot be wrapped by this algorithm");
    }
  }
  return {};
}

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
                    "rewrap selftest lists what runs here");
    }
  }
  return Status(Errc::kNotFound, "no implementation of that name",
                "rewrap selftest lists what was built");
}

}  // namespace rewrap
