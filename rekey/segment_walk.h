// What rekey, verify and export share: one thread's tools for reading segments under any of the
// keyset's KEK versions.
#ifndef REWRAP_REKEY_SEGMENT_WALK_H_
#define REWRAP_REKEY_SEGMENT_WALK_H_

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "engine/implementation.h"
#include "rekey/keyring.h"
#include "rekey/segment.h"

namespace rewrap {

// SegmentReader parses and authenticates segments, and keeps one MAC and one transform per version
// and DEK size. Belongs to one thread. The keyring and keyset must outlive it, and the keyring must
// not change meanwhile.
class SegmentReader {
 public:
  // MakeTransform builds the transform for segments under `from`, of DEKs of `dek_len` bytes.
  using MakeTransform = std::function<Result<std::unique_ptr<Transform>>(const OpenVersion& from,
                                                                         std::size_t dek_len)>;

  SegmentReader(const KeysetRecord& keyset, const Keyring& keyring, MakeTransform make_transform)
      : keyset_(keyset), keyring_(keyring), make_transform_(std::move(make_transform)) {}

  // read parses `value` and checks its tag. Errors: kCorruption.
  Result<SegmentView> read(SegmentNumber segment, ByteView value);

  // mac and transform_for give this thread's own; made on first use.
  // Errors: kCorruption if the version is not one the keyring holds.
  Result<Mac*> mac(KekVersion version);
  Result<Transform*> transform_for(const SegmentHeader& header);

 private:
  const KeysetRecord& keyset_;
  const Keyring& keyring_;
  MakeTransform make_transform_;
  std::map<KekVersion, Mac> macs_;
  std::map<std::pair<KekVersion, std::size_t>, std::unique_ptr<Transform>> transforms_;
};

// open_versions_in_use opens every KEK version that segments name, and gives them. A segment whose
// header cannot be read, or names a version that does not exist, is damaged, not a failure: whoever
// reads it will report it. Errors: as Keyring::open.
Result<std::set<KekVersion>> open_versions_in_use(Snapshot& snapshot, const KeysetRecord& keyset,
                                                  Keyring* keyring);

// run_workers calls `body(worker)` on `num_threads` threads and waits for all; gives the first
// failure.
Status run_workers(unsigned num_threads, const std::function<Status(unsigned worker)>& body);

}  // namespace rewrap

#endif  // REWRAP_REKEY_SEGMENT_WALK_H_
