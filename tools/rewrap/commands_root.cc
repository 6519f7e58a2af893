// Verbs: root create, root probe, root flush, selftest.
#include <iostream>

#include "hsm/root.h"
#include "tools/rewrap/cli.h"

namespace rewrap {
namespace {

namespace json = boost::json;

int root_create(const GlobalOptions& global, const std::string& uri) {
  Mechanism made{};
  const Status status = create_root_key(uri, global.root, &made);
  if (!status.ok()) return fail("root " + without_query(uri), status, true);
  if (global.json)
    print_json({{"root", uri}, {"created", true}, {"mechanism", mechanism_name(made)}});
  say(global, "root key created: " + uri);
  say(global, std::string("it guards KEKs by ") + mechanism_name(made));
  if (made == Mechanism::kAesGcm)
    say(global, "(the token does no AES key wrap; KEKs are made on this host)");
  if (made == Mechanism::kRsaOaep) {
    say(global,
        "(the token does neither AES key wrap nor AES-GCM; KEKs are made on this host, and "
        "whoever has the public key can make protectors, though not open them)");
  }
  return kExitDone;
}

std::string line_of(const Capability& capability) {
  std::string line = std::string(capability.works ? "  yes  " : "  no   ") + capability.name;
  if (capability.per_second > 0) {
    line += "  " + with_thousands(static_cast<std::uint64_t>(capability.per_second)) + "/s";
  }
  if (!capability.detail.empty()) line += "  (" + capability.detail + ")";
  return line;
}

json::array list_of(const std::vector<Capability>& capabilities) {
  json::array list;
  for (const Capability& capability : capabilities) {
    list.push_back({{"name", capability.name},
                    {"works", capability.works},
                    {"detail", capability.detail},
                    {"per_second", capability.per_second}});
  }
  return list;
}

void print_table(const GlobalOptions& global, const RootReport& report) {
  say(global, "what it does:");
  for (const Capability& capability : report.capabilities) say(global, line_of(capability));
  say(global, "how it can guard KEKs:");
  for (const Capability& protector : report.protectors) {
    const bool is_chosen = report.chosen && protector.name == mechanism_name(*report.chosen);
    say(global, line_of(protector) + (is_chosen ? "  <- chosen" : ""));
  }
  say(global, "custody modes:");
  for (const Capability& mode : report.custody) say(global, line_of(mode));
}

int root_probe(const GlobalOptions& global, const std::string& uri) {
  auto root = open_root_for_probe(uri, global.root);
  if (!root.ok()) return fail("root " + without_query(uri), root.status(), true);
  const auto report = root.value()->probe();
  if (!report.ok()) return fail("root " + without_query(uri), report.status(), true);
  say(global, report->description);
  say(global, report->key_ref.empty() ? "no root key of that name yet; rewrap root create makes one"
                                      : "root key: " + report->key_ref);
  print_table(global, report.value());
  if (global.json) {
    const auto& chosen = report->chosen;
    print_json({{"root", uri},
                {"description", report->description},
                {"key", report->key_ref},
                {"capabilities", list_of(report->capabilities)},
                {"protectors", list_of(report->protectors)},
                {"chosen", chosen ? json::value(mechanism_name(*chosen)) : json::value()},
                {"custody", list_of(report->custody)}});
  }
  return kExitDone;
}

int root_flush(const GlobalOptions& global, const std::string& uri) {
  const auto num_flushed = flush_root(uri);
  if (!num_flushed.ok()) return fail("root " + without_query(uri), num_flushed.status(), true);
  if (global.json) print_json({{"root", uri}, {"flushed", num_flushed.value()}});
  say(global, std::to_string(num_flushed.value()) + " leftover object(s) and session(s) flushed");
  return kExitDone;
}

int run_selftest(const GlobalOptions& global) {
  bool passed = true;
  json::array list;
  for (const Implementation& implementation : implementations()) {
    const bool runs = implementation.runs_on(cpu_features());
    const Status status = runs ? self_test(implementation) : Status();
    passed = passed && status.ok();
    const char* verdict = !runs ? "not on this CPU" : (status.ok() ? "passed" : "FAILED");
    list.push_back(
        {{"implementation", implementation.name}, {"runs", runs}, {"passed", runs && status.ok()}});
    say(global, std::string(implementation.name) + ": " + verdict + "  (" +
                    implementation.description + "; needs " + implementation.needs + ")");
    if (!status.ok()) fail(implementation.name, status);
  }
  if (global.json) print_json({{"implementations", std::move(list)}});
  return passed ? kExitDone : kExitFailed;
}

}  // namespace

void add_root_commands(const Cli& cli) {
  const GlobalOptions* global = cli.global;
  const Verb root = cli.app.add_group("root", "make and examine root keys");
  auto uri = std::make_shared<std::string>();
  Verb verb = root.add_verb("create", "make a root key; refuses if it exists",
                            [=] { return root_create(*global, *uri); });
  verb.add_option("URI", uri.get(),
                  "pkcs11:token=...;object=...?module-path=..., tpm2:?handle=..., "
                  "kmip://HOST:PORT?name=...&ca=...&cert=...&key=... or file:/path")
      .required();
  verb = root.add_verb("probe", "find out by doing what a root can do",
                       [=] { return root_probe(*global, *uri); });
  verb.add_option("URI", uri.get(),
                  "pkcs11:token=...?module-path=..., tpm2:, awskms:KEY-ARN?..., "
                  "kmip://HOST:PORT?... or file:/path")
      .required();
  verb = root.add_verb("flush",
                       "throw out what ended programs left in a raw TPM; they must have ended",
                       [=] { return root_flush(*global, *uri); });
  verb.add_option("URI", uri.get(), "tpm2:?tcti=...").required();
  cli.app.add_verb("selftest", "run the known-answer tests of every implementation",
                   [=] { return run_selftest(*global); });
}

}  // namespace rewrap
