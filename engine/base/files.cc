// Descriptors and directories.
#include "engine/base/files.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

namespace rewrap {

Descriptor::~Descriptor() {
  if (fd_ >= 0) ::close(fd_);
}

Status sync_directory(const std::string& directory) {
  const Descriptor fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd.get() < 0) return Status::from_errno(errno, "open", "a directory cannot be opened");
  if (fsync(fd.get()) == 0) return {};
  return Status::from_errno(errno, "fsync", "a directory cannot be made durable");
}

std::string parent_directory(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash + 1);
}

}  // namespace rewrap
