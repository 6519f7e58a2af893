// The checks of verify, segment by segment on several threads, then the index.
#include "rekey/verify.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>

#include "engine/make_transform.h"
#include "rekey/dek_wrap.h"
#include "rekey/segment_walk.h"

namespace rewrap {
namespace {

// Tally gathers what the threads find.
class Tally {
 public:
  Tally(const ProgressFn& progress, const KeysetRecord& keyset)
      : progress_(progress), total_(keyset.live_deks), sound_(keyset.num_segments) {}

  void find(std::optional<SegmentNumber> segment, std::optional<DekId> id, const Status& what) {
    const std::lock_guard lock(mutex_);
    ++num_findings_;
    if (findings_.size() < kMaxFindings) findings_.push_back({segment, id, what});
  }
  void add_sound(SegmentNumber segment, std::uint64_t deks) {
    const std::lock_guard lock(mutex_);
    sound_[segment] = true;
    ok_ += deks;
    if (progress_) progress_({ok_, total_});
  }
  // take_back lowers the count for DEKs that a later check found wanting.
  void take_back(std::uint64_t deks) { ok_ -= std::min(deks, ok_); }

  [[nodiscard]] std::uint64_t ok() const { return ok_; }
  // is_sound says whether a segment's columns were authenticated.
  [[nodiscard]] bool is_sound(SegmentNumber segment) const {
    return segment < sound_.size() && sound_[segment];
  }
  [[nodiscard]] bool clean() const { return num_findings_ == 0; }
  std::vector<Finding> take_findings() {
    std::sort(findings_.begin(), findings_.end(),
              [](const Finding& a, const Finding& b) { return a.segment < b.segment; });
    return std::move(findings_);
  }

 private:
  std::mutex mutex_;
  const ProgressFn& progress_;
  std::uint64_t total_;
  std::uint64_t ok_ = 0;
  std::uint64_t num_findings_ = 0;
  std::vector<Finding> findings_;
  std::vector<bool> sound_;
};

// Checker checks one segment at a time; one per thread.
class Checker {
 public:
  Checker(const KeysetRecord& keyset, const Keyring& keyring, const Implementation& implementation,
          Tally* tally)
      : keyset_(keyset),
        reader_(keyset, keyring,
                [&implementation, &keyset](const OpenVersion& from, std::size_t dek_len) {
                  return make_transform(implementation,
                                        {dek_len, dek_side(keyset, from.kek), std::nullopt, true});
                }),
        tally_(tally) {}

  // check_segment reports damage to the tally; only failures of the machinery come back.
  Status check_segment(Snapshot& snapshot, SegmentNumber segment) {
    const Status status = check_contents(snapshot, segment);
    const bool damage = status.code() == Errc::kCorruption || status.code() == Errc::kNotFound;
    if (!damage) return status;
    const Status missing(Errc::kCorruption, "a column of this segment is missing");
    tally_->find(segment, std::nullopt, status.code() == Errc::kNotFound ? missing : status);
    return {};
  }

 private:
  Status check_contents(Snapshot& snapshot, SegmentNumber segment) {
    REWRAP_ASSIGN(const ByteView value, snapshot.wraps(keyset_.number, segment));
    REWRAP_ASSIGN(const SegmentView view, reader_.read(segment, value));
    REWRAP_ASSIGN(const ByteView ids, snapshot.ids(keyset_.number, segment));
    REWRAP_TRY(authenticate_ids(view, ids));
    verdicts_.resize(view.header.count);
    REWRAP_ASSIGN(Transform * transform, reader_.transform_for(view.header));
    REWRAP_TRY(transform->run({view.wraps, {}, verdicts_, dek_aad(ids), {}}));
    std::uint64_t ok = 0;
    for (std::size_t slot = 0; slot < view.header.count; ++slot) {
      if (!view.is_live(slot)) continue;
      if (verdicts_[slot] == kIntact) {
        ++ok;
      } else {
        tally_->find(segment, id_at(ids, slot),
                     Status(Errc::kIntegrity, "this DEK does not open under its KEK version"));
      }
    }
    tally_->add_sound(segment, ok);
    return {};
  }

  const KeysetRecord& keyset_;
  SegmentReader reader_;
  Tally* tally_;
  Bytes verdicts_;
};

// IndexCheck proves that the index leads to every live slot: each entry must name a slot that holds
// its id, or a quarantined DEK; and there must be as many as there are live slots. Segments that
// were found damaged are left out: all of their DEKs are counted as damaged already.
class IndexCheck {
 public:
  IndexCheck(Snapshot& snapshot, const KeysetRecord& keyset, Tally* tally)
      : snapshot_(snapshot), keyset_(keyset), tally_(tally), columns_(keyset.num_segments) {}

  Status run() {
    std::uint64_t live = 0;
    REWRAP_TRY(snapshot_.for_each_segment(
        keyset_.number, [&](SegmentNumber segment, ByteView value) -> Status {
          const auto view = parse_segment(value, keyset_.uuid, segment);
          const auto ids = snapshot_.ids(keyset_.number, segment);
          if (segment >= columns_.size()) {
            tally_->find(segment, std::nullopt,
                         Status(Errc::kCorruption, "a segment that the keyset does not know of"));
            return {};
          }
          if (!tally_->is_sound(segment) || !view.ok() || !ids.ok()) return {};
          columns_[segment] = {ids.value(), view->bitmap, view->header.count};
          live += view->header.live;
          return {};
        }));
    std::uint64_t reached = 0;
    REWRAP_TRY(
        snapshot_.for_each_location(keyset_.number, [&](const DekId& id, DekLocation at) -> Status {
          if (leads_to(id, at)) {
            ++reached;
          } else if (!snapshot_.quarantined(keyset_.number, id).ok() && counts(at.segment)) {
            tally_->find(at.segment, id,
                         Status(Errc::kCorruption, "an index entry leads to the wrong place"));
          }
          return {};
        }));
    if (reached < live) {
      tally_->find(
          std::nullopt, std::nullopt,
          Status(Errc::kCorruption, "some DEKs cannot be reached: the index has lost their ids"));
      tally_->take_back(live - reached);
    }
    return {};
  }

 private:
  struct Column {
    ByteView ids;
    ByteView bitmap;
    std::size_t count = 0;
  };

  // An entry that leads out of the keyset is wrong; one that leads into a damaged segment was told.
  [[nodiscard]] bool counts(SegmentNumber segment) const {
    return segment >= columns_.size() || columns_[segment].count != 0;
  }
  [[nodiscard]] bool leads_to(const DekId& id, DekLocation at) const {
    if (at.segment >= columns_.size()) return false;
    const Column& column = columns_[at.segment];
    const bool live =
        at.slot < column.count && (column.bitmap[at.slot / 8] >> at.slot % 8 & 1) != 0;
    return live && id_at(column.ids, at.slot) == id;
  }

  Snapshot& snapshot_;
  const KeysetRecord& keyset_;
  Tally* tally_;
  std::vector<Column> columns_;
};

Status rekey_began() {
  return Status(Errc::kConflict, "a rekey began while the keyset was verified",
                "run rewrap verify after it has ended");
}

Status record_clean_verify(Store* store, const std::string& name, KekVersion version,
                           const Keyring& keyring) {
  REWRAP_ASSIGN(auto transaction, store->begin());
  REWRAP_ASSIGN(KeysetRecord keyset, reload_keyset(*transaction, name, keyring));
  if (keyset.current_version != version) return rekey_began();
  keyset.verified_version = version;
  keyset.verified_at = now_seconds();
  REWRAP_TRY(store_keyset(transaction.get(), keyset, keyring));
  return transaction->commit();
}

// What one verify works on.
struct Scope {
  Store* store;
  KeysetRecord keyset;
  const Keyring* keyring;
  const VerifyOptions* options;
};

bool is_stopped(const VerifyOptions& options) {
  return options.stop != nullptr && options.stop->load();
}

// check_segments runs the checkers. Each thread has its own snapshot; a segment rewritten between
// them by a running rekey or an insert is as valid as the one before, so they need not be of one
// instant.
Status check_segments(const Scope& scope, Tally* tally) {
  std::atomic<SegmentNumber> next{0};
  return run_workers(scope.options->num_threads, [&](unsigned) -> Status {
    REWRAP_ASSIGN(auto snapshot, scope.store->snapshot());
    Checker checker(scope.keyset, *scope.keyring, *scope.options->implementation, tally);
    for (SegmentNumber segment = next++;
         segment < scope.keyset.num_segments && !is_stopped(*scope.options); segment = next++) {
      REWRAP_TRY(checker.check_segment(*snapshot, segment));
    }
    return {};
  });
}

}  // namespace

Result<VerifyReport> verify(Store* store, const std::string& name, Keyring* keyring,
                            const VerifyOptions& options) {
  const auto begin = std::chrono::steady_clock::now();
  REWRAP_ASSIGN(auto snapshot, store->snapshot());
  REWRAP_ASSIGN(const KeysetRecord keyset, load_keyset(*snapshot, name, keyring));
  REWRAP_ASSIGN(const std::set<KekVersion> versions,
                open_versions_in_use(*snapshot, keyset, keyring));
  REWRAP_TRY(keyring->check_protectors(*snapshot, keyset));
  keyring->release_roots();

  Tally tally(options.progress, keyset);
  REWRAP_TRY(check_segments({store, keyset, keyring, &options}, &tally));
  if (is_stopped(options)) {
    VerifyReport report;
    report.stopped = true;
    return report;
  }
  REWRAP_TRY(IndexCheck(*snapshot, keyset, &tally).run());
  REWRAP_TRY(snapshot->refresh());
  REWRAP_ASSIGN(const KeysetRecord after, peek_keyset(*snapshot, name));
  if (after.current_version != keyset.current_version) return rekey_began();

  VerifyReport report;
  // Inserts and quarantine may have changed the count meanwhile; no DEK that was there all the time
  // may be missing.
  report.deks = std::min(keyset.live_deks, after.live_deks);
  report.ok = std::min(tally.ok(), report.deks);
  if (tally.clean() && report.ok < report.deks) {
    tally.find(std::nullopt, std::nullopt,
               Status(Errc::kCorruption, "the segments hold fewer DEKs than the keyset says"));
  }
  report.damaged = report.deks - report.ok;
  REWRAP_TRY(snapshot->for_each_quarantined(keyset.number, [&](const DekId&, ByteView) -> Status {
    ++report.quarantined;
    return {};
  }));
  const bool clean = tally.clean();
  const bool one_version =
      versions.empty() || (versions.size() == 1 && *versions.begin() == keyset.current_version);
  report.findings = tally.take_findings();
  snapshot.reset();
  if (clean && one_version) {
    REWRAP_TRY(record_clean_verify(store, name, keyset.current_version, *keyring));
    report.certified = true;
  }
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return report;
}

}  // namespace rewrap
