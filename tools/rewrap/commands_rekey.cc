// Verbs: rekey, verify, decommission.
#include "rekey/rekey.h"

#include <chrono>
#include <iostream>

#include "rekey/census.h"
#include "rekey/verify.h"
#include "tools/rewrap/cli.h"
#include "tools/rewrap/terminal.h"

namespace rewrap {
namespace {

namespace json = boost::json;

// patient is what a long job opens roots with: a token that went away is waited for, and the person
// told so; Ctrl-C ends the wait.
RootOptions patient(const GlobalOptions& global) {
  RootOptions options = global.root;
  options.stop = Interruptible::flag();
  options.on_token_lost = [limit = options.reconnect_limit](const Status& status) {
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(limit).count();
    std::cerr << "rewrap: warning: " << status.describe() << "; waiting up to " << seconds
              << " s for the token\n";
  };
  return options;
}

struct RekeyArgs {
  std::string name;
  std::string root_uri;
  std::string implementation;
  unsigned threads = default_threads();
  double rate = 0;
  bool dry_run = false;
  bool accept_damaged_segments = false;
  bool recover = false;
};

const char* outcome_of(const RekeyReport& report) {
  if (report.stopped) return "stopped";
  return report.complete() ? "done" : "incomplete";
}

json::array segment_list(const std::vector<SegmentNumber>& segments) {
  return json::array(segments.begin(), segments.end());
}

void print_rekey_json(const RekeyArgs& args, const RekeyReport& report,
                      const Implementation& implementation, const Keyring& keyring) {
  print_json({{"keyset", args.name},
              {"state", args.dry_run ? "planned" : outcome_of(report)},
              {"from_version", report.from_version},
              {"to_version", report.to_version},
              {"deks", report.deks},
              {"rewrapped", report.rewrapped},
              {"quarantined", report.quarantined},
              {"damaged_segments", segment_list(report.damaged_segments)},
              {"accepted_segments", segment_list(report.accepted_segments)},
              {"resumed", report.resumed},
              {"seconds", report.seconds},
              {"deks_per_second", per_second(report.rewrapped, report.seconds)},
              {"implementation", implementation_name(report.custody, implementation)},
              {"threads", args.threads},
              {"custody", custody_name(report.custody)},
              {"dropped_roots", json::value_from(report.dropped_roots)},
              {"broken_protectors", broken_protectors(keyring)}});
}

void say_rekey(const GlobalOptions& global, const RekeyArgs& args, const RekeyReport& report,
               const Implementation& implementation) {
  say(global, "rekey of '" + args.name + "' " + outcome_of(report) +
                  (report.resumed ? " (resumed)" : "") + ": KEK version " +
                  std::to_string(report.from_version) + " -> " + std::to_string(report.to_version) +
                  ", re-wrapped " + amount_and_rate(report.rewrapped, report.seconds));
  say(global, "  implementation " +
                  std::string(implementation_name(report.custody, implementation)) + ", " +
                  std::to_string(args.threads) + " threads, custody " +
                  custody_name(report.custody) + dropped_text(report.dropped_roots));
}

// What went wrong goes to stderr, also with --json and --quiet.
void warn(const RekeyArgs& args, const RekeyReport& report) {
  if (report.quarantined != 0) {
    std::cerr << "rewrap: warning: " << report.quarantined
              << " DEKs failed their integrity check and are in quarantine\n"
              << "rewrap: hint: rewrap quarantine list " << args.name
              << "; import good copies to replace them\n";
  }
  if (!report.damaged_segments.empty()) {
    std::cerr
        << "rewrap: warning: " << report.damaged_segments.size()
        << " segments fail authentication and were left as they are, under their old KEK version\n"
        << "rewrap: hint: rewrap verify " << args.name
        << " names them; restore them from a backup, or use --accept-damaged-segments\n";
  }
  if (!report.accepted_segments.empty()) {
    std::cerr << "rewrap: warning: " << report.accepted_segments.size()
              << " segments failed authentication and were re-wrapped all the same; which id "
                 "belongs to which of their DEKs "
                 "is not proven\n";
  }
  if (report.stopped) {
    std::cerr << "rewrap: warning: stopped before the end; nothing is lost\n"
              << "rewrap: hint: rewrap rekey " << args.name << " goes on\n";
  }
}

int run_plan(const GlobalOptions& global, const RekeyArgs& args, Store* store,
             const Implementation& implementation) {
  Keyring keyring(global.root);
  if (args.recover) keyring.allow_recovery();
  const auto plan = plan_rekey(store, args.name, &keyring);
  if (!plan.ok()) return fail("keyset '" + args.name + "'", plan.status(), keyring);
  if (global.json) print_rekey_json(args, plan.value(), implementation, keyring);
  warn_of_protectors(keyring);
  say(global, "would " + std::string(plan->resumed ? "go on to re-wrap " : "re-wrap ") +
                  with_thousands(plan->rewrapped) + " of " + with_thousands(plan->deks) +
                  " DEKs under KEK version " + std::to_string(plan->to_version) +
                  "; the root answers; nothing was changed");
  return kExitDone;
}

int run_rekey(const GlobalOptions& global, const RekeyArgs& args) {
  const std::string subject = "keyset '" + args.name + "'";
  auto store = open_store(global.store_directory, OpenMode::kMustExist);
  if (!store.ok()) return fail("store " + global.store_directory, store.status());
  Custody custody{};
  const auto implementation =
      choose_for_keyset(store->get(), args.name, args.implementation, &custody);
  if (!implementation.ok()) return fail(subject, implementation.status());
  if (args.dry_run) return run_plan(global, args, store->get(), *implementation.value());

  const Interruptible interruptible;
  Keyring keyring(patient(global));
  if (args.recover) keyring.allow_recovery();
  RekeyOptions options;
  options.root_uri = args.root_uri;
  options.implementation = implementation.value();
  options.num_threads = args.threads;
  options.max_deks_per_second = args.rate;
  options.accept_damaged_segments = args.accept_damaged_segments;
  options.stop = Interruptible::flag();
  auto report = [&] {
    ProgressBar bar("re-wrapping", global.quiet);
    if (custody != Custody::kHost && !global.json) bar.expect_token();
    options.progress = bar.callback();
    return rekey(store->get(), args.name, &keyring, options);
  }();
  if (!report.ok()) return fail(subject, report.status(), keyring);
  if (global.json) print_rekey_json(args, report.value(), *implementation.value(), keyring);
  say_rekey(global, args, report.value(), *implementation.value());
  warn(args, report.value());
  warn_of_protectors(keyring);
  if (report->stopped) return kExitFailed;
  return report->complete() ? kExitDone : kExitIncomplete;
}

struct VerifyArgs {
  std::string name;
  std::string implementation;
  unsigned threads = default_threads();
  bool recover = false;
};

void print_findings(const VerifyReport& report) {
  for (const Finding& finding : report.findings) {
    std::cerr << "rewrap: damaged: ";
    if (finding.segment) std::cerr << "segment " << *finding.segment;
    if (!finding.segment) std::cerr << "keyset";
    if (finding.id) std::cerr << ", DEK " << format_uuid(*finding.id);
    std::cerr << ": " << finding.what.describe() << '\n';
  }
}

int run_verify(const GlobalOptions& global, const VerifyArgs& args) {
  const std::string subject = "keyset '" + args.name + "'";
  auto store = open_store(global.store_directory, OpenMode::kMustExist);
  if (!store.ok()) return fail("store " + global.store_directory, store.status());
  Custody custody{};
  const auto implementation =
      choose_for_keyset(store->get(), args.name, args.implementation, &custody);
  if (!implementation.ok()) return fail(subject, implementation.status());
  Keyring keyring(patient(global));
  if (args.recover) keyring.allow_recovery();
  auto report = [&] {
    ProgressBar bar("verifying", global.quiet);
    if (custody != Custody::kHost && !global.json) bar.expect_token();
    return verify(store->get(), args.name, &keyring,
                  {implementation.value(), args.threads, bar.callback()});
  }();
  if (!report.ok()) return fail(subject, report.status(), keyring);
  const bool clean = report->findings.empty();
  if (global.json) {
    print_json({{"keyset", args.name},
                {"deks", report->deks},
                {"ok", report->ok},
                {"damaged", report->damaged},
                {"quarantined", report->quarantined},
                {"findings", report->findings.size()},
                {"certified", report->certified},
                {"broken_protectors", broken_protectors(keyring)},
                {"seconds", report->seconds},
                {"deks_per_second", per_second(report->ok, report->seconds)}});
  }
  print_findings(report.value());
  warn_of_protectors(keyring);
  say(global,
      "verify of '" + args.name + "' " + (clean ? "passed" : "FOUND DAMAGE") + ": " +
          amount_and_rate(report->ok, report->seconds) + " DEKs open and are in their place, " +
          with_thousands(report->damaged) + " damaged" +
          (report->quarantined != 0 ? ", " + with_thousands(report->quarantined) + " in quarantine"
                                    : ""));
  return clean ? kExitDone : kExitDamaged;
}

struct DecommissionArgs {
  std::string name;
  KekVersion version = 0;
};

int run_decommission(const GlobalOptions& global, const DecommissionArgs& args) {
  auto store = open_store(global.store_directory, OpenMode::kMustExist);
  if (!store.ok()) return fail("store " + global.store_directory, store.status());
  Keyring keyring(global.root);
  const Status status = decommission(store->get(), args.name, args.version, &keyring);
  if (!status.ok()) {
    return fail("keyset '" + args.name + "', KEK version " + std::to_string(args.version), status,
                keyring);
  }
  warn_of_protectors(keyring);
  if (global.json) print_json({{"keyset", args.name}, {"decommissioned", args.version}});
  say(global, "KEK version " + std::to_string(args.version) + " of '" + args.name + "' destroyed");
  return kExitDone;
}

}  // namespace

void add_rekey_commands(const Cli& cli) {
  const GlobalOptions* global = cli.global;
  auto rekey_args = std::make_shared<RekeyArgs>();
  Verb verb = cli.app.add_verb(
      "rekey", "make a new KEK and re-wrap every DEK under it; resumes if interrupted",
      [=] { return run_rekey(*global, *rekey_args); });
  verb.add_option("NAME", &rekey_args->name, "name of the keyset").required();
  verb.add_option("--root", &rekey_args->root_uri,
                  "root of the new KEK (default: that of the present one)")
      .type_name("URI");
  verb.add_flag("--dry-run", &rekey_args->dry_run, "say what would be done; change nothing");
  verb.add_option("--threads", &rekey_args->threads, "compute threads")
      .between(1U, kMaxThreads)
      .shows_default();
  verb.add_option("--implementation", &rekey_args->implementation,
                  "force one (rewrap bench --list shows them)");
  verb.add_option("--rate", &rekey_args->rate,
                  "at most so many DEKs per second (default: no limit)")
      .between(1.0, 1e12);
  verb.add_flag("--accept-damaged-segments", &rekey_args->accept_damaged_segments,
                "re-wrap the DEKs that open in segments that fail authentication; whoever uses it "
                "answers for it");
  add_recover_flag(verb, &rekey_args->recover);

  auto verify_args = std::make_shared<VerifyArgs>();
  verb = cli.app.add_verb("verify", "prove that every DEK is there, in its place, and opens",
                          [=] { return run_verify(*global, *verify_args); });
  verb.add_option("NAME", &verify_args->name, "name of the keyset").required();
  verb.add_option("--threads", &verify_args->threads, "compute threads")
      .between(1U, kMaxThreads)
      .shows_default();
  verb.add_option("--implementation", &verify_args->implementation,
                  "force one (rewrap bench --list shows them)");
  add_recover_flag(verb, &verify_args->recover);

  auto decommission_args = std::make_shared<DecommissionArgs>();
  verb =
      cli.app.add_verb("decommission", "destroy an old KEK version, if nothing needs it any more",
                       [=] { return run_decommission(*global, *decommission_args); });
  verb.add_option("NAME", &decommission_args->name, "name of the keyset").required();
  verb.add_option("VERSION", &decommission_args->version, "the KEK version").required();
}

}  // namespace rewrap
