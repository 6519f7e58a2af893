// One rekey or decommission per keyset at a time (R6), across threads and processes.
#ifndef REWRAP_REKEY_KEYSET_LOCK_H_
#define REWRAP_REKEY_KEYSET_LOCK_H_

#include <string>
#include <utility>

#include "engine/base/status.h"
#include "rekey/store.h"

namespace rewrap {

// KeysetLock is an advisory lock on a file beside the store. The kernel drops it with the process,
// so a killed job leaves none.
class KeysetLock {
 public:
  // acquire does not wait. Errors: kConflict if another job holds it; kIo.
  static Result<KeysetLock> acquire(const std::string& directory, KeysetNumber keyset);

  KeysetLock(KeysetLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  KeysetLock& operator=(KeysetLock&& other) noexcept;
  KeysetLock(const KeysetLock&) = delete;
  KeysetLock& operator=(const KeysetLock&) = delete;
  ~KeysetLock();

 private:
  explicit KeysetLock(int fd) : fd_(fd) {}
  int fd_ = -1;
};

}  // namespace rewrap

#endif  // REWRAP_REKEY_KEYSET_LOCK_H_
