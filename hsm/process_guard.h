// ProcessGuard tells a forked child that a token or a secret is not its own.
// A child that goes on with its parent's sessions or secrets does harm that no error code shows:
// tokens hand out the same random bytes twice, and locked memory is not even mapped in the child.
// Any thread.
#ifndef REWRAP_HSM_PROCESS_GUARD_H_
#define REWRAP_HSM_PROCESS_GUARD_H_

#include <unistd.h>

#include "engine/base/status.h"

namespace rewrap {

class ProcessGuard {
 public:
  // is_owner is true in the process that made the guard.
  [[nodiscard]] bool is_owner() const { return getpid() == owner_; }

  // check gives kUnavailable in every other process.
  [[nodiscard]] Status check() const {
    if (is_owner()) return {};
    return {Errc::kUnavailable, "this process is a fork of the one that opened the root",
            "open the root again in this process"};
  }

 private:
  pid_t owner_ = getpid();
};

}  // namespace rewrap

#endif  // REWRAP_HSM_PROCESS_GUARD_H_
