// By sigwait: no handlers, so nothing has to be safe in one.
#include "tools/rewrapd/signals.h"

#include <pthread.h>

#include <cerrno>
#include <csignal>
#include <ctime>

namespace rewrap {
namespace {

sigset_t our_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&set, number);
  return set;
}

}  // namespace

Status block_signals() {
  // A token behind a socket may go away while it is being written to, and a file may meet its size
  // limit; each must be an error, not the end of the program.
  static_cast<void>(std::signal(SIGPIPE, SIG_IGN));
  static_cast<void>(std::signal(SIGXFSZ, SIG_IGN));
  const sigset_t set = our_signals();
  const int error = pthread_sigmask(SIG_BLOCK, &set, nullptr);
  if (error == 0) return {};
  return Status::from_errno(error, "pthread_sigmask", "signals cannot be blocked");
}

Wake wait_for_signal(std::chrono::milliseconds limit) {
  const sigset_t set = our_signals();
  timespec wait{};
  wait.tv_sec = static_cast<std::time_t>(limit.count() / 1000);
  wait.tv_nsec = static_cast<long>(limit.count() % 1000) * 1'000'000;
  for (;;) {
    const int number =
        limit.count() == 0 ? sigwaitinfo(&set, nullptr) : sigtimedwait(&set, nullptr, &wait);
    if (number == SIGHUP) return Wake::kReload;
    if (number > 0) return Wake::kStop;
    if (errno == EAGAIN) return Wake::kTimeout;
  }
}

}  // namespace rewrap
