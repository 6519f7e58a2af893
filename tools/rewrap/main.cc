// rewrap: moves every DEK of a keyset from an old KEK to a new one. This file parses the command
// line and dispatches.
#include <fcntl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <iostream>

#include "engine/base/secret_buffer.h"
#include "tools/rewrap/cli.h"
#include "tools/rewrap/fault_handler.h"
#include "tools/rewrap/terminal.h"

namespace {

constexpr const char* kDescription =
    "rewrap moves every data encryption key (DEK) of a keyset from an old key encryption key "
    "(KEK)\n"
    "to a new one, with the root key in an HSM, and never leaves a DEK behind.";

constexpr const char* kFooter =
    "Example:\n"
    "  rewrap keyset create disks --root "
    "'pkcs11:token=prod;object=root?module-path=/usr/lib/softhsm/libsofthsm2.so'\n"
    "  rewrap dek generate disks --count 1000\n"
    "  rewrap rekey disks && rewrap verify disks && rewrap decommission disks 1\n"
    "\n"
    "Exit codes: 0 done, 1 failed, 2 usage, 3 incomplete (quarantined DEKs), 4 damage found,\n"
    "            5 root unavailable or refused the PIN, 6 refused by the gate";

void add_global_options(CLI::App* app, rewrap::GlobalOptions* global) {
  const char* from_environment = std::getenv("REWRAP_STORE");
  global->store_directory = from_environment != nullptr ? from_environment : "/var/lib/rewrap";
  app->add_option("--store", global->store_directory,
                  "directory of the store (default: $REWRAP_STORE)")
      ->capture_default_str()
      ->type_name("DIR");
  app->add_flag("--json", global->json, "print one JSON object on stdout");
  app->add_flag("--quiet", global->quiet, "print nothing but results and errors");
  app->add_flag("--allow-file-root", global->root.allow_file_root,
                "accept a key file as a root (development only)");
  app->add_flag("--allow-final-pin-try", global->root.allow_final_pin_try,
                "log in even if one more wrong PIN would lock the token");
  app->add_option_function<unsigned>(
         "--token-wait",
         [global](unsigned seconds) {
           global->root.reconnect_limit = std::chrono::seconds(seconds);
         },
         "wait so many seconds for a token that holds KEKs and went away (default: 60)")
      ->check(CLI::Range(0U, 86400U))
      ->type_name("SECONDS");
  app->set_version_flag("--version", std::string("rewrap ") + REWRAP_VERSION);
}

// A file opened while one of the standard descriptors is closed would get its number, and the next
// message would go into that file: the store's, say. Filled with the wrong direction, such a
// descriptor fails as a closed one does.
void fill_standard_descriptors() {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
    if (fcntl(fd, F_GETFD) >= 0) continue;
    if (open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd) std::abort();
  }
}

int usage_error(const CLI::ParseError& error) {
  std::cerr << "rewrap: error: " << error.what()
            << "\nrewrap: hint: rewrap --help, or rewrap VERB --help\n";
  return rewrap::kExitUsage;
}

int run(int argc, char** argv) {
  rewrap::GlobalOptions global;
  global.root.ask_pin = rewrap::prompt_pin;
  rewrap::Action action;
  CLI::App app(kDescription, "rewrap");
  app.footer(kFooter);
  app.require_subcommand(1);
  add_global_options(&app, &global);
  const rewrap::Cli cli{rewrap::Verb(&app, &action), &global};
  rewrap::add_keyset_commands(cli);
  rewrap::add_dek_commands(cli);
  rewrap::add_transfer_commands(cli);
  rewrap::add_rekey_commands(cli);
  rewrap::add_reprotect_command(cli);
  rewrap::add_root_commands(cli);
  rewrap::add_jobs_commands(cli);
  rewrap::add_account_commands(cli);
  rewrap::add_audit_commands(cli);
  rewrap::add_bench_commands(cli);
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp& help) {
    return app.exit(help);
  } catch (const CLI::CallForAllHelp& help) {
    return app.exit(help);
  } catch (const CLI::CallForVersion& version) {
    return app.exit(version);
  } catch (const CLI::ParseError& error) {
    return usage_error(error);
  }
  return action();
}

}  // namespace

int main(int argc, char** argv) {
  fill_standard_descriptors();
  // A token behind a socket may go away while it is being written to, and a file may meet its size
  // limit; each must be an error, not the end of the program.
  static_cast<void>(std::signal(SIGPIPE, SIG_IGN));
  static_cast<void>(std::signal(SIGXFSZ, SIG_IGN));
  if (const rewrap::Status status = rewrap::harden_process(); !status.ok())
    return rewrap::fail("start", status);
  rewrap::install_fault_handler();
  const int code = run(argc, argv);
  std::cout.flush();
  if (!std::cout) {
    std::cerr << "rewrap: error: stdout cannot be written\n";
    return code == rewrap::kExitDone ? rewrap::kExitFailed : code;
  }
  return code;
}
