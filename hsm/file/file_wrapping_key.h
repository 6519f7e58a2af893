// A wrapping key in a file of 16, 24 or 32 raw bytes; see secret_file.h for who may own it.
#ifndef REWRAP_HSM_FILE_FILE_WRAPPING_KEY_H_
#define REWRAP_HSM_FILE_FILE_WRAPPING_KEY_H_

#include <memory>
#include <string>

#include "hsm/wrapping_key.h"

namespace rewrap {

// open_file_wrapping_key reads the key; its access is always kValue. Errors as open_wrapping_key.
Result<std::unique_ptr<WrappingKey>> open_file_wrapping_key(const std::string& uri);

}  // namespace rewrap

#endif  // REWRAP_HSM_FILE_FILE_WRAPPING_KEY_H_
