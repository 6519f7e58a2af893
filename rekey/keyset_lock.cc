// The keyset lock by flock(2).
#include "rekey/keyset_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>

namespace rewrap {

Result<KeysetLock> KeysetLock::acquire(const std::string& directory, KeysetNumber keyset) {
  const std::string path = directory + "/keyset-" + std::to_string(keyset) + ".lock";
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return Status::from_errno(errno, "open", "the keyset's lock file cannot be opened");
  KeysetLock lock(fd);
  if (flock(fd, LOCK_EX | LOCK_NB) == 0) return lock;
  if (errno != EWOULDBLOCK)
    return Status::from_errno(errno, "flock", "the keyset cannot be locked");
  return Status(Errc::kConflict, "another rekey or decommission of this keyset is running",
                "rewrap status shows how far it is; wait for it to end");
}

KeysetLock& KeysetLock::operator=(KeysetLock&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

KeysetLock::~KeysetLock() {
  if (fd_ >= 0) ::close(fd_);
}

}  // namespace rewrap
