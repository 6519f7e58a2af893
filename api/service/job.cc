// Names of a job's parts, and the names of keys.
#include "api/service/job.h"

#include <array>

#include "engine/base/codec.h"
#include "engine/mac.h"
#include "hsm/random.h"

namespace rewrap {
namespace {

// The values of each enumeration count from its first one.
constexpr std::array kKindNames = {"rekey", "reprotect", "restore", "verify", "decommission"};
constexpr std::array kStateNames = {"queued", "running",   "paused",    "succeeded",
                                    "failed", "cancelled", "incomplete"};
constexpr std::array kPhaseNames = {"none", "creating_kek", "rewrapping", "verifying",
                                    "decommissioning"};
constexpr std::array kRequestNames = {"none", "pause", "cancel"};
constexpr std::array kOriginNames = {"cli", "ontap", "element", "native"};

template <std::size_t N, typename Enum>
const char* name_of(const std::array<const char*, N>& names, Enum value, Enum first) {
  const auto at = static_cast<std::size_t>(value) - static_cast<std::size_t>(first);
  return at < N ? names[at] : "unknown";
}

template <std::size_t N, typename Enum>
std::optional<Enum> value_of(const std::array<const char*, N>& names, std::string_view name,
                             Enum first) {
  for (std::size_t at = 0; at < N; ++at) {
    if (names[at] == name) return static_cast<Enum>(at + static_cast<std::size_t>(first));
  }
  return std::nullopt;
}

// mark makes 16 bytes a UUID of that version (RFC 9562, section 4).
void mark(Uuid* uuid, unsigned version) {
  (*uuid)[6] = static_cast<std::uint8_t>(((*uuid)[6] & 0x0fU) | version << 4);
  (*uuid)[8] = static_cast<std::uint8_t>(((*uuid)[8] & 0x3fU) | 0x80U);
}

}  // namespace

const char* job_kind_name(JobKind kind) { return name_of(kKindNames, kind, JobKind::kRekey); }
const char* job_state_name(JobState state) {
  return name_of(kStateNames, state, JobState::kQueued);
}
const char* job_phase_name(JobPhase phase) { return name_of(kPhaseNames, phase, JobPhase::kNone); }
const char* job_request_name(JobRequest request) {
  return name_of(kRequestNames, request, JobRequest::kNone);
}
const char* job_origin_name(JobOrigin origin) {
  return name_of(kOriginNames, origin, JobOrigin::kCommandLine);
}
std::optional<JobKind> find_job_kind(std::string_view name) {
  return value_of(kKindNames, name, JobKind::kRekey);
}
std::optional<JobState> find_job_state(std::string_view name) {
  return value_of(kStateNames, name, JobState::kQueued);
}

JobError job_error(const Failure& failure) {
  return {failure.reason, failure.status.code(), failure.status.describe(), failure.status.hint()};
}

Uuid key_uuid(const Uuid& keyset, KekVersion version) {
  Encoder name;
  name.raw(as_bytes("rewrap key id v1"));
  name.raw(keyset);
  name.u32(version);
  Uuid uuid{};
  if (const Result<Digest> digest = sha256(name.bytes()); digest.ok()) {
    copy_bytes(uuid, ByteView(digest.value()).first(uuid.size()));
  } else {
    // SHA-256 does not fail. If it did, the name would still be one of this keyset and version.
    copy_bytes(uuid, keyset);
    store_be32(uuid.data() + 12, version);
  }
  mark(&uuid, 8);
  return uuid;
}

Result<Uuid> random_uuid() {
  Uuid uuid{};
  REWRAP_TRY(random_bytes(uuid));
  mark(&uuid, 4);
  return uuid;
}

}  // namespace rewrap
