// The daemon's configuration: a TOML file (https://toml.io/en/v1.0.0) read into a typed struct. Every key
// stands in one table (config.cc), with its help, its limits, and whether a reload takes it.
#ifndef REWRAP_TOOLS_REWRAPD_CONFIG_H_
#define REWRAP_TOOLS_REWRAPD_CONFIG_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace rewrap {

// In the order of the file, whatever padding that costs: there is one of them.
// NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding)
struct DaemonConfig {
  // [store]
  std::string store_directory = "/var/lib/rewrap";
  // [roots]
  std::string service_root;
  bool allow_file_root = false;
  bool allow_final_pin_try = false;
  std::uint64_t token_wait = 60;
  std::string aws_ca;
  // [cluster]
  std::string cluster_name = "rewrap";
  std::string node_name = "rewrap-01";
  // [jobs]
  std::uint64_t job_threads = 1;
  std::uint64_t max_running_jobs = 2;
  double default_rate = 0;
  std::string implementation;
  // [server]
  std::vector<std::string> listen = {"127.0.0.1:8443"};
  std::vector<std::string> listen_plain;
  std::uint64_t network_threads = 1;
  std::uint64_t workers = 4;
  std::uint64_t max_waiting = 256;
  std::uint64_t max_connections = 4096;
  std::uint64_t max_connections_per_address = 1100;
  std::uint64_t max_body = std::uint64_t{1} << 20;
  std::uint64_t stop_grace = 10;
  // [tls]
  std::string certificate;
  std::string key;
  std::string client_ca;
  // [limits]
  double failed_log_ins_per_minute = 12;
  std::uint64_t failed_log_ins_burst = 10;
  double requests_per_second = 200;
  std::uint64_t requests_burst = 400;
  // [ontap]
  bool ontap = true;
  std::string admin_keyset;
  // [element]
  bool element = true;
  std::string element_keyset;
  std::string internal_root;
  // [console]
  bool console = true;
  // [metrics]
  bool public_metrics = false;
  // [audit]
  std::string audit_file;
  // [log]
  std::string log_level = "info";
  bool log_requests = true;
};

struct ConfigError {
  std::uint64_t line = 0;  // from 1; 0: the file as a whole
  std::string text;        // what is wrong, and what would be right
};

struct ConfigReading {
  DaemonConfig config;
  std::vector<ConfigError> errors;  // all that were found; empty: the configuration is good
};

// read_config reads the file. Unknown tables and keys, wrong types and values out of range are errors,
// each with its line.
ConfigReading read_config(const std::string& path);

// needs_restart names the keys ("server.listen") whose change a reload does not take.
std::vector<std::string> needs_restart(const DaemonConfig& before, const DaemonConfig& after);

// documented_config gives a file with every key, its help and its default.
std::string documented_config();

// One of server.listen: "127.0.0.1:8443", "[::1]:8443".
struct ListenAddress {
  std::string address;
  std::uint16_t port = 0;
};
std::optional<ListenAddress> parse_listen(const std::string& text);

}  // namespace rewrap

#endif  // REWRAP_TOOLS_REWRAPD_CONFIG_H_
