// A root key's whole life, once, with a key of no worth.
#include "hsm/kmip/probe.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <functional>
#include <utility>

#include "hsm/file/aes_key_wrap.h"
#include "hsm/random.h"

namespace rewrap {
namespace {

constexpr auto kRateTime = std::chrono::milliseconds(100);
constexpr int kMaxNamed = 2;

Capability capability_of(const char* name, const Status& status) {
  return {.name = name, .works = status.ok(), .detail = status.ok() ? "" : status.describe()};
}

Result<std::string> throwaway_name() {
  std::array<std::uint8_t, 8> random{};
  REWRAP_TRY(random_bytes(random));
  return "rewrap-probe-" + encode_hex(random);
}

// measure repeats `once` for the rate time, up to the first failure.
Capability measure(const char* name, const std::function<Status()>& once) {
  using Clock = std::chrono::steady_clock;
  const auto start = Clock::now();
  double num_done = 0;
  Status status;
  do {
    status = once();
    ++num_done;
  } while (status.ok() && Clock::now() - start < kRateTime);
  Capability out = capability_of(name, status);
  if (status.ok())
    out.per_second = num_done / std::chrono::duration<double>(Clock::now() - start).count();
  return out;
}

Capability versions_line(KmipClient& client) {
  const auto versions = client.discover_versions();
  Capability out = capability_of("Discover Versions", versions.status());
  if (!versions.ok()) return out;
  for (const KmipVersion& version : versions.value()) {
    out.detail += (out.detail.empty() ? "KMIP " : " ") + std::to_string(version.major) + "." +
                  std::to_string(version.minor);
  }
  out.detail += "; 1.2 is spoken";
  return out;
}

// find_one makes sure that Locate finds this key by its name, and no other.
Status find_one(KmipClient& client, const std::string& name, const std::string& id) {
  REWRAP_ASSIGN(const auto found, client.locate(name, kMaxNamed));
  if (found == std::vector<std::string>{id}) return {};
  return {Errc::kUnsupported, "the server does not find the key by its name"};
}

Status expect_state(KmipClient& client, const std::string& id, KmipState state) {
  REWRAP_ASSIGN(const KmipAttributes attributes, client.get_attributes(id));
  if (attributes.state == state) return {};
  return {Errc::kUnsupported, "the server does not tell the key's state, or another one"};
}

// try_life adds a line for each step in the life of one key; each is tried whatever came of the
// others, so that the key is destroyed in any case.
void try_life(KmipClient& client, const std::string& name, std::vector<Capability>* lines) {
  const auto id = client.create(name);
  lines->push_back(capability_of("Create", id.status()));
  if (!id.ok()) return;
  const auto add = [lines](const char* what, const Status& status) {
    lines->push_back(capability_of(what, status));
  };
  add("Locate by Name", find_one(client, name, id.value()));
  add("Get Attributes", expect_state(client, id.value(), KmipState::kPreActive));
  add("Activate", client.activate(id.value()));
  add("State after Activate", expect_state(client, id.value(), KmipState::kActive));
  lines->push_back(measure("Get", [&] { return client.get(id.value()).status(); }));
  add("Revoke", client.revoke(id.value()));
  add("Destroy", client.destroy(id.value()));
}

std::string description_of(KmipClient& client) {
  const auto info = client.query();
  std::string text = "a KMIP server";
  if (info.ok() && !info->vendor.empty()) text += ", " + info->vendor;
  return text + ", " + client.tls();
}

}  // namespace

Result<RootReport> probe_kmip(KmipClient& client, const std::string& key_ref) {
  REWRAP_ASSIGN(const std::string name, throwaway_name());
  RootReport report;
  report.description = description_of(client);
  report.key_ref = key_ref;
  report.capabilities.push_back(versions_line(client));
  try_life(client, name, &report.capabilities);
  const bool works = std::all_of(report.capabilities.begin(), report.capabilities.end(),
                                 [](const Capability& line) { return line.works; });
  const char* missing = works ? "" : "not all that it needs works";
  report.chosen = Mechanism::kAesKeyWrap;
  report.protectors.push_back({.name = mechanism_name(Mechanism::kAesKeyWrap),
                               .works = works,
                               .detail = works ? "by OpenSSL on this host" : missing});
  report.custody.push_back({.name = "host", .works = works, .detail = missing});
  for (const char* in_token : {"kek-in-token", "in-token"}) {
    report.custody.push_back(
        {.name = in_token, .works = false, .detail = "a KMIP server gives its keys out"});
  }
  return report;
}

}  // namespace rewrap
