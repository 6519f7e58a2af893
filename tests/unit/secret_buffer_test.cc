// SecretBuffer: locked, fenced, absent from child processes and core dumps, wiped; by memfd_secret
// and by mlock.
#include "engine/base/secret_buffer.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <concepts>
#include <cstddef>
#include <fstream>
#include <ostream>
#include <sstream>
#include <string>
#include <type_traits>
#include <utility>

#include "tests/hsm/expect_code.h"

namespace rewrap {
namespace {

template <typename T>
concept Printable = requires(std::ostream& out, const T& value) {
  out << value;
};
static_assert(std::is_nothrow_move_constructible_v<SecretBuffer>);
static_assert(std::is_nothrow_move_assignable_v<SecretBuffer>);
static_assert(!std::is_copy_constructible_v<SecretBuffer> &&
              !std::is_copy_assignable_v<SecretBuffer>);
static_assert(!std::equality_comparable<SecretBuffer> && !Printable<SecretBuffer>);
static_assert(Printable<std::string>);  // or the line above would prove nothing

// The sanitizers make mlock do nothing, so what it promises cannot be seen there.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kMlockWorks = false;
#else
constexpr bool kMlockWorks = true;
#endif

constexpr int kUnprivilegedUser = 65534;
const auto kPageLen = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));

// Mapping is what /proc/self/smaps says of the mapping around an address.
struct Mapping {
  std::string name;
  std::string flags;  // of VmFlags, e.g. " rd wr mr mw me lo dd "
  [[nodiscard]] bool has(const std::string& flag) const {
    return flags.find(" " + flag + " ") != std::string::npos;
  }
  [[nodiscard]] bool is_memfd_secret() const { return name.find("secretmem") != std::string::npos; }
};

Mapping mapping_of(const std::uint8_t* address) {
  const auto wanted = reinterpret_cast<std::uintptr_t>(address);
  std::ifstream smaps("/proc/self/smaps");
  Mapping mapping;
  bool inside = false;
  for (std::string line; std::getline(smaps, line);) {
    std::istringstream words(line);
    std::uintptr_t first = 0;
    std::uintptr_t end = 0;
    char dash = 0;
    if (words >> std::hex >> first >> dash >> end && dash == '-') {
      inside = first <= wanted && wanted < end;
      if (inside) mapping.name = line;
    }
    if (inside && line.rfind("VmFlags:", 0) == 0) mapping.flags = line.substr(8) + " ";
  }
  return mapping;
}

// without_memfd_secret makes the kernel answer ENOSYS, as one without it does. For good: only in a
// child process.
bool without_memfd_secret() {
  const auto jump_if = static_cast<std::uint16_t>(BPF_JMP | BPF_JEQ | BPF_K);
  const auto load_word = static_cast<std::uint16_t>(BPF_LD | BPF_W | BPF_ABS);
  const auto give = static_cast<std::uint16_t>(BPF_RET | BPF_K);
  sock_filter filter[] = {
      {load_word, 0, 0, offsetof(seccomp_data, nr)},
      {jump_if, 0, 1, SYS_memfd_secret},
      {give, 0, 0, SECCOMP_RET_ERRNO | ENOSYS},
      {give, 0, 0, SECCOMP_RET_ALLOW},
  };
  const sock_fprog program{4, filter};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

// run_in_child gives the exit status of `body` in a child process; 1000 and the signal if one ended
// it.
template <typename Body>
int run_in_child(Body body) {
  const pid_t child = fork();
  if (child == 0) _exit(body());
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child) return -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

constexpr int kYes = 40;
constexpr int kNo = 41;
constexpr int kCannotTell = 42;
int yes_or_no(bool yes) { return yes ? kYes : kNo; }

TEST(SecretBuffer, IsZeroAtBirthAndHoldsWhatIsWritten) {
  for (const std::size_t len : {std::size_t{1}, std::size_t{32}, std::size_t{63}, std::size_t{64},
                                kPageLen - 1, kPageLen, kPageLen + 1, std::size_t{100000}}) {
    auto buffer = SecretBuffer::create(len);
    ASSERT_OK(buffer);
    const ByteSpan bytes = buffer->expose_secret();
    ASSERT_EQ(bytes.size(), len);
    EXPECT_FALSE(buffer->empty());
    EXPECT_TRUE(std::all_of(bytes.begin(), bytes.end(), [](std::uint8_t b) { return b == 0; }));
    std::fill(bytes.begin(), bytes.end(), std::uint8_t{0xa5});
    EXPECT_EQ(buffer->expose_secret().back(), 0xa5);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(bytes.data()) % 64, 0U);
  }
}

TEST(SecretBuffer, LenHasLimits) {
  EXPECT_CODE(SecretBuffer::create(0), Errc::kInvalidArgument);
  EXPECT_CODE(SecretBuffer::create(SecretBuffer::kMaxLen + 1), Errc::kInvalidArgument);
  EXPECT_CODE(SecretBuffer::create(SIZE_MAX), Errc::kInvalidArgument);
  EXPECT_CODE(SecretBuffer::copy_of({}), Errc::kInvalidArgument);
}

TEST(SecretBuffer, CopyIsACopy) {
  Bytes bytes = {1, 2, 3};
  auto buffer = SecretBuffer::copy_of(bytes);
  ASSERT_OK(buffer);
  bytes[0] = 9;
  EXPECT_EQ(encode_hex(buffer->expose_secret()), "010203");
}

TEST(SecretBuffer, IsLockedAndNotDumped) {
  auto buffer = SecretBuffer::create(100);
  ASSERT_OK(buffer);
  const Mapping mapping = mapping_of(buffer->expose_secret().data());
  EXPECT_TRUE(mapping.has("lo")) << mapping.flags;
  EXPECT_TRUE(mapping.has("dd")) << mapping.flags;
  EXPECT_TRUE(mapping.has("dc") || mapping.has("wf")) << mapping.flags;
}

// The control of the test above: ordinary memory has none of these.
TEST(SecretBuffer, OrdinaryMemoryIsNotLocked) {
  const Bytes bytes(100);
  const Mapping mapping = mapping_of(bytes.data());
  ASSERT_TRUE(mapping.has("rd")) << mapping.flags;
  for (const char* flag : {"lo", "dd", "dc", "wf"}) EXPECT_FALSE(mapping.has(flag)) << flag;
}

TEST(SecretBuffer, WithoutMemfdSecretIsLockedNotDumpedAndWipedOnFork) {
  if (!kMlockWorks) GTEST_SKIP() << "mlock does nothing under this sanitizer";
  const int answer = run_in_child([] {
    if (!without_memfd_secret()) return kCannotTell;
    auto buffer = SecretBuffer::create(100);
    if (!buffer.ok()) return kCannotTell;
    const Mapping mapping = mapping_of(buffer->expose_secret().data());
    return yes_or_no(!mapping.is_memfd_secret() && mapping.has("lo") && mapping.has("dd") &&
                     mapping.has("wf"));
  });
  EXPECT_EQ(answer, kYes);
}

// reads_through_proc says whether the bytes can be read the way a debugger of the same user would.
bool reads_through_proc(const std::uint8_t* address) {
  const int memory = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
  std::uint8_t byte = 0;
  const bool read_it =
      pread(memory, &byte, 1, static_cast<off_t>(reinterpret_cast<std::uintptr_t>(address))) == 1;
  close(memory);
  return read_it;
}

TEST(SecretBuffer, MemfdSecretCannotBeReadThroughProc) {
  auto buffer = SecretBuffer::create(100);
  ASSERT_OK(buffer);
  const std::uint8_t* address = buffer->expose_secret().data();
  if (!mapping_of(address).is_memfd_secret()) GTEST_SKIP() << "this kernel has no memfd_secret";
  const Bytes ordinary(100);
  EXPECT_TRUE(reads_through_proc(ordinary.data()));
  EXPECT_FALSE(reads_through_proc(address));
}

// finds_in_fork says whether a forked child finds the first byte of `bytes` (which is not zero) as
// the parent wrote it.
int finds_in_fork(ByteView bytes) {
  const volatile std::uint8_t* address = bytes.data();
  const std::uint8_t written = *address;
  return run_in_child([=] { return yes_or_no(*address == written); });
}

TEST(SecretBuffer, IsNotInAForkedChild) {
  auto buffer = SecretBuffer::copy_of(Bytes(100, 0x77));
  ASSERT_OK(buffer);
  EXPECT_NE(finds_in_fork(buffer->expose_secret()), kYes);
  EXPECT_EQ(buffer->expose_secret()[0], 0x77);
  const Bytes ordinary(100, 0x77);
  EXPECT_EQ(finds_in_fork(ordinary), kYes);  // the control
}

TEST(SecretBuffer, WithoutMemfdSecretIsNotInAForkedChildEither) {
  const int answer = run_in_child([] {
    if (!without_memfd_secret()) return kCannotTell;
    auto buffer = SecretBuffer::copy_of(Bytes(100, 0x77));
    return buffer.ok() ? finds_in_fork(buffer->expose_secret()) : kCannotTell;
  });
  EXPECT_EQ(answer, kNo);
}

std::uint8_t read_byte(const std::uint8_t* address) {
  return *static_cast<const volatile std::uint8_t*>(address);
}

TEST(SecretBufferDeathTest, GuardPagesStandOnBothSides) {
  auto buffer = SecretBuffer::create(2 * kPageLen);
  ASSERT_OK(buffer);
  const ByteView bytes = buffer->expose_secret();
  read_byte(bytes.data());
  read_byte(bytes.data() + bytes.size() - 1);
  EXPECT_DEATH(read_byte(bytes.data() - 1), "");
  EXPECT_DEATH(read_byte(bytes.data() + bytes.size()), "");
}

// A read beside a buffer may also fault because nothing happens to be there; the guard must be
// there of its own.
TEST(SecretBuffer, GuardPagesAreMappedAndClosed) {
  auto buffer = SecretBuffer::create(2 * kPageLen);
  ASSERT_OK(buffer);
  const ByteView bytes = buffer->expose_secret();
  for (const std::uint8_t* guard : {bytes.data() - 1, bytes.data() + bytes.size()}) {
    const Mapping mapping = mapping_of(guard);
    EXPECT_FALSE(mapping.name.empty());
    EXPECT_FALSE(mapping.has("rd") || mapping.has("wr") || mapping.has("ex")) << mapping.flags;
  }
}

TEST(SecretBufferDeathTest, AShortBufferEndsWithin64BytesOfItsGuardPage) {
  auto buffer = SecretBuffer::create(33);
  ASSERT_OK(buffer);
  const ByteView bytes = buffer->expose_secret();
  EXPECT_DEATH(read_byte(bytes.data() + bytes.size() + 64), "");
  EXPECT_DEATH(read_byte(bytes.data() - kPageLen), "");
}

// released gives the address of a buffer that was full of `byte` and is no more.
std::uint8_t* released(std::size_t len, std::uint8_t byte) {
  auto buffer = SecretBuffer::create(len);
  if (!buffer.ok()) return nullptr;
  const ByteSpan bytes = buffer->expose_secret();
  std::fill(bytes.begin(), bytes.end(), byte);
  return bytes.data();
}

TEST(SecretBuffer, ALargeOneIsUnmappedWhenReleased) {
  constexpr std::size_t kLen = std::size_t{4} << 20;
  std::uint8_t* page = released(kLen, 1);
  ASSERT_NE(page, nullptr);
  unsigned char resident = 0;
  EXPECT_EQ(mincore(page, kPageLen, &resident), -1);
  EXPECT_EQ(errno, ENOMEM);
}

TEST(SecretBufferDeathTest, IsOutOfReachWhenReleased) {
  std::uint8_t* address = released(kPageLen, 0x5a);
  ASSERT_NE(address, nullptr);
  const Mapping mapping = mapping_of(address);
  EXPECT_FALSE(mapping.has("rd") || mapping.has("wr") || mapping.has("ex")) << mapping.flags;
  EXPECT_DEATH(read_byte(address), "");
}

// What a buffer held is gone before its memory serves the next. In a child, which has nothing
// released yet, so that it does not matter what ran before.
TEST(SecretBuffer, IsZeroWhenItsMemoryServesAgain) {
  EXPECT_EQ(run_in_child([] {
              const std::uint8_t* first = released(kPageLen + 100, 0x5a);
              auto buffer = SecretBuffer::create(2 * kPageLen);  // of the same pages, all of them
              if (!buffer.ok()) return kCannotTell;
              const ByteView bytes = buffer->expose_secret();
              const bool is_same = bytes.data() <= first && first < bytes.data() + bytes.size();
              if (!is_same) return kCannotTell;
              return yes_or_no(std::all_of(bytes.begin(), bytes.end(),
                                           [](std::uint8_t byte) { return byte == 0; }));
            }),
            kYes);
}

// A child inherits what its parent released, if at all, without the lock.
int child_gets_locked_memory(bool memfd_secret) {
  if (!memfd_secret && !without_memfd_secret()) return kCannotTell;
  if (released(kPageLen, 0x33) == nullptr) return kCannotTell;
  return run_in_child([] {
    auto buffer = SecretBuffer::create(kPageLen);
    if (!buffer.ok()) return kCannotTell;
    const Mapping mapping = mapping_of(buffer->expose_secret().data());
    return yes_or_no(mapping.has("lo") && mapping.has("dd"));
  });
}

TEST(SecretBuffer, AForkedChildDoesNotTakeWhatItsParentReleased) {
  if (!kMlockWorks) GTEST_SKIP() << "mlock does nothing under this sanitizer";
  for (const bool memfd_secret : {true, false})
    EXPECT_EQ(run_in_child([=] { return child_gets_locked_memory(memfd_secret); }), kYes);
}

// Released memory stays locked, but not at the cost of a buffer that is wanted.
int gets_the_room_of_released_buffers(bool memfd_secret) {
  const rlimit limit{64 << 10, 64 << 10};
  if (setrlimit(RLIMIT_MEMLOCK, &limit) != 0) return kCannotTell;
  if (geteuid() == 0 && setresuid(kUnprivilegedUser, kUnprivilegedUser, kUnprivilegedUser) != 0)
    return kCannotTell;
  if (!memfd_secret && !without_memfd_secret()) return kCannotTell;
  if (released(48 << 10, 0x11) == nullptr) return kCannotTell;
  return yes_or_no(SecretBuffer::create(56 << 10).ok());
}

TEST(SecretBuffer, ReleasedMemoryMakesRoom) {
  if (!kMlockWorks) GTEST_SKIP() << "mlock does nothing under this sanitizer";
  for (const bool memfd_secret : {true, false})
    EXPECT_EQ(run_in_child([=] { return gets_the_room_of_released_buffers(memfd_secret); }), kYes);
}

TEST(SecretBuffer, MovedFromIsEmpty) {
  auto made = SecretBuffer::copy_of(Bytes(10, 3));
  ASSERT_OK(made);
  SecretBuffer first = std::move(made).value();
  const std::uint8_t* address = first.expose_secret().data();
  SecretBuffer second = std::move(first);
  // NOLINTNEXTLINE(bugprone-use-after-move): what is left is the question
  EXPECT_TRUE(first.empty() && first.expose_secret().data() == nullptr);
  EXPECT_EQ(second.expose_secret().data(), address);
  EXPECT_EQ(second.expose_secret()[9], 3);
}

TEST(SecretBuffer, MoveAssignmentReleasesWhatWasThere) {
  SecretBuffer target = SecretBuffer::create(kPageLen).value();
  std::uint8_t* old_page = target.expose_secret().data();
  SecretBuffer source = SecretBuffer::copy_of(Bytes(10, 4)).value();
  target = std::move(source);
  EXPECT_EQ(target.size(), 10U);
  EXPECT_EQ(target.expose_secret()[0], 4);
  // NOLINTNEXTLINE(bugprone-use-after-move): as above
  EXPECT_TRUE(source.empty());
  EXPECT_FALSE(mapping_of(old_page).has("rd"));
  SecretBuffer& itself = target;
  target = std::move(itself);
  EXPECT_EQ(target.size(), 10U);
}

TEST(SecretBuffer, DefaultIsEmpty) {
  const SecretBuffer buffer;
  EXPECT_TRUE(buffer.empty());
  EXPECT_EQ(buffer.size(), 0U);
}

TEST(SecretBuffer, ShrinkWipesWhatItGivesUp) {
  SecretBuffer buffer = SecretBuffer::copy_of(Bytes(48, 0x99)).value();
  const ByteView before = buffer.expose_secret();
  buffer.shrink_to(100);
  EXPECT_EQ(buffer.size(), 48U);
  buffer.shrink_to(16);
  EXPECT_EQ(buffer.size(), 16U);
  for (std::size_t i = 0; i < before.size(); ++i) EXPECT_EQ(before[i], i < 16 ? 0x99 : 0) << i;
  buffer.shrink_to(0);
  EXPECT_TRUE(buffer.empty());
  EXPECT_EQ(before[0], 0);
}

// Root may lock without limit, so the child becomes somebody else first.
int exhausts_lock_limit(std::size_t len, bool memfd_secret) {
  const rlimit limit{64 << 10, 64 << 10};
  if (setrlimit(RLIMIT_MEMLOCK, &limit) != 0) return kCannotTell;
  if (geteuid() == 0 && setresuid(kUnprivilegedUser, kUnprivilegedUser, kUnprivilegedUser) != 0)
    return kCannotTell;
  if (!memfd_secret && !without_memfd_secret()) return kCannotTell;
  const auto buffer = SecretBuffer::create(len);
  if (!buffer.ok() &&
      (buffer.status().code() != Errc::kExhausted || *buffer.status().hint() == '\0')) {
    return kCannotTell;
  }
  return yes_or_no(!buffer.ok());
}

TEST(SecretBuffer, LockLimitIsAnErrorAndNothingWeakerIsTried) {
  if (!kMlockWorks) GTEST_SKIP() << "mlock does nothing under this sanitizer";
  for (const bool memfd_secret : {true, false}) {
    EXPECT_EQ(run_in_child([=] { return exhausts_lock_limit(1 << 20, memfd_secret); }), kYes);
    EXPECT_EQ(run_in_child([=] { return exhausts_lock_limit(4096, memfd_secret); }), kNo);
  }
}

TEST(SecretsEqual, ComparesEveryBitAndTheLens) {
  const Bytes a(33, 0x5c);
  EXPECT_TRUE(secrets_equal(a, a));
  EXPECT_TRUE(secrets_equal({}, {}));
  for (std::size_t bit = 0; bit < 8 * a.size(); ++bit) {
    Bytes b = a;
    b[bit / 8] = static_cast<std::uint8_t>(b[bit / 8] ^ (1U << (bit % 8)));
    EXPECT_FALSE(secrets_equal(a, b)) << bit;
  }
  EXPECT_FALSE(secrets_equal(a, ByteView(a).first(32)));
  EXPECT_FALSE(secrets_equal({}, a));
}

TEST(Wipe, OverwritesAllAndTakesNothing) {
  Bytes bytes(70, 0xff);
  wipe(ByteSpan(bytes).subspan(1, 68));
  EXPECT_EQ(bytes.front(), 0xff);
  EXPECT_EQ(bytes.back(), 0xff);
  EXPECT_TRUE(
      std::all_of(bytes.begin() + 1, bytes.end() - 1, [](std::uint8_t b) { return b == 0; }));
  wipe({});
}

TEST(HardenProcess, SwitchesCoreDumpsAndTracingOff) {
  const int answer = run_in_child([] {
    if (prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 1) return kCannotTell;
    if (!harden_process().ok()) return kNo;
    rlimit core{1, 1};
    getrlimit(RLIMIT_CORE, &core);
    return yes_or_no(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0 && core.rlim_cur == 0 &&
                     core.rlim_max == 0);
  });
  EXPECT_EQ(answer, kYes);
}

}  // namespace
}  // namespace rewrap
