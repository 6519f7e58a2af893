// The handler of memory faults; only async-signal-safe calls.
#include "tools/rewrap/fault_handler.h"

#include <unistd.h>

#include <csignal>
#include <initializer_list>

namespace rewrap {
namespace {

constexpr int kExitDamaged = 4;
constexpr char kMessage[] =
    "rewrap: error: a memory fault while the store was in use: most likely its data file is "
    "damaged or was truncated\n"
    "rewrap: hint: nothing that was committed is lost by this; restore the store's directory from "
    "a backup\n";

void on_fault(int) {
  static_cast<void>(!::write(STDERR_FILENO, kMessage, sizeof kMessage - 1));
  _exit(kExitDamaged);
}

}  // namespace

void install_fault_handler() {
  struct sigaction action {};
  action.sa_handler = on_fault;
  for (const int signal : {SIGBUS, SIGSEGV, SIGABRT}) sigaction(signal, &action, nullptr);
}

}  // namespace rewrap
