// Directory syncing.
#include "engine/base/files.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

namespace rewrap {

Status sync_directory(const std::string& directory) {
  const int fd = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return Status::from_errno(errno, "open", "a directory cannot be opened");
  const int rc = fsync(fd);
  const int error = errno;
  ::close(fd);
  if (rc == 0) return {};
  return Status::from_errno(error, "fsync", "a directory cannot be made durable");
}

std::string parent_directory(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash + 1);
}

}  // namespace rewrap
