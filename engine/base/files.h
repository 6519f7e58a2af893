// Small file-system work shared by several layers. Any thread.
#ifndef REWRAP_ENGINE_BASE_FILES_H_
#define REWRAP_ENGINE_BASE_FILES_H_

#include <string>

#include "engine/base/status.h"

namespace rewrap {

// sync_directory makes new names in a directory durable: without it a file that was synced may have
// no name after a power cut. Errors: kNotFound, kDenied, kIo.
Status sync_directory(const std::string& directory);

// parent_directory gives the directory part of a path: "/a/b" -> "/a/", "b" -> ".".
std::string parent_directory(const std::string& path);

}  // namespace rewrap

#endif  // REWRAP_ENGINE_BASE_FILES_H_
