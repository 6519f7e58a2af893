// Worker threads, the queue between them and the writer, and the writer's group commit.
#include "rekey/rewrap_job.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>

#include "engine/make_transform.h"
#include "rekey/dek_wrap.h"

namespace rewrap {
namespace {

using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

// A group is sized by the time its commit takes, so that it suits fast and slow disks alike.
constexpr std::size_t kMaxGroupLen = std::size_t{16} << 20;
constexpr std::size_t kFirstGroupLen = std::size_t{2} << 20;
constexpr std::size_t kMinGroupLen = std::size_t{128} << 10;
constexpr Seconds kShortCommit{0.005};
constexpr Seconds kLongCommit{0.020};

// Enough to keep the workers busy through one commit of the largest group.
constexpr std::size_t kMaxQueuedSegments = 256;

// max_queued_segments keeps a throttled job from working ahead by more than about a tenth of a
// second, which is what it commits at a time: it is to spare the processor and the token as well as
// the disk.
std::size_t max_queued_segments(double max_deks_per_second) {
  if (max_deks_per_second <= 0) return kMaxQueuedSegments;
  const double segments = max_deks_per_second / 10 / kMaxSegmentDeks;
  return segments < kMaxQueuedSegments - 2 ? static_cast<std::size_t>(segments) + 2
                                           : kMaxQueuedSegments;
}

struct DamagedDek {
  DekId id{};
  QuarantineRecord record;
};

// What a worker made of one segment. `value` is empty if the segment is to stay as it is.
struct Rewrapped {
  SegmentNumber segment = 0;
  std::uint64_t old_sequence = 0;
  std::uint64_t num_deks = 0;
  Bytes value;
  std::vector<DamagedDek> damaged;
  bool failed_authentication = false;
};

// Queue hands segments from the workers to the writer, at most `max_len` of them at a time.
class Queue {
 public:
  Queue(unsigned num_producers, std::size_t max_len)
      : num_producers_(num_producers), max_len_(max_len) {}

  // push waits for room; false once the writer has given up.
  bool push(Rewrapped item) {
    std::unique_lock lock(mutex_);
    room_.wait(lock, [&] { return closed_ || items_.size() < max_len_; });
    if (closed_) return false;
    queued_len_ += item.value.size();
    items_.push_back(std::move(item));
    if (queued_len_ >= wanted_len_) ready_.notify_one();
    return true;
  }

  void producer_done() {
    const std::lock_guard lock(mutex_);
    --num_producers_;
    ready_.notify_one();
  }

  // pop_group waits until `len` bytes are queued, the queue is full, `patience` is over with
  // something queued, or no more will come; then it takes up to `len` bytes, at least one item.
  // Empty means the end.
  std::vector<Rewrapped> pop_group(std::size_t len, Clock::duration patience) {
    std::unique_lock lock(mutex_);
    wanted_len_ = len;
    const auto enough = [&] {
      return queued_len_ >= len || items_.size() == max_len_ || num_producers_ == 0;
    };
    while (!ready_.wait_for(lock, patience, enough) && items_.empty()) {
    }
    std::vector<Rewrapped> group;
    std::size_t taken_len = 0;
    while (!items_.empty() && (group.empty() || taken_len + items_.front().value.size() <= len)) {
      taken_len += items_.front().value.size();
      group.push_back(std::move(items_.front()));
      items_.pop_front();
    }
    queued_len_ -= taken_len;
    room_.notify_all();
    return group;
  }

  // close makes every push fail from now on.
  void close() {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    room_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable ready_;
  std::condition_variable room_;
  std::deque<Rewrapped> items_;
  std::size_t queued_len_ = 0;
  std::size_t wanted_len_ = kFirstGroupLen;
  unsigned num_producers_;
  const std::size_t max_len_;
  bool closed_ = false;
};

// Worker re-wraps one segment at a time.
class Worker {
 public:
  explicit Worker(const RewrapJob& job)
      : job_(job),
        target_(*job.keyring->find(job.target)),
        reader_(job.keyset, *job.keyring, [this](const OpenVersion& from, std::size_t dek_len) {
          return make_transform(*job_.implementation,
                                {dek_len, dek_side(job_.keyset, from.kek),
                                 dek_side(job_.keyset, target_.kek, job_.ivs), false});
        }) {}

  Status start() {
    REWRAP_ASSIGN(snapshot_, job_.store->snapshot());
    return {};
  }

  // rewrap gives an item without a value if the segment is to be left alone.
  Result<Rewrapped> rewrap(SegmentNumber segment) {
    REWRAP_TRY(
        snapshot_->refresh());  // an old snapshot would pin every page that the writer replaces
    Rewrapped out;
    out.segment = segment;
    const Result<ByteView> value = snapshot_->wraps(job_.keyset.number, segment);
    if (value.status().code() == Errc::kNotFound) {
      out.failed_authentication = true;
      return out;
    }
    if (!value.ok()) return value.status();
    Result<SegmentView> view = reader_.read(segment, value.value());
    if (view.status().code() == Errc::kCorruption) {
      out.failed_authentication = true;
      if (job_.accept_damaged_segments) view = parse_unproven(segment, value.value());
      if (!view.ok() || job_.keyring->find(view->header.version) == nullptr) return out;
    } else if (!view.ok()) {
      return view.status();
    }
    if (view->header.version == job_.target) return out;  // someone else has done it
    const Status status = rewrap_view(view.value(), &out);
    if (status.code() == Errc::kCorruption || status.code() == Errc::kNotFound) {
      // A damaged DEK whose id cannot be told, because the ids column is damaged as well: the
      // segment stays as it is.
      out = {};
      out.segment = segment;
      out.failed_authentication = true;
      return out;
    }
    REWRAP_TRY(status);
    return out;
  }

 private:
  // For --accept-damaged-segments. At least the algorithm must be the keyset's, and the number of
  // DEKs agree with the bitmap: a slot that is wrongly taken for empty would be a DEK lost without a
  // word.
  Result<SegmentView> parse_unproven(SegmentNumber segment, ByteView value) {
    REWRAP_ASSIGN(const SegmentView view, parse_segment(value, job_.keyset.uuid, segment));
    if (view.header.algorithm != job_.keyset.algorithm) {
      return Status(Errc::kCorruption, "a segment names another algorithm than its keyset");
    }
    REWRAP_TRY(check_live_count(view));
    return view;
  }

  Status rewrap_view(const SegmentView& view, Rewrapped* out) {
    SegmentHeader header = view.header;
    header.version = job_.target;
    header.sequence = view.header.sequence + 1;
    SegmentBuilder builder(header);
    builder.copy_live(view);
    verdicts_.resize(header.count);
    REWRAP_ASSIGN(Transform * transform, reader_.transform_for(view.header));
    REWRAP_ASSIGN(const AadColumn aad, aad_of(view));
    REWRAP_TRY(transform->run({view.wraps, builder.wraps(), verdicts_, aad, aad}));
    std::uint64_t intact = 0;
    for (std::size_t slot = 0; slot < header.count; ++slot) {
      if (!view.is_live(slot)) continue;
      if (verdicts_[slot] == kIntact) {
        ++intact;
        continue;
      }
      REWRAP_TRY(set_aside(view, slot, &builder, out));
    }
    out->old_sequence = view.header.sequence;
    out->num_deks = intact;
    REWRAP_ASSIGN(Mac * mac, reader_.mac(job_.target));
    REWRAP_ASSIGN(out->value, builder.seal(mac));
    return {};
  }

  // GCM wraps are bound to their ids, and so need the other column. Its digest need not be checked:
  // under another id none of them opens.
  Result<AadColumn> aad_of(const SegmentView& view) {
    if (view.header.algorithm != WrapAlgorithm::kGcm) return AadColumn{};
    REWRAP_ASSIGN(const ByteView ids, snapshot_->ids(job_.keyset.number, view.header.segment));
    if (ids.size() != view.header.count * kIdSlotLen)
      return Status(Errc::kCorruption, "a segment's ids column has a wrong length");
    return dek_aad(ids);
  }

  // A DEK that does not open is kept byte for byte, under the version it was wrapped with (R7).
  Status set_aside(const SegmentView& view, std::size_t slot, SegmentBuilder* builder,
                   Rewrapped* out) {
    REWRAP_ASSIGN(const ByteView ids, snapshot_->ids(job_.keyset.number, view.header.segment));
    REWRAP_TRY(authenticate_ids(view, ids));
    builder->set_live(slot, false);
    const ByteView wrap = view.wrap(slot);
    out->damaged.push_back({id_at(ids, slot),
                            {QuarantineReason::kRekey, view.header.algorithm, view.header.version,
                             now_seconds(), Bytes(wrap.begin(), wrap.end())}});
    return {};
  }

  const RewrapJob& job_;
  const OpenVersion& target_;
  SegmentReader reader_;
  std::unique_ptr<Snapshot> snapshot_;
  Bytes verdicts_;
};

// Writer commits groups of segments and keeps the outcome.
class Writer {
 public:
  Writer(const RewrapJob& job, std::uint64_t total)
      : job_(job), progress_{0, total}, rate_(max_rate()) {}

  Status commit(const std::vector<Rewrapped>& group) {
    const auto begin = Clock::now();
    REWRAP_TRY(write(group));
    const Seconds took = Clock::now() - begin;
    if (took < kShortCommit) group_len_ = std::min(group_len_ * 2, kMaxGroupLen);
    if (took > kLongCommit) group_len_ = std::max(group_len_ / 2, kMinGroupLen);
    if (job_.progress) job_.progress(progress_);
    throttle();
    return {};
  }

  [[nodiscard]] std::size_t group_len() const {
    // A throttled job commits about ten groups a second, so that the rate is even.
    const double rate = max_rate();
    if (rate <= 0) return group_len_;
    const double per_group = rate / 10 * kMaxWrappedDekLen;
    if (per_group >= static_cast<double>(group_len_)) return group_len_;
    return std::max(static_cast<std::size_t>(per_group), std::size_t{1});
  }

  RewrapOutcome& outcome() { return outcome_; }

 private:
  Status write(const std::vector<Rewrapped>& group) {
    REWRAP_ASSIGN(auto transaction, job_.store->begin());
    REWRAP_ASSIGN(KeysetRecord keyset,
                  reload_keyset(*transaction, job_.keyset_name, *job_.keyring));
    RewrapOutcome next = outcome_;
    for (const Rewrapped& item : group) REWRAP_TRY(write_segment(transaction.get(), item, &next));
    const std::uint64_t quarantined = next.quarantined - outcome_.quarantined;
    if (quarantined != 0) {
      keyset.live_deks -= std::min(keyset.live_deks, quarantined);
      REWRAP_TRY(store_keyset(transaction.get(), keyset, *job_.keyring));
    }
    REWRAP_TRY(transaction->commit());
    outcome_ = std::move(next);
    progress_.done = outcome_.rewrapped + outcome_.quarantined;
    return {};
  }

  Status write_segment(Transaction* transaction, const Rewrapped& item, RewrapOutcome* outcome) {
    if (item.value.empty()) {
      if (item.failed_authentication) outcome->damaged_segments.push_back(item.segment);
      return {};
    }
    REWRAP_ASSIGN(const ByteView now, transaction->wraps(job_.keyset.number, item.segment));
    REWRAP_ASSIGN(const SegmentView view, parse_segment(now, job_.keyset.uuid, item.segment));
    if (view.header.sequence != item.old_sequence)
      return {};  // changed since it was read: the next pass takes it
    REWRAP_TRY(transaction->put_wraps(job_.keyset.number, item.segment, item.value));
    for (const DamagedDek& dek : item.damaged) {
      // What is kept already is never overwritten (R7).
      if (transaction->quarantined(job_.keyset.number, dek.id).ok()) continue;
      REWRAP_TRY(transaction->put_quarantined(job_.keyset.number, dek.id, encode(dek.record)));
    }
    outcome->rewrapped += item.num_deks;
    outcome->quarantined += item.damaged.size();
    if (item.failed_authentication) outcome->accepted_segments.push_back(item.segment);
    return {};
  }

  [[nodiscard]] double max_rate() const {
    return job_.live_rate == nullptr ? job_.max_deks_per_second : job_.live_rate->load();
  }

  // The pace is kept from when the limit last changed. A limit that changes during the wait ends it.
  void throttle() {
    if (const double rate = max_rate(); rate != rate_) {
      rate_ = rate;
      start_ = group_start_;
      done_at_start_ = done_at_group_start_;
    }
    const auto paced = static_cast<double>(progress_.done - done_at_start_);
    const Seconds due(rate_ > 0 ? paced / rate_ : 0);
    while (Clock::now() - start_ < due && max_rate() == rate_ &&
           (job_.stop == nullptr || !job_.stop->load())) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    group_start_ = Clock::now();
    done_at_group_start_ = progress_.done;
  }

  const RewrapJob& job_;
  RewrapOutcome outcome_;
  Progress progress_;
  double rate_;  // the limit that is kept now
  Clock::time_point start_ = Clock::now();
  std::uint64_t done_at_start_ = 0;
  Clock::time_point group_start_ = start_;
  std::uint64_t done_at_group_start_ = 0;
  std::size_t group_len_ = kFirstGroupLen;
};

}  // namespace

Result<RewrapOutcome> run_rewrap_job(const RewrapJob& job,
                                     const std::vector<SegmentNumber>& segments) {
  if (job.keyring->find(job.target) == nullptr)
    return Status(Errc::kInternal, "the target KEK version is not open");
  Queue queue(job.num_threads, max_queued_segments(job.max_deks_per_second));
  Writer writer(job, job.keyset.live_deks);
  std::atomic<std::size_t> next{0};
  const auto stopped = [&] { return job.stop != nullptr && job.stop->load(); };

  Status compute_status;
  std::jthread workers([&] {
    compute_status = run_workers(job.num_threads, [&](unsigned) -> Status {
      Worker worker(job);
      Status status = worker.start();
      for (std::size_t i = next++; status.ok() && i < segments.size() && !stopped(); i = next++) {
        Result<Rewrapped> item = worker.rewrap(segments[i]);
        status = item.status();
        if (!item.ok()) next = segments.size();  // the other workers stop as well
        if (item.ok() && !queue.push(std::move(item).value())) break;
      }
      queue.producer_done();
      return status;
    });
  });

  Status write_status;
  for (;;) {
    const auto group = queue.pop_group(writer.group_len(), std::chrono::milliseconds(50));
    if (group.empty() || stopped()) break;
    write_status = writer.commit(group);
    if (!write_status.ok()) break;  // never retried (R9)
  }
  queue.close();
  workers.join();
  REWRAP_TRY(write_status);
  REWRAP_TRY(compute_status);
  writer.outcome().stopped = stopped();
  return std::move(writer.outcome());
}

}  // namespace rewrap
