// SecretBuffer over memfd_secret or mlock; see the header for what is promised.
#include "engine/base/secret_buffer.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <bit>
#include <cerrno>
#include <mutex>
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

// IdleMappings keeps a few mappings of released buffers for the next ones, wiped and closed to
// every access: a transform takes a buffer, and making one anew costs the kernel a file, three
// mappings and a change of its own page tables. Whoever cannot have the lock at once does without,
// so that a child forked while another thread held it goes on.
class IdleMappings {
 public:
  // take gives an open mapping of `map_len` bytes, guard pages included; null if there is none.
  std::uint8_t* take(std::size_t map_len) {
    const std::unique_lock lock(mutex_, std::try_to_lock);
    if (!lock) return nullptr;
    forget_if_forked();
    for (std::size_t i = 0; i < num_; ++i) {
      if (mappings_[i].len != map_len) continue;
      std::uint8_t* map = mappings_[i].at;
      if (!protect(map, map_len, PROT_READ | PROT_WRITE)) return nullptr;
      mappings_[i] = mappings_[--num_];
      total_len_ -= map_len;
      return map;
    }
    return nullptr;
  }

  // keep takes a wiped mapping of this process; false if it has to be unmapped instead.
  bool keep(std::uint8_t* map, std::size_t map_len) {
    const std::unique_lock lock(mutex_, std::try_to_lock);
    if (!lock) return false;
    forget_if_forked();
    if (num_ == mappings_.size() || total_len_ + map_len > kMaxTotalLen) return false;
    if (!protect(map, map_len, PROT_NONE)) return false;
    mappings_[num_++] = {map, map_len};
    total_len_ += map_len;
    return true;
  }

  // unmap_all makes room under the limit on locked memory.
  void unmap_all() {
    const std::unique_lock lock(mutex_, std::try_to_lock);
    if (!lock) return;
    forget_if_forked();
    while (num_ > 0) {
      --num_;
      munmap(mappings_[num_].at, mappings_[num_].len);
    }
    total_len_ = 0;
  }

 private:
  static constexpr std::size_t kMaxTotalLen = std::size_t{1} << 20;
  struct Mapping {
    std::uint8_t* at = nullptr;
    std::size_t len = 0;
  };

  static bool protect(std::uint8_t* map, std::size_t map_len, int access) {
    return mprotect(map + page_len(), map_len - 2 * page_len(), access) == 0;
  }

  // A forked child has inherited the list, but not the memory.
  void forget_if_forked() {
    if (owner_pid_ != getpid()) num_ = total_len_ = 0;
    owner_pid_ = getpid();
  }

  std::mutex mutex_;
  std::array<Mapping, 64> mappings_;
  std::size_t num_ = 0;
  std::size_t total_len_ = 0;
  int owner_pid_ = 0;
};

constinit IdleMappings idle_mappings;

// body_len gives the length of whole pages for `len` bytes; a power of two while that is little, so
// that a mapping serves again more often.
std::size_t body_len(std::size_t len) {
  constexpr std::size_t kLittle = std::size_t{64} << 10;
  const std::size_t num_pages = (len + page_len() - 1) / page_len();
  return page_len() * (len <= kLittle ? std::bit_ceil(num_pages) : num_pages);
}

// map_new gives a mapping of `map_len` bytes whose outer pages are guards. Errors: as create().
Result<std::uint8_t*> map_new(std::size_t map_len) {
  const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  void* map = mmap(nullptr, map_len, PROT_NONE, flags, -1, 0);
  if (map == MAP_FAILED)
    return Status::from_errno(errno, "mmap", "cannot reserve memory for secrets");
  auto* at = static_cast<std::uint8_t*>(map);
  std::uint8_t* body = at + page_len();
  const std::size_t len = map_len - 2 * page_len();
  const auto lock_body = [&] {
    return map_secret_memfd(body, len) || map_locked_anonymous(body, len);
  };
  if (lock_body()) return at;
  idle_mappings.unmap_all();
  if (lock_body()) return at;
  const int error = errno;
  munmap(map, map_len);
  return Status::from_native(Errc::kExhausted, Native::kPosix, static_cast<std::uint32_t>(error),
                             strerrordesc_np(error), "mlock", "cannot lock memory for secrets",
                             "raise the limit on locked memory (ulimit -l, LimitMEMLOCK=)");
}

}  // namespace

Result<SecretBuffer> SecretBuffer::create(std::size_t len) {
  if (len == 0 || len > kMaxLen)
    return Status(Errc::kInvalidArgument, "a secret buffer holds 1 byte to 16 MiB");
  const std::size_t page = page_len();
  const std::size_t body = body_len(len);
  SecretBuffer buffer;
  buffer.map_len_ = body + 2 * page;
  buffer.map_ = idle_mappings.take(buffer.map_len_);
  if (buffer.map_ == nullptr) {
    REWRAP_ASSIGN(buffer.map_, map_new(buffer.map_len_));
  }
  // As close to the guard page behind it as 64-byte alignment allows, so that a real overrun
  // faults.
  buffer.data_ = buffer.map_ + page + (body - len) / 64 * 64;
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
  const bool is_owner = data_ != nullptr && owner_pid_ == getpid();
  if (is_owner) explicit_bzero(data_, size_);
  if (map_ != nullptr && !(is_owner && idle_mappings.keep(map_, map_len_))) munmap(map_, map_len_);
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
