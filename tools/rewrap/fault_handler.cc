// The handler of memory faults; only async-signal-safe calls.
#include "tools/rewrap/fault_handler.h"

#include <unistd.h>

#include <csignal>
#include <initializer_list>

namespace rewrap {
namespace {

constexpr int kExitFailed = 1;
constexpr int kExitDamaged = 4;
constexpr char kFault[] =
    "rewrap: error: a memory fault while the store was in use: most likely its data file is "
    "damaged or was truncated\n"
    "rewrap: hint: nothing that was committed is lost by this; run rewrap verify, and if it fails "
    "likewise restore the "
    "store's directory from a backup\n";
constexpr char kAbort[] =
    "rewrap: error: stopped by an internal check, or for lack of memory or threads\n"
    "rewrap: hint: nothing that was committed is lost by this; run rewrap verify, and report it if "
    "it happens again\n";

void on_fault(int) {
  static_cast<void>(!::write(STDERR_FILENO, kFault, sizeof kFault - 1));
  _exit(kExitDamaged);
}

void on_abort(int) {
  static_cast<void>(!::write(STDERR_FILENO, kAbort, sizeof kAbort - 1));
  _exit(kExitFailed);
}

}  // namespace

void install_fault_handler() {
  struct sigaction action {};
  action.sa_handler = on_fault;
  for (const int signal : {SIGBUS, SIGSEGV}) sigaction(signal, &action, nullptr);
  action.sa_handler = on_abort;
  sigaction(SIGABRT, &action, nullptr);
}

}  // namespace rewrap
