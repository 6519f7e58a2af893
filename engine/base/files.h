// Small file-system work shared by several layers. Any thread.
#ifndef REWRAP_ENGINE_BASE_FILES_H_
#define REWRAP_ENGINE_BASE_FILES_H_

#include <string>

#include "engine/base/status.h"

namespace rewrap {

// Descriptor closes what open(2) and its like gave; a negative one is none.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor();
  [[nodiscard]] int get() const { return fd_; }

 private:
  int fd_;
};

// sync_directory makes new names in a directory durable: without it a file that was synced may have
// no name after a power cut. Errors: kNotFound, kDenied, kIo.
Status sync_directory(const std::string& directory);

// parent_directory gives the directory part of a path: "/a/b" -> "/a/", "b" -> ".".
std::string parent_directory(const std::string& path);

}  // namespace rewrap

#endif  // REWRAP_ENGINE_BASE_FILES_H_
