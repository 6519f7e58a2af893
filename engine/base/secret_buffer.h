// Locked memory for key bytes: never swapped, never in a core dump, never in a child process, wiped
// when released. Sizes are bytes. A SecretBuffer belongs to one thread at a time; different buffers
// may be used from any thread.
#ifndef REWRAP_ENGINE_BASE_SECRET_BUFFER_H_
#define REWRAP_ENGINE_BASE_SECRET_BUFFER_H_

#include <cstddef>
#include <cstdint>
#include <iosfwd>

#include "engine/base/bytes.h"
#include "engine/base/status.h"

namespace rewrap {

// SecretBuffer owns `size()` bytes in a mapping of its own with a guard page on either side:
// memfd_secret where the kernel has it (other processes and the kernel's own mappings cannot read
// it), else locked anonymous memory with DONTDUMP and WIPEONFORK. One mapping per buffer because
// mlock does not nest: unlocking one buffer must never unlock its page-mates. A released mapping
// may wait for the next buffer of its size: wiped, locked and closed to every access, up to 1 MiB
// of them in all. Meant for keys and batch scratch, not for millions of small objects (making one
// costs a few us, or about 100 us where none waits).
class SecretBuffer {
 public:
  SecretBuffer() = default;  // empty; size() == 0

  // create gives `len` zero bytes, 1 to kMaxLen.
  // Errors: kInvalidArgument  len out of range
  //         kExhausted        the kernel refuses to lock more memory (RLIMIT_MEMLOCK); nothing
  //         weaker is tried
  static Result<SecretBuffer> create(std::size_t len);

  // copy_of gives a buffer holding a copy of `bytes`, which the caller still has to wipe.
  static Result<SecretBuffer> copy_of(ByteView bytes);

  SecretBuffer(SecretBuffer&& other) noexcept;
  SecretBuffer& operator=(SecretBuffer&& other) noexcept;
  ~SecretBuffer();

  // Copies multiply secrets, comparison leaks timing (use secrets_equal), printing leaks
  // everything.
  SecretBuffer(const SecretBuffer&) = delete;
  SecretBuffer& operator=(const SecretBuffer&) = delete;
  bool operator==(const SecretBuffer&) const = delete;
  friend std::ostream& operator<<(std::ostream&, const SecretBuffer&) = delete;

  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] bool empty() const { return size_ == 0; }

  // expose_secret is the one way in: a word to grep for.
  [[nodiscard]] ByteSpan expose_secret() { return {data_, size_}; }
  [[nodiscard]] ByteView expose_secret() const { return {data_, size_}; }

  // shrink_to lowers size() to `len` (at most size()) and wipes the rest.
  void shrink_to(std::size_t len);

  static constexpr std::size_t kMaxLen = std::size_t{16} << 20;

 private:
  void release();

  std::uint8_t* data_ = nullptr;
  std::size_t size_ = 0;
  std::uint8_t* map_ = nullptr;  // the whole mapping, guard pages included
  std::size_t map_len_ = 0;
  int owner_pid_ = 0;  // a forked child does not have the memory, and must not touch it
};

// secrets_equal compares in time that depends on the lengths only. Buffers of unequal length are
// unequal.
bool secrets_equal(ByteView a, ByteView b);

// wipe overwrites bytes in a way that the compiler may not remove.
void wipe(ByteSpan bytes);

// harden_process keeps this process's memory out of core dumps and away from ptrace by its own
// user. Mains call it first. Errors: kIo if the kernel refuses.
Status harden_process();

}  // namespace rewrap

#endif  // REWRAP_ENGINE_BASE_SECRET_BUFFER_H_
