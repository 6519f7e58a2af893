// Reads small secret files (keys, PINs) into locked memory, and makes new key files. Lengths are
// bytes; any thread.
#ifndef REWRAP_HSM_SECRET_FILE_H_
#define REWRAP_HSM_SECRET_FILE_H_

#include <cstddef>
#include <string>
#include <string_view>

#include "engine/base/bytes.h"
#include "engine/base/secret_buffer.h"
#include "engine/base/status.h"

namespace rewrap {

// path_of_file_uri gives the path in `file:/absolute/path` or `file:///absolute/path`. The path is
// taken as it stands, so escapes (%), queries (?) and fragments (#) are refused, not misread.
// Errors: kInvalidArgument  not such a URI
Result<std::string> path_of_file_uri(std::string_view uri);

// pin_file_of gives the path of the file that a URI's pin-source names, as
//   file:/absolute/path  see path_of_file_uri
//   credential:NAME      the credential of that name that the service manager passes to this service
//                        (systemd's LoadCredential= or SetCredentialEncrypted=, in
//                        $CREDENTIALS_DIRECTORY)
// Errors: kInvalidArgument  neither, or a NAME that is not one of a file
//         kNotFound         this process was given no credentials
Result<std::string> pin_file_of(std::string_view pin_source);

// read_key_file reads a raw key of at most `max_len` bytes. The file itself, not what its name led
// to a moment before, must be a regular file owned by this user or by root with mode 0600 exactly;
// a symbolic link is not followed.
// Errors: kNotFound         no such file
//         kDenied           a link, not a regular file, another owner or mode, or not readable
//         kInvalidArgument  empty, or longer than `max_len`
Result<SecretBuffer> read_key_file(const std::string& path, std::size_t max_len);

// read_small_file reads a file of at most `max_len` bytes, secret or not. Links are followed
// (credential managers use them); who may read the file is the operator's choice.
// Errors: kNotFound, kDenied, kInvalidArgument as above
Result<SecretBuffer> read_small_file(const std::string& path, std::size_t max_len);

// read_pin_file reads a PIN of 1 to 256 bytes; one newline at the end is not part of it. Links are
// followed (credential managers use them); who may read the file is the operator's choice.
// Errors: kNotFound, kDenied, kInvalidArgument as above
Result<SecretBuffer> read_pin_file(const std::string& path);

// read_credentials_file reads a text with access keys, of at most `max_len` bytes, as it is. Links are followed;
// the file must not be open to everybody.
// Errors: kNotFound, kDenied, kInvalidArgument as above
Result<SecretBuffer> read_credentials_file(const std::string& path, std::size_t max_len);

// write_key_file makes the file with mode 0600 and puts `key` in it, durable when it returns. A
// half-made file is removed.
// Errors: kAlreadyExists  the name is taken, be it by a dangling link
Status write_key_file(const std::string& path, ByteView key);

inline constexpr std::size_t kMaxPinLen = 256;

}  // namespace rewrap

#endif  // REWRAP_HSM_SECRET_FILE_H_
