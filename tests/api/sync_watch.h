// Sees each fsync and fdatasync of this program, and makes them fail on demand: what a test cannot see
// otherwise is whether something that was answered for would survive a power cut. Any thread.
#ifndef REWRAP_TESTS_API_SYNC_WATCH_H_
#define REWRAP_TESTS_API_SYNC_WATCH_H_

#include <string>

namespace rewrap {

// num_syncs says how often a file whose path ends in `suffix` was made durable since the start.
int num_syncs(const std::string& suffix);

// While one lives, syncs of files whose path ends in `suffix` fail with EIO: all after the first
// `num_good`, `num_bad` of them.
class FailingSyncs {
 public:
  FailingSyncs(const std::string& suffix, int num_good, int num_bad);
  ~FailingSyncs();
  FailingSyncs(const FailingSyncs&) = delete;
  FailingSyncs& operator=(const FailingSyncs&) = delete;

  // num_left says how many have yet to fail.
  static int num_left();
};

// While one lives, syncs of files whose path ends in `suffix` wait for its end. One at a time.
class HeldSyncs {
 public:
  explicit HeldSyncs(const std::string& suffix);
  ~HeldSyncs();
  HeldSyncs(const HeldSyncs&) = delete;
  HeldSyncs& operator=(const HeldSyncs&) = delete;
};

}  // namespace rewrap

#endif  // REWRAP_TESTS_API_SYNC_WATCH_H_
