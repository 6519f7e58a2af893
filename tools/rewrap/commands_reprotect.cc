// Verb: reprotect.
#include "rekey/reprotect.h"

#include "tools/rewrap/cli.h"

namespace rewrap {
namespace {

struct ReprotectArgs {
  std::string name;
  std::string root_uri;
  bool add = false;
  bool recover = false;
};

int run_reprotect(const GlobalOptions& global, const ReprotectArgs& args) {
  auto store = open_store(global.store_directory, OpenMode::kMustExist);
  if (!store.ok()) return fail("store " + global.store_directory, store.status());
  Keyring keyring(global.root);
  if (args.recover) keyring.allow_recovery();
  const auto report = reprotect(store->get(), args.name, &keyring, {args.root_uri, args.add});
  if (!report.ok()) return fail("keyset '" + args.name + "'", report.status(), keyring);
  if (global.json) {
    print_json({{"keyset", args.name},
                {"versions", boost::json::array(report->versions.begin(), report->versions.end())},
                {"protectors", report->num_protectors},
                {"dropped_roots", boost::json::value_from(report->dropped_roots)},
                {"broken_protectors", broken_protectors(keyring)}});
  }
  say(global, "keyset '" + args.name + "': " + std::to_string(report->versions.size()) +
                  " KEK version(s) are protected by " + without_query(args.root_uri) + "; " +
                  std::to_string(report->num_protectors) + " protector(s) each" +
                  dropped_text(report->dropped_roots));
  warn_of_protectors(keyring);
  return kExitDone;
}

}  // namespace

void add_reprotect_command(const Cli& cli) {
  const GlobalOptions* global = cli.global;
  auto args = std::make_shared<ReprotectArgs>();
  Verb verb =
      cli.app.add_verb("reprotect", "guard the same KEKs by another root key; no DEK is re-wrapped",
                       [=] { return run_reprotect(*global, *args); });
  verb.add_option("NAME", &args->name, "name of the keyset").required();
  verb.add_option("--root", &args->root_uri, "root that is to guard the KEKs from now on")
      .type_name("URI")
      .required();
  verb.add_flag("--add", &args->add,
                "keep the protectors under other roots: any one of them gives the KEKs back; "
                "without it they are dropped");
  add_recover_flag(verb, &args->recover);
}

}  // namespace rewrap
