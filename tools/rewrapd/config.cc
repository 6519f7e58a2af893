// The table of keys, and the TOML around it.
#include "tools/rewrapd/config.h"

#include <toml++/toml.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <string_view>
#include <utility>
#include <variant>

namespace rewrap {
namespace {

struct TextKey {
  std::string DaemonConfig::*member;
  bool (*is_good)(const std::string&) = nullptr;  // null: any text
};
struct SwitchKey {
  bool DaemonConfig::*member;
};
struct CountKey {
  std::uint64_t DaemonConfig::*member;
  std::uint64_t min;
  std::uint64_t max;
};
struct NumberKey {
  double DaemonConfig::*member;
  double min;
  double max;
};
struct ListKey {
  std::vector<std::string> DaemonConfig::*member;
};

struct Key {
  std::string_view table;
  std::string_view name;
  std::variant<TextKey, SwitchKey, CountKey, NumberKey, ListKey> kind;
  bool reloads;
  std::string_view help;
};

bool is_log_level(const std::string& text) {
  return text == "debug" || text == "info" || text == "warning" || text == "error";
}
bool is_path(const std::string& text) { return text.starts_with('/'); }
bool is_path_or_empty(const std::string& text) { return text.empty() || is_path(text); }

using Config = DaemonConfig;
constexpr bool kReloads = true;
constexpr bool kRestart = false;

// In the order in which documented_config writes them; the keys of one table stand together.
const std::array kKeys = {
    Key{"store", "directory", TextKey{&Config::store_directory, is_path}, kRestart,
        "The store: keysets, jobs, accounts. An absolute path."},

    Key{"roots", "service", TextKey{&Config::service_root}, kRestart,
        "URI of the root that guards the service key. Without one no secret can be stored (AWS "
        "access "
        "keys, KMIP key pairs), and the audit log has plain digests."},
    Key{"roots", "allow_file_root", SwitchKey{&Config::allow_file_root}, kRestart,
        "Accept key files as roots: for development only."},
    Key{"roots", "allow_final_pin_try", SwitchKey{&Config::allow_final_pin_try}, kRestart,
        "Log in to a token even if one more wrong PIN would lock it."},
    Key{"roots", "token_wait", CountKey{&Config::token_wait, 0, 86'400}, kRestart,
        "Seconds to wait for a root that went away under a job."},
    Key{"roots", "aws_ca", TextKey{&Config::aws_ca, is_path_or_empty}, kRestart,
        "PEM file of the CAs of private AWS KMS endpoints; empty: the system's."},

    Key{"cluster", "name", TextKey{&Config::cluster_name}, kRestart,
        "What this installation calls itself."},
    Key{"cluster", "node", TextKey{&Config::node_name}, kRestart, "And this process."},

    Key{"jobs", "threads", CountKey{&Config::job_threads, 1, 1024}, kRestart,
        "Compute threads of each job."},
    Key{"jobs", "max_running", CountKey{&Config::max_running_jobs, 1, 64}, kRestart,
        "Jobs that run at once; more are queued."},
    Key{"jobs", "rate", NumberKey{&Config::default_rate, 0, 1e12}, kRestart,
        "DEKs per second of each new rekey; 0: no limit. Of one that runs: rewrap jobs rate."},
    Key{"jobs", "implementation", TextKey{&Config::implementation}, kRestart,
        "Name of the AES implementation; empty: the best that this CPU has."},

    Key{"server", "listen", ListKey{&Config::listen}, kRestart,
        "ADDRESS:PORT, [ADDRESS]:PORT for IPv6, with TLS. Port 0 is any free one."},
    Key{"server", "listen_plain", ListKey{&Config::listen_plain}, kRestart,
        "The same without TLS. Loopback addresses only."},
    Key{"server", "threads", CountKey{&Config::network_threads, 1, 16}, kRestart,
        "Network threads. One serves thousands of requests a second."},
    Key{"server", "workers", CountKey{&Config::workers, 1, 256}, kRestart,
        "Threads that do what requests ask for. Each log-in takes 16 MiB while it is checked."},
    Key{"server", "max_waiting", CountKey{&Config::max_waiting, 1, 65'536}, kRestart,
        "Requests that wait for a worker; further ones are told to come again."},
    Key{"server", "max_connections", CountKey{&Config::max_connections, 1, 1'000'000}, kRestart,
        "Open connections."},
    Key{"server", "max_connections_per_address",
        CountKey{&Config::max_connections_per_address, 1, 1'000'000}, kRestart,
        "Open connections of one IPv4 address or one IPv6 /64."},
    Key{"server", "max_body", CountKey{&Config::max_body, 1024, 64ULL << 20}, kRestart,
        "Bytes of a request's body."},
    Key{"server", "stop_grace", CountKey{&Config::stop_grace, 0, 3600}, kReloads,
        "Seconds that requests in flight get when the daemon stops."},

    Key{"tls", "certificate", TextKey{&Config::certificate, is_path_or_empty}, kRestart,
        "PEM file, the server's own certificate first. Empty: DIRECTORY/tls/server.crt of the "
        "store, "
        "self-signed and made at the first start. What is in the file is read again by a reload."},
    Key{"tls", "key", TextKey{&Config::key, is_path_or_empty}, kRestart,
        "PEM file of its private key. Empty: DIRECTORY/tls/server.key."},
    Key{"tls", "client_ca", TextKey{&Config::client_ca, is_path_or_empty}, kRestart,
        "PEM file of the CAs of client certificates. Empty: clients are not asked for one."},

    Key{"limits", "failed_log_ins_per_minute",
        NumberKey{&Config::failed_log_ins_per_minute, 0.01, 1e6}, kReloads,
        "Of one address (IPv6: one /64), after the burst. Then 429 and Retry-After."},
    Key{"limits", "failed_log_ins_burst", CountKey{&Config::failed_log_ins_burst, 1, 1'000'000},
        kReloads, "Failed log-ins at once."},
    Key{"limits", "requests_per_second", NumberKey{&Config::requests_per_second, 0.01, 1e6},
        kReloads, "Of one account from one address, after the burst."},
    Key{"limits", "requests_burst", CountKey{&Config::requests_burst, 1, 1'000'000}, kReloads,
        "Requests at once."},

    Key{"ontap", "enabled", SwitchKey{&Config::ontap}, kRestart, "Answer below /api."},
    Key{"ontap", "admin_keyset", TextKey{&Config::admin_keyset}, kRestart,
        "The keyset that is the admin SVM; empty: none."},

    Key{"element", "enabled", SwitchKey{&Config::element}, kRestart, "Answer below /json-rpc."},
    Key{"element", "keyset", TextKey{&Config::element_keyset}, kRestart,
        "The keyset of encryption at rest; empty: it is disabled."},
    Key{"element", "internal_root", TextKey{&Config::internal_root}, kRestart,
        "URI of the root of internal key management."},

    Key{"console", "enabled", SwitchKey{&Config::console}, kRestart,
        "Serve the web console at /console."},

    Key{"metrics", "public", SwitchKey{&Config::public_metrics}, kRestart,
        "Give /metrics to everybody, without an account. It names keysets."},

    Key{"audit", "file", TextKey{&Config::audit_file, is_path_or_empty}, kRestart,
        "The audit log; empty: DIRECTORY/audit.log of the store."},

    Key{"log", "level", TextKey{&Config::log_level, is_log_level}, kReloads,
        "debug, info, warning or error."},
    Key{"log", "requests", SwitchKey{&Config::log_requests}, kReloads,
        "One line for each request, at level info."},
};

const Key* find_key(std::string_view table, std::string_view name) {
  const auto* found = std::find_if(kKeys.begin(), kKeys.end(), [&](const Key& key) {
    return key.table == table && key.name == name;
  });
  return found == kKeys.end() ? nullptr : found;
}

bool is_table(std::string_view name) {
  return std::any_of(kKeys.begin(), kKeys.end(), [&](const Key& key) { return key.table == name; });
}

std::string number_text(double value) {
  std::array<char, 40> text{};
  static_cast<void>(std::snprintf(text.data(), text.size(), "%.15g", value));
  return text.data();
}

// Setters give what is wrong; empty: nothing.
struct Setter {
  const toml::node& node;
  DaemonConfig* config;

  std::string operator()(const TextKey& key) const {
    const auto value = node.value_exact<std::string>();
    if (!value) return "is a text in quotes";
    if (value->find('\0') != std::string::npos) return "holds no zero byte";
    if (key.is_good != nullptr && !key.is_good(*value)) {
      return key.is_good == is_log_level ? "is debug, info, warning or error"
                                         : "is an absolute path";
    }
    config->*key.member = *value;
    return {};
  }
  std::string operator()(const SwitchKey& key) const {
    const auto value = node.value_exact<bool>();
    if (!value) return "is true or false";
    config->*key.member = *value;
    return {};
  }
  std::string operator()(const CountKey& key) const {
    const auto value = node.value_exact<std::int64_t>();
    if (!value || *value < 0 || static_cast<std::uint64_t>(*value) < key.min ||
        static_cast<std::uint64_t>(*value) > key.max)
      return "is a whole number from " + std::to_string(key.min) + " to " + std::to_string(key.max);
    config->*key.member = static_cast<std::uint64_t>(*value);
    return {};
  }
  std::string operator()(const NumberKey& key) const {
    const auto value = node.is_number() ? node.value<double>() : std::nullopt;
    if (!value || !std::isfinite(*value) || *value < key.min || *value > key.max)
      return "is a number from " + number_text(key.min) + " to " + number_text(key.max);
    config->*key.member = *value;
    return {};
  }
  std::string operator()(const ListKey& key) const {
    const toml::array* array = node.as_array();
    if (array == nullptr) return "is a list of ADDRESS:PORT";
    std::vector<std::string> list;
    for (const toml::node& item : *array) {
      const auto text = item.value_exact<std::string>();
      if (!text || !parse_listen(*text)) return "is a list of ADDRESS:PORT";
      list.push_back(*text);
    }
    config->*key.member = std::move(list);
    return {};
  }
};

void read_table(std::string_view name, const toml::table& table, ConfigReading* reading) {
  for (const auto& [key_name, node] : table) {
    const std::uint64_t line = node.source().begin.line;
    std::string full = std::string(name) + "." + std::string(key_name.str());
    const Key* key = find_key(name, key_name.str());
    if (key == nullptr) {
      reading->errors.push_back({line, "there is no key " + full});
      continue;
    }
    const std::string wrong = std::visit(Setter{node, &reading->config}, key->kind);
    if (!wrong.empty()) reading->errors.push_back({line, full.append(" ").append(wrong)});
  }
}

// check_whole checks what one key alone cannot tell.
void check_whole(ConfigReading* reading) {
  const DaemonConfig& config = reading->config;
  if (config.listen.empty() && config.listen_plain.empty())
    reading->errors.push_back({0, "server.listen is empty, and so is server.listen_plain"});
  if (config.certificate.empty() != config.key.empty())
    reading->errors.push_back({0, "tls.certificate and tls.key are given together or not at all"});
  if (!config.element_keyset.empty() && config.internal_root.empty())
    reading->errors.push_back({0, "element.keyset needs element.internal_root"});
}

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out.push_back('\\');
    out.push_back(c);
  }
  return out + "\"";
}

// ValueText writes a value as TOML.
struct ValueText {
  const DaemonConfig& config;

  std::string operator()(const TextKey& key) const { return quoted(config.*key.member); }
  std::string operator()(const SwitchKey& key) const {
    return config.*key.member ? "true" : "false";
  }
  std::string operator()(const CountKey& key) const { return std::to_string(config.*key.member); }
  std::string operator()(const NumberKey& key) const { return number_text(config.*key.member); }
  std::string operator()(const ListKey& key) const {
    std::string text;
    for (const std::string& item : config.*key.member)
      text += (text.empty() ? "" : ", ") + quoted(item);
    return "[" + text + "]";
  }
};

std::string value_text(const Key& key, const DaemonConfig& config) {
  return std::visit(ValueText{config}, key.kind);
}

// comment folds `help` into comment lines.
std::string comment(std::string_view help) {
  constexpr std::size_t kWidth = 96;
  std::string out;
  std::string line = "#";
  while (!help.empty()) {
    const std::string_view word = help.substr(0, help.find(' '));
    help.remove_prefix(std::min(help.size(), word.size() + 1));
    if (line.size() + 1 + word.size() > kWidth) {
      out += line + "\n";
      line = "#";
    }
    line.append(" ").append(word);
  }
  return out + line + "\n";
}

}  // namespace

std::optional<ListenAddress> parse_listen(const std::string& text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string::npos || colon == 0) return std::nullopt;
  ListenAddress listen{text.substr(0, colon), 0};
  if (listen.address.starts_with('[') && listen.address.ends_with(']')) {
    listen.address = listen.address.substr(1, listen.address.size() - 2);
  } else if (listen.address.find(':') != std::string::npos) {
    return std::nullopt;
  }
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data() + colon + 1, end, listen.port);
  if (error != std::errc() || stop != end || listen.address.empty()) return std::nullopt;
  return listen;
}

ConfigReading read_config(const std::string& path) {
  ConfigReading reading;
  toml::table file;
  try {
    file = toml::parse_file(path);
  } catch (const toml::parse_error& error) {
    reading.errors.push_back({error.source().begin.line, std::string(error.description())});
    return reading;
  }
  for (const auto& [name, node] : file) {
    const std::uint64_t line = node.source().begin.line;
    const toml::table* table = node.as_table();
    if (table == nullptr || !is_table(name.str())) {
      reading.errors.push_back({line, "there is no table [" + std::string(name.str()) + "]"});
    } else {
      read_table(name.str(), *table, &reading);
    }
  }
  if (reading.errors.empty()) check_whole(&reading);
  std::sort(reading.errors.begin(), reading.errors.end(),
            [](const ConfigError& a, const ConfigError& b) { return a.line < b.line; });
  return reading;
}

std::vector<std::string> needs_restart(const DaemonConfig& before, const DaemonConfig& after) {
  std::vector<std::string> names;
  for (const Key& key : kKeys) {
    if (!key.reloads && value_text(key, before) != value_text(key, after))
      names.push_back(std::string(key.table) + "." + std::string(key.name));
  }
  return names;
}

std::string documented_config() {
  const DaemonConfig defaults;
  std::string text = "# rewrapd.toml: every key with its default. TOML 1.0.\n";
  std::string_view table;
  for (const Key& key : kKeys) {
    if (key.table != table) text.append("\n[").append(key.table).append("]\n");
    table = key.table;
    text += comment(key.help);
    if (key.reloads) text += "# A reload (SIGHUP) takes it.\n";
    text.append(key.name).append(" = ").append(value_text(key, defaults)).append("\n");
  }
  return text;
}

}  // namespace rewrap
