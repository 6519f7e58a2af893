// The store: where wrapped DEKs, KEK versions and keysets live durably. An interface over values;
// what the values mean is the business of records.h and segment.h. The default implementation is
// LMDB (rekey/lmdb).
//
// Snapshots see one instant and never block writers. There is one write transaction at a time; all
// of it becomes durable at commit, or nothing of it does (R2). A Snapshot or Transaction belongs to
// one thread; the Store may be shared.
#ifndef REWRAP_REKEY_STORE_H_
#define REWRAP_REKEY_STORE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/bytes.h"
#include "engine/base/status.h"

namespace rewrap {

// The format that this program writes. A store of a newer one is refused.
inline constexpr std::uint32_t kStoreFormat = 1;

// A keyset is known inside the store by a number that is never used again.
using KeysetNumber = std::uint32_t;
using SegmentNumber = std::uint32_t;
using KekVersion = std::uint32_t;  // from 1; 0 means none, or foreign

// DekLocation is where the index finds a DEK.
struct DekLocation {
  SegmentNumber segment = 0;
  std::uint32_t slot = 0;
};

// Views returned by a snapshot stay valid until it is refreshed or released, and, in a transaction,
// until the next write.
class Snapshot {
 public:
  Snapshot() = default;
  Snapshot(const Snapshot&) = delete;
  Snapshot& operator=(const Snapshot&) = delete;
  virtual ~Snapshot() = default;

  // refresh moves to the newest committed state. Long readers call it now and then: an old snapshot
  // pins the pages of its time.
  virtual Status refresh() = 0;

  // Each getter gives kNotFound if there is no such value, kCorruption or kIo if the store cannot
  // be read.
  virtual Result<ByteView> keyset(std::string_view name) = 0;
  virtual Result<ByteView> kek_version(KeysetNumber keyset, KekVersion version) = 0;
  virtual Result<ByteView> ids(KeysetNumber keyset, SegmentNumber segment) = 0;
  virtual Result<ByteView> wraps(KeysetNumber keyset, SegmentNumber segment) = 0;
  virtual Result<DekLocation> find(KeysetNumber keyset, const DekId& id) = 0;
  virtual Result<ByteView> quarantined(KeysetNumber keyset, const DekId& id) = 0;

  // Each walk calls `visit` in key order until it returns a failure, which the walk then returns.
  virtual Status for_each_keyset(const std::function<Status(ByteView)>& visit) = 0;
  virtual Status for_each_kek_version(KeysetNumber keyset,
                                      const std::function<Status(KekVersion, ByteView)>& visit) = 0;
  virtual Status for_each_segment(
      KeysetNumber keyset, const std::function<Status(SegmentNumber, ByteView wraps)>& visit) = 0;
  virtual Status for_each_location(
      KeysetNumber keyset, const std::function<Status(const DekId&, DekLocation)>& visit) = 0;
  virtual Status for_each_quarantined(
      KeysetNumber keyset, const std::function<Status(const DekId&, ByteView)>& visit) = 0;
};

class Transaction : public Snapshot {
 public:
  // next_keyset_number gives a number that no keyset has had.
  virtual Result<KeysetNumber> next_keyset_number() = 0;

  // Each put replaces what is there.
  virtual Status put_keyset(std::string_view name, ByteView value) = 0;
  virtual Status put_kek_version(KeysetNumber keyset, KekVersion version, ByteView value) = 0;
  virtual Status put_ids(KeysetNumber keyset, SegmentNumber segment, ByteView value) = 0;
  virtual Status put_wraps(KeysetNumber keyset, SegmentNumber segment, ByteView value) = 0;
  virtual Status put_location(KeysetNumber keyset, const DekId& id, DekLocation location) = 0;
  virtual Status put_quarantined(KeysetNumber keyset, const DekId& id, ByteView value) = 0;
  virtual Status drop_location(KeysetNumber keyset, const DekId& id) = 0;
  virtual Status drop_quarantined(KeysetNumber keyset, const DekId& id) = 0;

  // commit makes everything durable and ends the transaction. After a failure nothing of it is in
  // the store, and the caller must not simply try again (R9): the medium is full or failing. A
  // transaction let go without commit leaves no trace.
  virtual Status commit() = 0;
};

class Store {
 public:
  Store() = default;
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;
  virtual ~Store() = default;

  virtual Result<std::unique_ptr<Snapshot>> snapshot() = 0;
  // begin waits for the write transaction of another thread or process to end.
  virtual Result<std::unique_ptr<Transaction>> begin() = 0;
  // directory holds the store's files and the lock files of running jobs.
  [[nodiscard]] virtual const std::string& directory() const = 0;
};

// OpenMode says what open_store may do if there is no store yet.
enum class OpenMode { kMustExist, kCreate };

// open_store opens the LMDB store in `directory` (mode 0700; its files 0600).
// Errors: kNotFound     no store there, and kMustExist
//         kCorruption   truncated, or not a store
//         kUnsupported  written by a newer version
//         kDenied, kIo  the file system
Result<std::unique_ptr<Store>> open_store(const std::string& directory, OpenMode mode);

}  // namespace rewrap

#endif  // REWRAP_REKEY_STORE_H_
