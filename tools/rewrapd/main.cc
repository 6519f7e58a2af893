// rewrapd: the rekey service behind ONTAP REST, Element JSON-RPC and a REST API of its own. This file
// reads the command line and the configuration.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <iostream>
#include <string>
#include <utility>
#include <vector>

#include "api/log/json_log.h"
#include "engine/base/secret_buffer.h"
#include "tools/rewrapd/config.h"
#include "tools/rewrapd/daemon.h"
#include "tools/rewrapd/signals.h"

namespace rewrap {
namespace {

// As those of rewrap: scripts rely on them.
enum ExitCode : int { kExitDone = 0, kExitFailed = 1, kExitUsage = 2 };

struct Options {
  std::string config_path = "/etc/rewrap/rewrapd.toml";
  bool check_config = false;
  bool print_config = false;
};

void print_errors(const std::string& path, const std::vector<ConfigError>& errors) {
  for (const ConfigError& error : errors) {
    std::cerr << path;
    if (error.line != 0) std::cerr << ':' << error.line;
    std::cerr << ": " << error.text << '\n';
  }
}

int serve(DaemonConfig config, const std::string& path) {
  JsonLog log(STDERR_FILENO);
  log.set_level(find_log_level(config.log_level).value_or(LogLevel::kInfo));
  auto daemon = Daemon::start(std::move(config), path, &log);
  if (!daemon.ok()) {
    log.error("not started", status_fields(daemon.status()));
    return kExitFailed;
  }
  daemon.value()->run();
  return kExitDone;
}

int act(const Options& options) {
  if (options.print_config) {
    std::cout << documented_config();
    return kExitDone;
  }
  ConfigReading reading = read_config(options.config_path);
  if (!reading.errors.empty()) {
    print_errors(options.config_path, reading.errors);
    return kExitUsage;
  }
  if (options.check_config) return kExitDone;
  return serve(std::move(reading.config), options.config_path);
}

int run(int argc, char** argv) {
  Options options;
  CLI::App app("rewrapd serves the keysets of a store over HTTPS.", "rewrapd");
  app.add_option("--config", options.config_path, "the configuration file")
      ->capture_default_str()
      ->type_name("FILE");
  app.add_flag("--check-config", options.check_config, "read the configuration, say what is wrong");
  app.add_flag("--print-config", options.print_config, "print every key, its help, its default");
  app.set_version_flag("--version", std::string("rewrapd ") + REWRAP_VERSION);
  app.footer(
      "Signals: SIGTERM stops, jobs go on at the next start; SIGHUP reloads certificate, log\n"
      "level and limits. Accounts are made by `rewrap account`.");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error);
    return code == 0 ? kExitDone : kExitUsage;
  }
  return act(options);
}

}  // namespace
}  // namespace rewrap

int main(int argc, char** argv) {
  for (const rewrap::Status& status : {rewrap::harden_process(), rewrap::block_signals()}) {
    if (status.ok()) continue;
    std::cerr << "rewrapd: error: " << status.describe() << '\n';
    return rewrap::kExitFailed;
  }
  return rewrap::run(argc, argv);
}
