// A root key in a file: for development and tests, never for production, so it must be asked for by
// name. The file holds 32 raw bytes; see secret_file.h for who may own it.
#ifndef REWRAP_HSM_FILE_FILE_ROOT_H_
#define REWRAP_HSM_FILE_FILE_ROOT_H_

#include <memory>
#include <string>

#include "hsm/root.h"

namespace rewrap {

// open_file_root reads the key file. Errors: kRefused without options.allow_file_root; else as
// open_root.
Result<std::unique_ptr<Root>> open_file_root(const std::string& uri, const RootOptions& options);

// create_file_root_key makes the file with a random key. Errors: kAlreadyExists, kRefused as above.
Status create_file_root_key(const std::string& uri, const RootOptions& options);

}  // namespace rewrap

#endif  // REWRAP_HSM_FILE_FILE_ROOT_H_
