// Stands in front of libc's own: the program's symbols come before those of shared libraries.
#include "tests/api/sync_watch.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <string>
#include <vector>

namespace rewrap {
namespace {

struct Watch {
  std::mutex mutex;
  std::vector<std::string> synced;  // paths, one for each sync
  std::string failing;              // empty: none
  int num_good = 0;
  int num_bad = 0;
  std::string held;  // empty: none
  std::condition_variable released;
};

Watch& watch() {
  static Watch instance;
  return instance;
}

// note counts a sync, and says whether it is to happen.
bool note(int fd) {
  std::error_code error;
  const std::string path =
      std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(fd), error);
  Watch& state = watch();
  std::unique_lock lock(state.mutex);
  state.released.wait(lock, [&] { return state.held.empty() || !path.ends_with(state.held); });
  const bool chosen = !state.failing.empty() && path.ends_with(state.failing);
  if (chosen && state.num_good-- <= 0 && state.num_bad > 0) {
    --state.num_bad;
    return false;
  }
  state.synced.push_back(path);
  return true;
}

int sync_or_fail(int fd, long number) {
  if (note(fd)) return static_cast<int>(syscall(number, fd));
  errno = EIO;
  return -1;
}

}  // namespace

int num_syncs(const std::string& suffix) {
  const std::lock_guard lock(watch().mutex);
  return static_cast<int>(
      std::count_if(watch().synced.begin(), watch().synced.end(),
                    [&](const std::string& path) { return path.ends_with(suffix); }));
}

FailingSyncs::FailingSyncs(const std::string& suffix, int num_good, int num_bad) {
  const std::lock_guard lock(watch().mutex);
  watch().failing = suffix;
  watch().num_good = num_good;
  watch().num_bad = num_bad;
}

FailingSyncs::~FailingSyncs() {
  const std::lock_guard lock(watch().mutex);
  watch().failing.clear();
}

int FailingSyncs::num_left() {
  const std::lock_guard lock(watch().mutex);
  return watch().num_bad;
}

HeldSyncs::HeldSyncs(const std::string& suffix) {
  const std::lock_guard lock(watch().mutex);
  watch().held = suffix;
}

HeldSyncs::~HeldSyncs() {
  const std::lock_guard lock(watch().mutex);
  watch().held.clear();
  watch().released.notify_all();
}

}  // namespace rewrap

extern "C" int fsync(int fd) { return rewrap::sync_or_fail(fd, SYS_fsync); }
extern "C" int fdatasync(int fd) { return rewrap::sync_or_fail(fd, SYS_fdatasync); }
