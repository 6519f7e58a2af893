// What every verb of the rewrap command shares: the global options, opening the store, printing,
// exit codes. stdout carries the result (text, or one JSON object with --json); everything else
// goes to stderr.
#ifndef REWRAP_TOOLS_REWRAP_CLI_H_
#define REWRAP_TOOLS_REWRAP_CLI_H_

#include <boost/json.hpp>
#include <memory>
#include <string>

#include "engine/base/status.h"
#include "engine/implementation.h"
#include "rekey/jsonl.h"
#include "rekey/keyring.h"
#include "rekey/store.h"
#include "tools/rewrap/verb.h"

namespace rewrap {

// Exit codes: scripts rely on them.
enum ExitCode : int {
  kExitDone = 0,
  kExitFailed = 1,
  kExitUsage = 2,
  kExitIncomplete = 3,  // DEKs are in quarantine, or segments were left alone
  kExitDamaged = 4,     // the store is damaged, or verify found damage
  kExitRoot = 5,        // the root is unavailable or refused
  kExitRefused = 6,     // the gate refused
};

// Options of every verb.
struct GlobalOptions {
  std::string store_directory;
  bool json = false;
  bool quiet = false;
  RootOptions root;
};

// Cli is what the add_... functions hang their verbs on.
struct Cli {
  Verb app;
  GlobalOptions* global;
};

void add_keyset_commands(const Cli& cli);    // keyset create | list, status, census, quarantine
void add_dek_commands(const Cli& cli);       // dek generate | get
void add_rekey_commands(const Cli& cli);     // rekey, verify, decommission
void add_reprotect_command(const Cli& cli);  // reprotect
void add_transfer_commands(const Cli& cli);  // import, export
void add_root_commands(const Cli& cli);      // root create | probe | flush, selftest
void add_jobs_commands(const Cli& cli);      // jobs list | show | pause | resume | cancel | rate
void add_account_commands(const Cli& cli);   // account add | passwd | role | remove | list
void add_audit_commands(const Cli& cli);     // audit verify
void add_bench_commands(const Cli& cli);     // bench

// fail prints `subject: message` and the hint, and gives the exit code that fits; `at_root` if a
// root was the one that failed.
int fail(const std::string& subject, const Status& status, bool at_root = false);
int fail(const std::string& subject, const Status& status, const Keyring& keyring);

// warn_of_protectors tells the operator which protectors did not open although the command went on;
// broken_protectors is the same for --json.
void warn_of_protectors(const Keyring& keyring);
boost::json::array broken_protectors(const Keyring& keyring);

// dropped_text says which roots guard a keyset's KEK no more; empty if none.
std::string dropped_text(const std::vector<std::string>& roots);

// add_recover_flag adds --recover (Keyring::allow_recovery).
void add_recover_flag(const Verb& verb, bool* recover);

// choose_for_keyset gives the implementation for a keyset, forced by name unless `forced` is empty,
// and the keyset's custody as the store says. Errors: kNotFound no such keyset; kInvalidArgument one
// was forced and the KEKs are in a token; as choose_implementation.
Result<const Implementation*> choose_for_keyset(Store* store, const std::string& name,
                                                const std::string& forced, Custody* custody);

// implementation_name is what reports call it: "token" where the token does the work.
const char* implementation_name(Custody custody, const Implementation& implementation);

// without_query cuts a URI at its query, where a PIN would stand that should not be there.
std::string without_query(const std::string& uri);

// print_json writes one object and a line end to stdout.
void print_json(const boost::json::object& object);

// add_wrap adds the members that hold a wrap, those that it has.
void add_wrap(boost::json::object* object, const WrapMembers& wrap);

// say writes a line to stdout, unless --json or --quiet.
void say(const GlobalOptions& global, const std::string& line);

// with_thousands writes 1234567 as "1,234,567".
std::string with_thousands(std::uint64_t number);

// amount_and_rate writes "1,234,567 in 0.42 s (2,939,445/s)".
std::string amount_and_rate(std::uint64_t count, double seconds);

// per_second is 0 if no time has passed.
double per_second(std::uint64_t count, double seconds);

// default_threads is the number of CPUs this process may use.
unsigned default_threads();

}  // namespace rewrap

#endif  // REWRAP_TOOLS_REWRAP_CLI_H_
