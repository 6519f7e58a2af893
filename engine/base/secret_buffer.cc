// SecretBuffer over memfd_secret or mlock; see the header for what is promised.
#include "engine/base/secret_buffer.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace rewrap {
namespace {

std::size_t page_len() {
  static const auto len = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  return len;
}

// map_secret_memfd maps `len` bytes at `at` that even the kernel's direct map does not hold. False
// where the kernel lacks memfd_secret or its lock limit is met; the caller then tries mlock.
bool map_secret_memfd(void* at, std::size_t len) {
#ifdef SYS_memfd_secret
  const long fd = syscall(SYS_memfd_secret, O_CLOEXEC);
  if (fd < 0) return false;
  const int file = static_cast<int>(fd);
  bool mapped = ftruncate(file, static_cast<off_t>(len)) == 0;
  mapped = mapped && mmap(at, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file, 0) == at;
  close(file);
  // A shared mapping cannot be wiped on fork, so the child must not have it at all.
  return mapped && madvise(at, len, MADV_DONTFORK) == 0;
#else
  (void)at;
  (void)len;
  return false;
#endif
}

bool map_locked_anonymous(void* at, std::size_t len) {
  const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
  return mmap(at, len, PROT_READ | PROT_WRITE, flags, -1, 0) == at && mlock(at, len) == 0 &&
         madvise(at, len, MADV_DONTDUMP) == 0 && madvise(at, len, MADV_WIPEONFORK) == 0;
}

}  // namespace

Result<SecretBuffer> SecretBuffer::create(std::size_t len) {
  if (len == 0 || len > kMaxLen)
    return Status(Errc::kInvalidArgument, "a secret buffer holds 1 byte to 16 MiB");
  const std::size_t page = page_len();
  const std::size_t body = (len + page - 1) / page * page;
  SecretBuffer buffer;
  void* map =
      mmap(nullptr, body + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (map == MAP_FAILED)
    return Status::from_errno(errno, "mmap", "cannot reserve memory for secrets");
  buffer.map_ = static_cast<std::uint8_t*>(map);
  buffer.map_len_ = body + 2 * page;
  std::uint8_t* at = buffer.map_ + page;
  if (!map_secret_memfd(at, body) && !map_locked_anonymous(at, body)) {
    return Status::from_native(Errc::kExhausted, Native::kPosix, static_cast<std::uint32_t>(errno),
                               strerrordesc_np(errno), "mlock", "cannot lock memory for secrets",
                               "raise the limit on locked memory (ulimit -l, LimitMEMLOCK=)");
  }
  // As close to the guard page behind it as 64-byte alignment allows, so that a real overrun
  // faults.
  buffer.data_ = at + (body - len) / 64 * 64;
  buffer.size_ = len;
  buffer.owner_pid_ = getpid();
  return buffer;
}

Result<SecretBuffer> SecretBuffer::copy_of(ByteView bytes) {
  REWRAP_ASSIGN(SecretBuffer buffer, create(bytes.size()));
  copy_bytes(buffer.expose_secret(), bytes);
  return buffer;
}

SecretBuffer::SecretBuffer(SecretBuffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      map_(std::exchange(other.map_, nullptr)),
      map_len_(std::exchange(other.map_len_, 0)),
      owner_pid_(other.owner_pid_) {}

SecretBuffer& SecretBuffer::operator=(SecretBuffer&& other) noexcept {
  if (this == &other) return *this;
  release();
  data_ = std::exchange(other.data_, nullptr);
  size_ = std::exchange(other.size_, 0);
  map_ = std::exchange(other.map_, nullptr);
  map_len_ = std::exchange(other.map_len_, 0);
  owner_pid_ = other.owner_pid_;
  return *this;
}

SecretBuffer::~SecretBuffer() { release(); }

void SecretBuffer::release() {
  if (data_ != nullptr && owner_pid_ == getpid()) explicit_bzero(data_, size_);
  if (map_ != nullptr) munmap(map_, map_len_);
  data_ = nullptr;
  map_ = nullptr;
  size_ = map_len_ = 0;
}

void SecretBuffer::shrink_to(std::size_t len) {
  if (len >= size_) return;
  explicit_bzero(data_ + len, size_ - len);
  size_ = len;
}

bool secrets_equal(ByteView a, ByteView b) {
  if (a.size() != b.size()) return false;
  std::uint8_t difference = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    difference = static_cast<std::uint8_t>(difference | (a[i] ^ b[i]));
  return difference == 0;
}

void wipe(ByteSpan bytes) {
  if (!bytes.empty()) explicit_bzero(bytes.data(), bytes.size());
}

Status harden_process() {
  const rlimit no_core{0, 0};
  if (setrlimit(RLIMIT_CORE, &no_core) != 0) {
    return Status::from_errno(errno, "setrlimit", "cannot switch core dumps off");
  }
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) {
    return Status::from_errno(errno, "prctl", "cannot make the process undumpable");
  }
  return {};
}

}  // namespace rewrap
