// Verbs: import, export.
#include <iostream>

#include "rekey/export.h"
#include "rekey/import.h"
#include "tools/rewrap/cli.h"
#include "tools/rewrap/terminal.h"

namespace rewrap {
namespace {

struct ImportArgs {
  std::string name;
  std::string path;
  std::string from_kek;
  bool skip_existing = false;
};

void print_problems(const std::string& path, const ImportReport& report) {
  for (const LineProblem& problem : report.problems) {
    std::cerr << "rewrap: error: " << path << ":" << problem.line << ": " << problem.what.describe()
              << '\n';
    if (*problem.what.hint() != '\0') std::cerr << "rewrap: hint: " << problem.what.hint() << '\n';
  }
  if (report.num_problems > report.problems.size()) {
    std::cerr << "rewrap: error: and " << report.num_problems - report.problems.size() << " more\n";
  }
  std::cerr << "rewrap: error: nothing was imported, because " << report.num_problems
            << " of the lines are wrong\n"
            << "rewrap: hint: mend or remove them and run the same command again\n";
}

int run_import(const GlobalOptions& global, const ImportArgs& args) {
  auto store = open_store(global.store_directory, OpenMode::kMustExist);
  if (!store.ok()) return fail("store " + global.store_directory, store.status());
  Custody custody{};
  const auto implementation = choose_for_keyset(store->get(), args.name, "", &custody);
  if (!implementation.ok()) return fail("keyset '" + args.name + "'", implementation.status());
  auto from = open_wrapping_key(args.from_kek, WrappingUse::kUnwrap, global.root);
  if (!from.ok()) return fail("--from-kek " + without_query(args.from_kek), from.status(), true);
  if (custody == Custody::kInToken) {
    std::cerr << "rewrap: warning: imported DEKs pass through this host's memory, in the clear, on "
                 "their way into the token; later re-wraps keep them there\n";
  }
  Keyring keyring(global.root);
  auto report = [&] {
    ProgressBar bar("importing", global.quiet);
    return import_deks(
        store->get(), args.name, &keyring,
        {args.path, from->get(), implementation.value(), args.skip_existing, bar.callback()});
  }();
  if (!report.ok())
    return fail("import of " + args.path + " into keyset '" + args.name + "'", report.status(),
                keyring);
  if (global.json) {
    print_json({{"keyset", args.name},
                {"lines", report->lines},
                {"imported", report->imported},
                {"skipped", report->skipped},
                {"quarantined", report->quarantined},
                {"problems", report->num_problems},
                {"seconds", report->seconds},
                {"deks_per_second", per_second(report->imported, report->seconds)}});
  }
  warn_of_protectors(keyring);
  if (report->num_problems != 0) {
    print_problems(args.path, report.value());
    return kExitFailed;
  }
  say(global,
      "imported " + amount_and_rate(report->imported, report->seconds) + " DEKs into '" +
          args.name + "'" +
          (report->skipped != 0 ? ", " + with_thousands(report->skipped) + " were there already"
                                : ""));
  if (report->quarantined == 0) return kExitDone;
  std::cerr << "rewrap: warning: " << report->quarantined
            << " DEKs do not open under --from-kek and are in quarantine\n"
            << "rewrap: hint: rewrap quarantine list " << args.name
            << "; import good copies to replace them\n";
  return kExitIncomplete;
}

struct ExportArgs {
  std::string name;
  std::string path;
  std::string to_kek;
  bool recover = false;
};

int run_export(const GlobalOptions& global, const ExportArgs& args) {
  const auto implementation = choose_implementation("");
  if (!implementation.ok()) return fail("self-test", implementation.status());
  auto store = open_store(global.store_directory, OpenMode::kMustExist);
  if (!store.ok()) return fail("store " + global.store_directory, store.status());
  std::unique_ptr<WrappingKey> to;
  if (!args.to_kek.empty()) {
    auto opened = open_wrapping_key(args.to_kek, WrappingUse::kWrap, global.root);
    if (!opened.ok()) return fail("--to-kek " + without_query(args.to_kek), opened.status(), true);
    to = std::move(opened).value();
  }
  Keyring keyring(global.root);
  if (args.recover) keyring.allow_recovery();
  auto report = [&] {
    ProgressBar bar("exporting", global.quiet);
    return export_deks(store->get(), args.name, &keyring,
                       {args.path, to.get(), implementation.value(), bar.callback()});
  }();
  if (!report.ok())
    return fail("export of keyset '" + args.name + "' to " + args.path, report.status(), keyring);
  if (global.json) {
    print_json({{"keyset", args.name},
                {"exported", report->exported},
                {"quarantined", report->quarantined},
                {"broken_protectors", broken_protectors(keyring)},
                {"seconds", report->seconds}});
  }
  warn_of_protectors(keyring);
  say(global,
      "exported " + amount_and_rate(report->exported, report->seconds) + " DEKs to " + args.path);
  if (report->quarantined == 0) return kExitDone;
  std::cerr << "rewrap: warning: " << report->quarantined
            << " DEKs are in quarantine and not in the file\n"
            << "rewrap: hint: rewrap quarantine list " << args.name << '\n';
  return kExitIncomplete;
}

}  // namespace

void add_transfer_commands(const Cli& cli) {
  const GlobalOptions* global = cli.global;
  auto import_args = std::make_shared<ImportArgs>();
  Verb verb = cli.app.add_verb(
      "import", "take foreign wraps into a keyset; a wrong line refuses the whole file",
      [=] { return run_import(*global, *import_args); });
  verb.add_option("NAME", &import_args->name, "name of the keyset").required();
  verb.add_option("FILE", &import_args->path,
                  "JSON Lines: {\"id\":UUID,\"alg\":\"A256KW\",\"wrapped\":BASE64}; A256GCMKW has "
                  "\"iv\", \"tag\" and maybe \"aad\" as well")
      .required();
  verb.add_option("--from-kek", &import_args->from_kek,
                  "the KEK they are wrapped under: pkcs11:... or file:/...")
      .required()
      .type_name("URI");
  verb.add_flag("--skip-existing", &import_args->skip_existing,
                "pass over ids that are there: finishes an interrupted import");

  auto export_args = std::make_shared<ExportArgs>();
  verb = cli.app.add_verb("export", "write a keyset's wraps to a file",
                          [=] { return run_export(*global, *export_args); });
  verb.add_option("NAME", &export_args->name, "name of the keyset").required();
  verb.add_option("FILE", &export_args->path, "JSON Lines file to make; must not exist").required();
  verb.add_option("--to-kek", &export_args->to_kek,
                  "re-wrap under this KEK, GCM wraps by RFC 3394 (default: as they are)")
      .type_name("URI");
  add_recover_flag(verb, &export_args->recover);
}

}  // namespace rewrap
