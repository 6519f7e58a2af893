// Verbs: root create, root probe, selftest.
#include <iostream>

#include "hsm/root.h"
#include "tools/rewrap/cli.h"

namespace rewrap {
namespace {

namespace json = boost::json;

int root_create(const GlobalOptions& global, const std::string& uri) {
  const Status status = create_root_key(uri, global.root);
  if (!status.ok()) return fail("root " + without_query(uri), status, true);
  if (global.json) print_json({{"root", uri}, {"created", true}});
  say(global, "root key created: " + uri);
  return kExitDone;
}

int root_probe(const GlobalOptions& global, const std::string& uri) {
  auto root = open_root_for_probe(uri, global.root);
  if (!root.ok()) return fail("root " + without_query(uri), root.status(), true);
  const auto report = root.value()->probe();
  if (!report.ok()) return fail("root " + without_query(uri), report.status(), true);
  json::array capabilities;
  say(global, report->description);
  say(global, report->key_ref.empty() ? "no root key of that name yet; rewrap root create makes one"
                                      : "root key: " + report->key_ref);
  for (const Capability& capability : report->capabilities) {
    capabilities.push_back({{"name", capability.name},
                            {"works", capability.works},
                            {"detail", capability.detail},
                            {"per_second", capability.per_second}});
    std::string line = std::string(capability.works ? "  yes  " : "  no   ") + capability.name;
    if (capability.per_second > 0) {
      line += "  " + with_thousands(static_cast<std::uint64_t>(capability.per_second)) + "/s";
    }
    if (!capability.detail.empty()) line += "  (" + capability.detail + ")";
    say(global, line);
  }
  if (global.json) {
    print_json({{"root", uri},
                {"description", report->description},
                {"key", report->key_ref},
                {"capabilities", std::move(capabilities)}});
  }
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
  CLI::App* root = cli.app->add_subcommand("root", "make and examine root keys");
  root->require_subcommand(1);
  root->fallthrough();
  auto uri = std::make_shared<std::string>();
  CLI::App* verb =
      cli.add_verb(root, "create", "make a non-extractable root key; refuses if it exists",
                   [=] { return root_create(*global, *uri); });
  verb->add_option("URI", *uri, "pkcs11:token=...;object=...?module-path=... or file:/path")
      ->required();
  verb = cli.add_verb(root, "probe", "find out by doing what a token can do",
                      [=] { return root_probe(*global, *uri); });
  verb->add_option("URI", *uri, "pkcs11:token=...?module-path=... or file:/path")->required();
  cli.add_verb(cli.app, "selftest", "run the known-answer tests of every implementation",
               [=] { return run_selftest(*global); });
}

}  // namespace rewrap
