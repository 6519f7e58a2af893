// Printing and exit codes.
#include "tools/rewrap/cli.h"

#include <sched.h>

#include <array>
#include <cstdio>
#include <iostream>
#include <utility>

namespace rewrap {
namespace {

ExitCode exit_code_of(const Status& status, bool at_root) {
  switch (status.code()) {
    case Errc::kOk:
      return kExitDone;
    case Errc::kCorruption:
      return kExitDamaged;
    case Errc::kRefused:
      return at_root ? kExitRoot : kExitRefused;
    case Errc::kInvalidArgument:
      return kExitUsage;
    default:
      return at_root ? kExitRoot : kExitFailed;
  }
}

}  // namespace

int fail(const std::string& subject, const Status& status, bool at_root) {
  std::cerr << "rewrap: error: " << subject << (subject.empty() ? "" : ": ") << status.describe()
            << '\n';
  if (*status.hint() != '\0') std::cerr << "rewrap: hint: " << status.hint() << '\n';
  return exit_code_of(status, at_root);
}

int fail(const std::string& subject, const Status& status, const Keyring& keyring) {
  // A KEK that stays in its token can fail long after its root has been closed.
  warn_of_protectors(keyring);
  const bool at_token = status.native() == Native::kPkcs11 || status.code() == Errc::kUnavailable;
  return fail(subject, status, keyring.root_failed() || at_token);
}

void warn_of_protectors(const Keyring& keyring) {
  for (const BrokenProtector& broken : keyring.broken()) {
    std::cerr << "rewrap: warning: KEK version " << broken.version << ": its protector under "
              << broken.root_uri << " does not open: " << broken.what.describe() << '\n';
    if (*broken.what.hint() != '\0') std::cerr << "rewrap: hint: " << broken.what.hint() << '\n';
  }
}

boost::json::array broken_protectors(const Keyring& keyring) {
  boost::json::array list;
  for (const BrokenProtector& broken : keyring.broken()) {
    list.push_back({{"version", broken.version},
                    {"root", broken.root_uri},
                    {"error", broken.what.describe()}});
  }
  return list;
}

std::string dropped_text(const std::vector<std::string>& roots) {
  std::string text;
  for (const std::string& root : roots) text += "\n  no longer guarded by " + root;
  return text;
}

void add_recover_flag(const Verb& verb, bool* recover) {
  verb.add_flag("--recover", recover,
                "open KEKs by a protector without a counter if the one with a counter does not "
                "open, also if it says that this store is an old copy");
}

Result<const Implementation*> choose_for_keyset(Store* store, const std::string& name,
                                                const std::string& forced, Custody* custody) {
  REWRAP_ASSIGN(auto snapshot, store->snapshot());
  REWRAP_ASSIGN(const KeysetRecord keyset, peek_keyset(*snapshot, name));
  *custody = keyset.custody;
  if (*custody != Custody::kHost && !forced.empty()) {
    return Status(Errc::kInvalidArgument,
                  "--implementation is for KEKs on the host; this keyset's stay in their token",
                  "leave it out: the token's own AES does the work");
  }
  return choose_implementation(forced);
}

const char* implementation_name(Custody custody, const Implementation& implementation) {
  return custody == Custody::kHost ? implementation.name : "token";
}

std::string without_query(const std::string& uri) { return uri.substr(0, uri.find('?')); }

void print_json(const boost::json::object& object) {
  std::cout << boost::json::serialize(object) << '\n';
}

void add_wrap(boost::json::object* object, const WrapMembers& wrap) {
  const auto add = [object](const char* name, const std::string& text) {
    if (!text.empty()) (*object)[name] = text;
  };
  add("wrapped", wrap.wrapped);
  add("iv", wrap.iv);
  add("tag", wrap.tag);
  add("aad", wrap.aad);
}

void say(const GlobalOptions& global, const std::string& line) {
  if (!global.json && !global.quiet) std::cout << line << '\n';
}

std::string with_thousands(std::uint64_t number) {
  std::string text = std::to_string(number);
  for (std::size_t at = text.size(); at > 3;) {
    at -= 3;
    text.insert(at, 1, ',');
  }
  return text;
}

double per_second(std::uint64_t count, double seconds) {
  return seconds > 0 ? static_cast<double>(count) / seconds : 0;
}

std::string amount_and_rate(std::uint64_t count, double seconds) {
  std::array<char, 32> time{};
  static_cast<void>(std::snprintf(time.data(), time.size(), "%.2f s", seconds));
  const auto rate = static_cast<std::uint64_t>(per_second(count, seconds));
  return with_thousands(count) + " in " + time.data() + " (" + with_thousands(rate) + "/s)";
}

unsigned default_threads() {
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  if (sched_getaffinity(0, sizeof cpus, &cpus) != 0) return 1;
  const int count = CPU_COUNT(&cpus);
  return count < 1 ? 1U : static_cast<unsigned>(count);
}

}  // namespace rewrap
