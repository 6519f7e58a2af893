// Secret files by plain system calls: no stream buffer ever holds a copy.
#include "hsm/secret_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <utility>

#include "engine/base/files.h"

namespace rewrap {
namespace {

constexpr mode_t kKeyFileMode = 0600;
constexpr mode_t kModeBits = 07777;

// read_all reads the whole file into a buffer with room for one byte more than allowed, so that a
// file which grew after fstat is noticed too.
Result<SecretBuffer> read_all(int fd, std::size_t max_len) {
  REWRAP_ASSIGN(SecretBuffer buffer, SecretBuffer::create(max_len + 1));
  const ByteSpan room = buffer.expose_secret();
  std::size_t have = 0;
  while (have < room.size()) {
    const ssize_t got = read(fd, room.data() + have, room.size() - have);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Status::from_errno(errno, "read", "cannot read the secret file");
    if (got == 0) break;
    have += static_cast<std::size_t>(got);
  }
  if (have > max_len)
    return Status(Errc::kInvalidArgument, "the file is longer than any of its kind");
  if (have == 0) return Status(Errc::kInvalidArgument, "the file is empty");
  buffer.shrink_to(have);
  return buffer;
}

Status check_key_file(const struct stat& info) {
  if (!S_ISREG(info.st_mode)) return {Errc::kDenied, "the key file is not a regular file"};
  if (info.st_uid != geteuid() && info.st_uid != 0) {
    return {Errc::kDenied, "the key file belongs to another user",
            "chown it to the user that runs this program"};
  }
  if ((info.st_mode & kModeBits) != kKeyFileMode) {
    return {Errc::kDenied, "the key file's mode is not 0600",
            "chmod 600 the key file, and ask who may have read it"};
  }
  return {};
}

Status write_all(int fd, ByteView bytes) {
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t put = write(fd, bytes.data() + done, bytes.size() - done);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return Status::from_errno(errno, "write", "cannot write the key file");
    done += static_cast<std::size_t>(put);
  }
  if (fsync(fd) != 0) return Status::from_errno(errno, "fsync", "cannot make the key file durable");
  return {};
}

}  // namespace

Result<std::string> path_of_file_uri(std::string_view uri) {
  constexpr std::string_view kScheme = "file:";
  const Status not_a_path(Errc::kInvalidArgument, "not a file URI with an absolute path",
                          "write it as file:/absolute/path, without escapes");
  if (!uri.starts_with(kScheme)) return not_a_path;
  uri.remove_prefix(kScheme.size());
  if (uri.starts_with("///")) uri.remove_prefix(2);
  constexpr std::string_view kRefused("%?#\0", 4);
  if (!uri.starts_with('/') || uri.starts_with("//") || uri.ends_with('/')) return not_a_path;
  if (uri.find_first_of(kRefused) != std::string_view::npos) return not_a_path;
  return std::string(uri);
}

Result<std::string> pin_file_of(std::string_view pin_source) {
  constexpr std::string_view kCredential = "credential:";
  const Status no_file(Errc::kInvalidArgument, "pin-source does not name a file",
                       "write it as pin-source=file:/absolute/path, or pin-source=credential:NAME");
  if (!pin_source.starts_with(kCredential)) {
    auto path = path_of_file_uri(pin_source);
    return path.ok() ? std::move(path) : no_file;
  }
  const std::string_view name = pin_source.substr(kCredential.size());
  constexpr std::string_view kRefused("/\0", 2);
  if (name.empty() || name == "." || name == ".." ||
      name.find_first_of(kRefused) != std::string_view::npos) {
    return no_file;
  }
  // NOLINTNEXTLINE(concurrency-mt-unsafe): nobody here changes the environment
  const char* directory = std::getenv("CREDENTIALS_DIRECTORY");
  if (directory == nullptr || directory[0] != '/') {
    return Status(
        Errc::kNotFound, "pin-source names a credential, and this process was given none",
        "run it as a service with LoadCredential=, or use pin-source=file:/absolute/path");
  }
  return std::string(directory) + "/" + std::string(name);
}

Result<SecretBuffer> read_key_file(const std::string& path, std::size_t max_len) {
  // O_NONBLOCK: a FIFO under that name must not make us wait. It changes nothing for a regular
  // file.
  const Descriptor fd(
      open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (fd.get() < 0 && errno == ELOOP) {
    return Status(Errc::kDenied, "the key file is a symbolic link", "name the file itself");
  }
  if (fd.get() < 0) return Status::from_errno(errno, "open", "cannot open the key file");
  struct stat info {};
  if (fstat(fd.get(), &info) != 0)
    return Status::from_errno(errno, "fstat", "cannot look at the key file");
  REWRAP_TRY(check_key_file(info));
  return read_all(fd.get(), max_len);
}

Result<SecretBuffer> read_small_file(const std::string& path, std::size_t max_len) {
  const Descriptor fd(open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (fd.get() < 0) return Status::from_errno(errno, "open", "cannot open the file");
  struct stat info {};
  if (fstat(fd.get(), &info) != 0)
    return Status::from_errno(errno, "fstat", "cannot look at the file");
  if (!S_ISREG(info.st_mode)) return Status(Errc::kDenied, "the file is not a regular file");
  return read_all(fd.get(), max_len);
}

Result<SecretBuffer> read_pin_file(const std::string& path) {
  const Descriptor fd(open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (fd.get() < 0) {
    return Status::from_errno(errno, "open", "cannot open the PIN file",
                              "check the path after pin-source=file:");
  }
  struct stat info {};
  if (fstat(fd.get(), &info) != 0)
    return Status::from_errno(errno, "fstat", "cannot look at the PIN file");
  if (!S_ISREG(info.st_mode)) {
    return Status(Errc::kDenied, "the PIN file is not a regular file",
                  "check the path after pin-source=file:");
  }
  REWRAP_ASSIGN(SecretBuffer pin, read_all(fd.get(), kMaxPinLen + 1));
  const ByteView bytes = pin.expose_secret();
  const std::size_t len = bytes.back() == '\n' ? bytes.size() - 1 : bytes.size();
  if (len == 0) return Status(Errc::kInvalidArgument, "the PIN file holds no PIN");
  if (len > kMaxPinLen)
    return Status(Errc::kInvalidArgument, "the PIN file holds more than 256 bytes");
  pin.shrink_to(len);
  return pin;
}

Result<SecretBuffer> read_credentials_file(const std::string& path, std::size_t max_len) {
  const Descriptor fd(open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (fd.get() < 0) return Status::from_errno(errno, "open", "cannot open the credentials file");
  struct stat info {};
  if (fstat(fd.get(), &info) != 0)
    return Status::from_errno(errno, "fstat", "cannot look at the credentials file");
  if (!S_ISREG(info.st_mode))
    return Status(Errc::kDenied, "the credentials file is not a regular file");
  if ((info.st_mode & S_IRWXO) != 0) {
    return Status(Errc::kDenied, "the credentials file is open to everybody",
                  "chmod 600 it, and make new credentials if others may have read it");
  }
  return read_all(fd.get(), max_len);
}

Status write_key_file(const std::string& path, ByteView key) {
  Status status;
  {
    const Descriptor fd(
        open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, kKeyFileMode));
    if (fd.get() < 0) return Status::from_errno(errno, "open", "cannot make the key file");
    // The mode given to open is cut by the umask; a key file that no one can open is no use.
    if (fchmod(fd.get(), kKeyFileMode) != 0) {
      status = Status::from_errno(errno, "fchmod", "cannot set the key file's mode");
    }
    if (status.ok()) status = write_all(fd.get(), key);
  }
  if (status.ok()) status = sync_directory(parent_directory(path));
  if (!status.ok()) unlink(path.c_str());
  return status;
}

}  // namespace rewrap
