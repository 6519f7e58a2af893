// Reads all memory of the process after and during work on known keys, and looks for the keys.
//
// The fused kernels promise that a plain key exists in registers only. So a process that never
// holds the keys in another way (they are wrapped by a child process; the search holds them masked)
// may not have one semiblock of them anywhere: not in rows, buffers, stacks, heap, nor what
// libraries keep. All others have to be caught.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <functional>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <unordered_set>
#include <vector>

#include "aesni/kernels.h"
#include "tests/hsm/expect_code.h"
#include "tests/unit/implementation_param.h"

namespace rewrap {
namespace {

constexpr std::size_t kNumKeys = 4096;
constexpr std::size_t kMinKeyLen = 8 * aesni::kMinSemiblocks;
constexpr std::size_t kMaxKeyLen = 8 * aesni::kMaxSemiblocks;
// What the search holds is the semiblock XORed with this, which says nothing to somebody who looks
// for keys.
constexpr std::uint64_t kMask = 0x9e3779b97f4a7c15;

// masked gives a semiblock of a key, masked: numbers in random order (SplitMix64).
std::uint64_t masked(std::size_t key_len, std::size_t key, std::size_t semiblock) {
  std::uint64_t v =
      (key_len << 48 | key << 16 | semiblock) * 0xbf58476d1ce4e5b9 + 0x94d049bb133111eb;
  v = (v ^ v >> 30) * 0xbf58476d1ce4e5b9;
  v = (v ^ v >> 27) * 0x94d049bb133111eb;
  return v ^ v >> 31;
}

// without_memfd_secret makes SecretBuffer use locked ordinary memory, which a process can read of
// itself by /proc, so that the search sees rows, schedules and scratch too.
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

struct Mapping {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  std::string name;
};

std::vector<Mapping> readable_mappings() {
  std::vector<Mapping> mappings;
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    std::istringstream fields(line);
    Mapping mapping;
    char dash = 0;
    std::string mode;
    std::string skipped;  // offset, device, inode
    fields >> std::hex >> mapping.begin >> dash >> mapping.end >> mode >> skipped >> skipped >>
        skipped;
    if (fields.fail() || mode[0] != 'r') continue;
    std::getline(fields >> std::ws, mapping.name);
    mappings.push_back(std::move(mapping));
  }
  return mappings;
}

// Scan is what one look at the memory gave.
struct Scan {
  std::uint64_t num_bytes = 0;
  std::uint64_t num_found = 0;  // whole semiblocks of keys
  std::string where;            // the first mapping with one
  std::string unreadable;       // the first mapping that was not read
};

// Search looks for semiblocks of the keys of some lengths, at every byte. 16 bytes of a key,
// wherever they start, hold one whole semiblock.
class Search {
 public:
  explicit Search(const std::vector<std::size_t>& key_lens)
      : seen_(kNumBuckets / 8), window_(kWindowLen + 8) {
    for (const std::size_t key_len : key_lens) {
      for (std::size_t k = 0; k < kNumKeys; ++k) {
        for (std::size_t i = 0; i < key_len / 8; ++i) add(masked(key_len, k, i));
      }
    }
  }

  Scan run() {
    Scan scan;
    const int memory = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
    for (const Mapping& mapping : readable_mappings()) {
      const std::uint64_t found_before = scan.num_found;
      const bool is_read = scan_mapping(memory, mapping, &scan);
      // The kernel's own pages for clocks and calls.
      if (!is_read && mapping.name.rfind("[v", 0) != 0 && scan.unreadable.empty()) {
        scan.unreadable = mapping.name.empty() ? "without a name" : mapping.name;
      }
      if (scan.num_found != found_before && scan.where.empty()) {
        scan.where = mapping.name.empty() ? "anonymous memory" : mapping.name;
      }
    }
    close(memory);
    wipe(window_);  // what was found must not be found again in what the search leaves behind
    return scan;
  }

 private:
  static constexpr std::size_t kNumBuckets = std::size_t{1} << 23;
  static constexpr std::size_t kWindowLen = std::size_t{1} << 20;

  static std::size_t bucket(std::uint64_t semiblock) {
    return (semiblock * 0xff51afd7ed558ccd) >> 41;
  }

  void add(std::uint64_t semiblock) {
    semiblocks_.insert(semiblock);
    const std::size_t at = bucket(semiblock);
    seen_[at / 8] = static_cast<std::uint8_t>(seen_[at / 8] | 1U << at % 8);
  }

  // A mapping may go away while other threads work; what is left unread is told. Windows overlap by
  // 7 bytes.
  bool scan_mapping(int memory, const Mapping& mapping, Scan* scan) {
    const auto own = reinterpret_cast<std::uint64_t>(window_.data());
    std::uint64_t at = mapping.begin;
    while (at < mapping.end) {
      const std::size_t len = std::min<std::uint64_t>(kWindowLen, mapping.end - at);
      const ssize_t got = pread(memory, window_.data(), len, static_cast<off_t>(at));
      if (got <= 0) return false;
      const auto num = static_cast<std::size_t>(got);
      scan->num_bytes += num;
      // The window of the search itself is the only memory not looked at: it holds what the window
      // before had.
      hide_own(at, num, own);
      for (std::size_t i = 0; i + 8 <= num; ++i)
        scan->num_found += is_known(window_.data() + i) ? 1 : 0;
      if (num < 8 || at + num == mapping.end) return at + num == mapping.end;
      at += num - 7;
    }
    return true;
  }

  void hide_own(std::uint64_t at, std::size_t num, std::uint64_t own) {
    const std::uint64_t begin = std::max(at, own);
    const std::uint64_t end = std::min(at + num, own + window_.size());
    if (begin < end) std::memset(window_.data() + (begin - at), 0, end - begin);
  }

  [[nodiscard]] bool is_known(const std::uint8_t* at) const {
    std::uint64_t semiblock = 0;
    std::memcpy(&semiblock, at, 8);
    semiblock ^= kMask;
    const std::size_t b = bucket(semiblock);
    return (seen_[b / 8] >> b % 8 & 1) != 0 && semiblocks_.contains(semiblock);
  }

  std::unordered_set<std::uint64_t> semiblocks_;
  std::vector<std::uint8_t>
      seen_;  // one bit for many semiblocks, which answers nearly all questions
  std::vector<std::uint8_t> window_;
};

// wrapped_elsewhere has a child process make the keys and wrap them, so that they never exist in
// this one. GCM has more on its side, and additional data.
Bytes wrapped_elsewhere(WrapAlgorithm algorithm, std::size_t key_len, ByteView kek,
                        const GcmSide& gcm = {}, const AadColumn& aad = {}) {
  const std::size_t len = kNumKeys * wrapped_len(algorithm, key_len);
  void* shared = mmap(nullptr, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) return {};
  auto* wraps = static_cast<std::uint8_t*>(shared);
  const pid_t child = fork();
  if (child == 0) {
    Bytes keys(kNumKeys * key_len);
    for (std::size_t k = 0; k < kNumKeys; ++k) {
      for (std::size_t i = 0; i < key_len / 8; ++i) {
        const std::uint64_t semiblock = masked(key_len, k, i) ^ kMask;
        std::memcpy(&keys[k * key_len + 8 * i], &semiblock, 8);
      }
    }
    const Kek own_kek = test::make_kek(kek);
    Bytes verdicts(kNumKeys);
    auto wrapper = implementations().back().make(
        {key_len, std::nullopt, WrapSide{algorithm, &own_kek, gcm}, false});
    const Batch batch{keys, ByteSpan(wraps, len), verdicts, {}, aad};
    _exit(wrapper.ok() && wrapper.value()->run(batch).ok() ? 0 : 1);
  }
  int status = -1;
  Bytes result;
  if (child > 0 && waitpid(child, &status, 0) == child && status == 0)
    result.assign(wraps, wraps + len);
  munmap(shared, len);
  return result;
}

// is_register_only says of whom the promise is made. Whoever is not here has to be caught.
bool is_register_only(const Implementation& implementation) {
  const std::string name = implementation.name;
  return name == "vaes512" || name == "vaes256" || name == "aesni";
}

// is_register_only_gcm says the same of re-wraps from GCM to GCM: others open and wrap in two
// steps.
bool is_register_only_gcm(const Implementation& implementation) {
  return std::string(implementation.name) == "vaes512";
}

// Worker runs a piece of work over and over in a thread of its own.
class Worker {
 public:
  explicit Worker(std::function<bool()> work)
      : thread_([this, work = std::move(work)] {
          while (!stop_) {
            if (!work()) failed_ = true;
            ++num_runs_;
          }
        }) {}
  ~Worker() { stop(); }
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  void wait_for_runs(std::uint64_t num) const {
    while (num_runs_ < num) std::this_thread::yield();
  }
  // stop gives the number of runs, or 0 if one of them failed.
  std::uint64_t stop() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
    return failed_ ? 0 : num_runs_.load();
  }

 private:
  std::atomic<bool> stop_{false};
  std::atomic<bool> failed_{false};
  std::atomic<std::uint64_t> num_runs_{0};
  std::thread thread_;
};

class MemoryScan : public test::ImplementationTest {
 protected:
  static constexpr int kScansDuring = 4;
  static constexpr int kMaxScansOfControl = 2000;

  // Before the first SecretBuffer of a test.
  static void SetUpTestSuite() { ASSERT_TRUE(without_memfd_secret()); }

  static bool all_intact(ByteView verdicts) {
    return std::all_of(verdicts.begin(), verdicts.end(),
                       [](std::uint8_t v) { return v == kIntact; });
  }

  static void expect_clean(const Scan& scan) {
    EXPECT_EQ(scan.num_found, 0U) << "semiblocks of keys lie in " << scan.where;
    EXPECT_EQ(scan.unreadable, "");
    EXPECT_GT(scan.num_bytes, std::uint64_t{1} << 20);
  }

  // scan_while scans while `work` runs in another thread, each time after at least one more run;
  // and once after it.
  static void scan_while(Search* search, const std::function<bool()>& work) {
    Worker worker(work);
    for (int i = 1; i <= kScansDuring; ++i) {
      worker.wait_for_runs(static_cast<std::uint64_t>(i));
      expect_clean(search->run());
    }
    EXPECT_GT(worker.stop(), 0U);
    expect_clean(search->run());
  }

  test::Random random_{77};
  const Bytes from_bytes_ = random_.bytes(32);
  const Kek from_kek_ = test::make_kek(from_bytes_);
  const Kek to_kek_ = test::make_kek(random_.bytes(32));
};

class RegisterOnly : public MemoryScan {};
TEST_P(RegisterOnly, KeysAreNowhereInMemory) {
  struct Work {
    WrapAlgorithm algorithm;
    std::size_t key_len;
  };
  std::vector<Work> works{{WrapAlgorithm::kKwp, 32}};
  for (std::size_t key_len = kMinKeyLen; key_len <= kMaxKeyLen; key_len += 8) {
    works.push_back({WrapAlgorithm::kKw, key_len});
  }
  for (const auto& [algorithm, key_len] : works) {
    SCOPED_TRACE(testing::Message() << algorithm_name(algorithm) << " " << key_len);
    const Bytes wraps = wrapped_elsewhere(algorithm, key_len, from_bytes_);
    ASSERT_FALSE(wraps.empty());
    const auto rewrapper = this->rewrapper(key_len, {algorithm, &from_kek_}, {algorithm, &to_kek_});
    const auto before = checker(key_len, {algorithm, &from_kek_});
    const auto after = checker(key_len, {algorithm, &to_kek_});
    Bytes out(wraps.size());
    Bytes verdicts(kNumKeys);
    Search search({key_len});
    scan_while(&search, [&] {
      return before->run(wraps, {}, verdicts).ok() && all_intact(verdicts) &&
             rewrapper->run(wraps, out, verdicts).ok() && all_intact(verdicts) &&
             after->run(out, {}, verdicts).ok() && all_intact(verdicts);
    });
  }
}

// Gcm is a re-wrap of records with additional data of the shape that backups have.
class Gcm : public MemoryScan {
 protected:
  static constexpr std::size_t kKeyLen = 32;
  static constexpr std::size_t kAadLen = 16;

  WrapSide side(const Kek& kek) { return {WrapAlgorithm::kGcm, &kek, {prefix_, &ivs_}}; }
  [[nodiscard]] AadColumn column() const { return {aad_, kAadLen, kAadLen}; }
  Bytes wraps() {
    return wrapped_elsewhere(WrapAlgorithm::kGcm, kKeyLen, from_bytes_, {prefix_, &ivs_}, column());
  }

  const Bytes prefix_ = random_.bytes(16);
  const Bytes aad_ = random_.bytes(kNumKeys * kAadLen);
  IvSource ivs_{7, 0, kMaxGcmWraps};
};

class GcmRegisterOnly : public Gcm {};
TEST_P(GcmRegisterOnly, KeysAreNowhereInMemory) {
  const Bytes wraps = this->wraps();
  ASSERT_FALSE(wraps.empty());
  const auto rewrapper = this->rewrapper(kKeyLen, side(from_kek_), side(to_kek_));
  const auto before = checker(kKeyLen, side(from_kek_));
  const auto after = checker(kKeyLen, side(to_kek_));
  Bytes out(wraps.size());
  Bytes verdicts(kNumKeys);
  Search search({kKeyLen});
  scan_while(&search, [&] {
    return before->run({wraps, {}, verdicts, column(), {}}).ok() && all_intact(verdicts) &&
           rewrapper->run({wraps, out, verdicts, column(), column()}).ok() &&
           all_intact(verdicts) && after->run({out, {}, verdicts, column(), {}}).ok() &&
           all_intact(verdicts);
  });
}

// expect_found scans while `work` runs in another thread, until keys are found.
void expect_found(Search* search, const std::function<bool()>& work, int max_scans) {
  Worker worker(work);
  Scan scan;
  int num_scans = 0;
  while (scan.num_found == 0 && num_scans < max_scans) {
    scan = search->run();
    ++num_scans;
  }
  EXPECT_GT(worker.stop(), 0U);
  EXPECT_GT(scan.num_found, 0U) << "after " << num_scans << " scans";
}

// Negative control: implementations that keep keys in memory while they work are caught at it by
// the same search.
class WithScratch : public MemoryScan {};
TEST_P(WithScratch, KeysInScratchAreFound) {
  const WrapAlgorithm algorithm = WrapAlgorithm::kKw;
  const Bytes wraps = wrapped_elsewhere(algorithm, 32, from_bytes_);
  ASSERT_FALSE(wraps.empty());
  const auto rewrapper = this->rewrapper(32, {algorithm, &from_kek_}, {algorithm, &to_kek_});
  Bytes out(wraps.size());
  Bytes verdicts(kNumKeys);
  Search search({32});
  expect_clean(search.run());
  expect_found(
      &search, [&] { return rewrapper->run(wraps, out, verdicts).ok() && all_intact(verdicts); },
      kMaxScansOfControl);
}

class GcmWithScratch : public Gcm {};
TEST_P(GcmWithScratch, KeysInScratchAreFound) {
  const Bytes wraps = this->wraps();
  ASSERT_FALSE(wraps.empty());
  const auto rewrapper = this->rewrapper(kKeyLen, side(from_kek_), side(to_kek_));
  Bytes out(wraps.size());
  Bytes verdicts(kNumKeys);
  Search search({kKeyLen});
  expect_clean(search.run());
  const Batch batch{wraps, out, verdicts, column(), column()};
  expect_found(
      &search, [&] { return rewrapper->run(batch).ok() && all_intact(verdicts); },
      kMaxScansOfControl);
}

// Negative control: what an unwrap gives out is all found, every semiblock of every key, and gone
// once it is wiped.
class AnyImplementation : public MemoryScan {};
TEST_P(AnyImplementation, OpenedKeysAreFound) {
  for (const std::size_t key_len : {std::size_t{16}, std::size_t{32}, std::size_t{64}}) {
    const Bytes wraps = wrapped_elsewhere(WrapAlgorithm::kKw, key_len, from_bytes_);
    ASSERT_FALSE(wraps.empty());
    const auto unwrapper = this->unwrapper(key_len, {WrapAlgorithm::kKw, &from_kek_});
    Bytes keys(kNumKeys * key_len + 3);
    Bytes verdicts(kNumKeys);
    Search search({16, 32, 64});
    // At an odd address, to see that the search does not rely on alignment.
    ASSERT_OK(unwrapper->run(wraps, ByteSpan(keys).subspan(3), verdicts));
    ASSERT_TRUE(all_intact(verdicts));
    EXPECT_GE(search.run().num_found, kNumKeys * key_len / 8);
    wipe(keys);
    expect_clean(search.run());
  }
}

std::vector<Implementation> implementations_that(bool (*is_so)(const Implementation&), bool are) {
  std::vector<Implementation> some;
  for (const Implementation& implementation : implementations()) {
    if (is_so(implementation) == are) some.push_back(implementation);
  }
  return some;
}

INSTANTIATE_TEST_SUITE_P(Implementations, RegisterOnly,
                         testing::ValuesIn(implementations_that(is_register_only, true)),
                         test::implementation_name);
INSTANTIATE_TEST_SUITE_P(Implementations, GcmRegisterOnly,
                         testing::ValuesIn(implementations_that(is_register_only_gcm, true)),
                         test::implementation_name);
INSTANTIATE_TEST_SUITE_P(Implementations, GcmWithScratch,
                         testing::ValuesIn(implementations_that(is_register_only_gcm, false)),
                         test::implementation_name);
INSTANTIATE_TEST_SUITE_P(Implementations, WithScratch,
                         testing::ValuesIn(implementations_that(is_register_only, false)),
                         test::implementation_name);
REWRAP_FOR_EACH_IMPLEMENTATION(AnyImplementation);

}  // namespace
}  // namespace rewrap
