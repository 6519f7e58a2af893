// The steps of a rekey around the bulk work of rewrap_job.
#include "rekey/rekey.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <set>

#include "engine/make_transform.h"
#include "rekey/dek_wrap.h"
#include "rekey/keyset_lock.h"
#include "rekey/protect.h"
#include "rekey/rewrap_job.h"

namespace rewrap {
namespace {

// Work is what is left to do: the segments that do not name the target.
struct Work {
  std::vector<SegmentNumber> segments;
  std::uint64_t deks = 0;
  std::uint64_t slots = 0;  // those of quarantined DEKs are wrapped over as well
  KekVersion oldest = 0;    // 0 if no segment with a readable header is left
};

Result<Work> find_work(Snapshot& snapshot, const KeysetRecord& keyset, KekVersion target) {
  Work work;
  SegmentNumber expected = 0;
  const auto missing_until = [&](SegmentNumber segment) {
    for (; expected < segment; ++expected) work.segments.push_back(expected);
    ++expected;
  };
  REWRAP_TRY(snapshot.for_each_segment(
      keyset.number, [&](SegmentNumber segment, ByteView value) -> Status {
        missing_until(segment);
        const auto view = parse_segment(value, keyset.uuid, segment);
        if (view.ok() && view->header.version == target) return {};
        work.segments.push_back(segment);  // an unreadable one too: the job reports it
        if (!view.ok()) return {};
        work.deks += view->header.live;
        work.slots += view->header.count;
        work.oldest =
            work.oldest == 0 ? view->header.version : std::min(work.oldest, view->header.version);
        return {};
      }));
  for (; expected < keyset.num_segments; ++expected) work.segments.push_back(expected);
  return work;
}

// roots_of gives the root URIs of the current version, first the one that made its KEK.
Result<std::vector<std::string>> roots_of(Store* store, const KeysetRecord& keyset) {
  REWRAP_ASSIGN(auto snapshot, store->snapshot());
  REWRAP_ASSIGN(const ByteView stored,
                snapshot->kek_version(keyset.number, keyset.current_version));
  REWRAP_ASSIGN(const KekVersionRecord record, decode_kek_version(stored));
  std::vector<std::string> roots;
  for (const Protector& protector : record.protectors) {
    if (std::find(roots.begin(), roots.end(), protector.root_uri) == roots.end())
      roots.push_back(protector.root_uri);
  }
  if (roots.empty()) return Status(Errc::kCorruption, "the current KEK version has no protector");
  return roots;
}

// renew_counted makes what a counter makes necessary: whatever is bound to it of this keyset is
// protected anew before it is raised.
Result<NewProtectors> renew_counted(Store* store, const KeysetRecord& keyset, Keyring* keyring,
                                    const KekVersionRecord& target) {
  REWRAP_ASSIGN(auto snapshot, store->snapshot());
  std::vector<std::string> roots;
  for (const Protector& protector : target.protectors) {
    if (counter_of(protector).empty()) continue;
    REWRAP_TRY(check_counter_is_free(*snapshot, &keyset, keyring, protector));
    roots.push_back(protector.root_uri);
  }
  NewProtectors made;
  if (!roots.empty()) REWRAP_TRY(make_protectors(*snapshot, keyset, keyring, roots, &made));
  return made;
}

// A token re-wraps between its own keys only, and some not even that: found out by doing it once,
// with a throwaway key, before anything names the new version.
Status try_rewrap(const KeysetRecord& keyset, const Keyring& keyring, KekVersion target,
                  const Implementation& implementation) {
  if (keyset.custody != Custody::kInToken) return {};
  const WrapSide from = dek_side(keyset, keyring.find(keyset.current_version)->kek);
  const WrapSide to = dek_side(keyset, keyring.find(target)->kek);
  Bytes wrap(wrapped_len(keyset.algorithm, keyset.dek_len));
  REWRAP_TRY(make_wrapped_keys(implementation, from, keyset.dek_len, {}, wrap));
  REWRAP_ASSIGN(auto rewrap, make_transform(implementation, {keyset.dek_len, from, to, false}));
  std::array<std::uint8_t, 1> verdict{kDamaged};
  REWRAP_TRY(rewrap->run(wrap, wrap, verdict));
  if (verdict[0] == kIntact) return {};
  return Status(Errc::kUnavailable, "the token does not open a key that it has just wrapped",
                "rewrap root probe shows what the token can do");
}

// start_rekey makes the next version and makes it current, in one durable transaction before any
// segment names it (R1, R3): under the root that was asked for, else under all of the current
// version's, so that no recovery protector gets lost. The roots it leaves out go to `dropped`.
Status start_rekey(Store* store, KeysetRecord* keyset, Keyring* keyring,
                   const RekeyOptions& options, std::set<std::string>* dropped) {
  REWRAP_ASSIGN(const std::vector<std::string> old_roots, roots_of(store, *keyset));
  const std::vector<std::string> roots =
      options.root_uri.empty() ? old_roots : std::vector<std::string>{options.root_uri};
  const KekVersion target = keyset->current_version + 1;
  REWRAP_ASSIGN(KekVersionRecord version, keyring->create(*keyset, target, roots.front()));
  NewVersion unstored(keyring, *keyset, target, version);
  REWRAP_TRY(try_rewrap(*keyset, *keyring, target, *options.implementation));
  for (std::size_t i = 1; i < roots.size(); ++i) {
    REWRAP_ASSIGN(Protector protector, keyring->protect(*keyset, target, roots[i]));
    version.protectors.push_back(std::move(protector));
  }
  REWRAP_ASSIGN(NewProtectors renewed, renew_counted(store, *keyset, keyring, version));
  REWRAP_ASSIGN(auto transaction, store->begin());
  REWRAP_ASSIGN(*keyset, reload_keyset(*transaction, keyset->name, *keyring));
  keyset->current_version = target;
  keyset->rekey_target = target;
  keyset->gcm_wraps = 0;
  REWRAP_TRY(transaction->put_kek_version(keyset->number, target, encode(version)));
  REWRAP_TRY(store_protectors(transaction.get(), keyset->number, renewed));
  REWRAP_TRY(store_keyset(transaction.get(), *keyset, *keyring));
  unstored.keep();
  REWRAP_TRY(transaction->commit());
  if (!renewed.empty()) {
    renewed.emplace(target, version.protectors);
    REWRAP_ASSIGN(*dropped, settle_protectors(store, *keyset, keyring, renewed, OtherRoots::kKeep));
  }
  for (const std::string& root : old_roots)
    if (std::find(roots.begin(), roots.end(), root) == roots.end()) dropped->insert(root);
  return {};
}

// A rekey that was interrupted may have put DEKs aside before: they count, or its last run would
// say "done" (R7). Earlier rekeys only took DEKs of versions before the one that was current when
// this one began, and a clock may have been set back since.
Result<std::uint64_t> count_set_aside(Store* store, const KeysetRecord& keyset,
                                      KekVersion first_target) {
  REWRAP_ASSIGN(auto snapshot, store->snapshot());
  std::uint64_t count = 0;
  REWRAP_TRY(
      snapshot->for_each_quarantined(keyset.number, [&](const DekId&, ByteView value) -> Status {
        REWRAP_ASSIGN(const QuarantineRecord record, decode_quarantine(value));
        const bool ours =
            record.reason == QuarantineReason::kRekey && record.version + 1 >= first_target;
        count += ours ? 1 : 0;
        return {};
      }));
  return count;
}

Status finish_rekey(Store* store, const std::string& name, const Keyring& keyring) {
  REWRAP_ASSIGN(auto transaction, store->begin());
  REWRAP_ASSIGN(KeysetRecord keyset, reload_keyset(*transaction, name, keyring));
  keyset.rekey_target = 0;
  REWRAP_TRY(store_keyset(transaction.get(), keyset, keyring));
  return transaction->commit();
}

// run_passes repeats the bulk work until nothing is left but what cannot be done. A second pass is
// rare: it takes the segments that others changed while the first was reading them.
Status run_passes(RewrapJob job, RekeyReport* report) {
  for (;;) {
    REWRAP_ASSIGN(auto snapshot, job.store->snapshot());
    REWRAP_ASSIGN(const Work work, find_work(*snapshot, job.keyset, job.target));
    snapshot.reset();
    std::vector<SegmentNumber> todo;
    std::set_difference(work.segments.begin(), work.segments.end(),
                        report->damaged_segments.begin(), report->damaged_segments.end(),
                        std::back_inserter(todo));
    if (report->from_version == 0) report->from_version = work.oldest;
    if (todo.empty()) return {};
    REWRAP_ASSIGN(const auto ivs, reserve_ivs(job.store, job.keyset, *job.keyring, work.slots));
    job.ivs = ivs.get();
    REWRAP_ASSIGN(const RewrapOutcome outcome, run_rewrap_job(job, todo));
    report->rewrapped += outcome.rewrapped;
    report->quarantined += outcome.quarantined;
    report->damaged_segments.insert(report->damaged_segments.end(),
                                    outcome.damaged_segments.begin(),
                                    outcome.damaged_segments.end());
    report->accepted_segments.insert(report->accepted_segments.end(),
                                     outcome.accepted_segments.begin(),
                                     outcome.accepted_segments.end());
    std::sort(report->damaged_segments.begin(), report->damaged_segments.end());
    std::sort(report->accepted_segments.begin(), report->accepted_segments.end());
    report->stopped = outcome.stopped;
    if (report->stopped) return {};
  }
}

// is_worn_out says whether the target of an unfinished rekey has too few IVs left for the rest of
// it, having lost them to interruptions and inserts: then only another version can end it.
Result<bool> is_worn_out(Snapshot& snapshot, const KeysetRecord& keyset) {
  if (keyset.algorithm != WrapAlgorithm::kGcm || keyset.rekey_target == 0) return false;
  REWRAP_ASSIGN(const Work work, find_work(snapshot, keyset, keyset.rekey_target));
  // None left is too few in any case: inserts need some.
  return keyset.gcm_wraps >= kMaxGcmWraps || work.slots > kMaxGcmWraps - keyset.gcm_wraps;
}

}  // namespace

Result<RekeyReport> rekey(Store* store, const std::string& name, Keyring* keyring,
                          const RekeyOptions& options) {
  if (options.num_threads == 0 || options.num_threads > kMaxThreads ||
      options.implementation == nullptr) {
    return Status(Errc::kInvalidArgument,
                  "a rekey runs on 1 to 256 threads and one implementation");
  }
  if (!std::isfinite(options.max_deks_per_second) || options.max_deks_per_second < 0) {
    return Status(Errc::kInvalidArgument,
                  "a rate is a number of DEKs per second, or 0 for no limit");
  }
  const auto begin = std::chrono::steady_clock::now();
  REWRAP_ASSIGN(auto snapshot, store->snapshot());
  REWRAP_ASSIGN(const KeysetRecord unlocked, peek_keyset(*snapshot, name));
  REWRAP_ASSIGN(const KeysetLock lock, KeysetLock::acquire(store->directory(), unlocked.number));
  REWRAP_TRY(snapshot->refresh());
  REWRAP_ASSIGN(KeysetRecord keyset, load_keyset(*snapshot, name, keyring));

  RekeyReport report;
  report.resumed = keyset.rekey_target != 0;
  report.deks = keyset.live_deks;
  report.custody = keyset.custody;
  REWRAP_ASSIGN(const bool worn_out, is_worn_out(*snapshot, keyset));
  const KekVersion first_target = keyset.rekey_target;
  if (report.resumed && !worn_out && !options.root_uri.empty()) {
    return Status(Errc::kConflict,
                  "an unfinished rekey has its new KEK already, under its own root",
                  "finish it first: run rewrap rekey without --root");
  }
  // The old versions are opened before a new one is made: if a root cannot give them, nothing has
  // changed yet.
  REWRAP_TRY(open_versions_in_use(*snapshot, keyset, keyring).status());
  snapshot.reset();
  if (!report.resumed || worn_out) {
    std::set<std::string> dropped;
    REWRAP_TRY(start_rekey(store, &keyset, keyring, options, &dropped));
    report.dropped_roots.assign(dropped.begin(), dropped.end());
  }
  keyring->release_roots();
  report.to_version = keyset.rekey_target;

  const RewrapJob job{store,
                      name,
                      keyset,
                      keyring,
                      keyset.rekey_target,
                      nullptr,
                      options.implementation,
                      options.num_threads,
                      options.max_deks_per_second,
                      options.accept_damaged_segments,
                      options.stop,
                      options.progress,
                      options.live_rate};
  const Status passed = run_passes(job, &report);
  if (passed.code() == Errc::kUnavailable) {
    return passed.with_hint("when the token answers again, run rewrap rekey again: it goes on");
  }
  REWRAP_TRY(passed);
  if (report.from_version == 0) report.from_version = report.to_version - 1;
  if (report.resumed) {
    REWRAP_ASSIGN(report.quarantined, count_set_aside(store, keyset, first_target));
  }
  // Damaged segments still name an old version, so the rekey stays unfinished; quarantined DEKs
  // have left their segments.
  if (!report.stopped && report.damaged_segments.empty())
    REWRAP_TRY(finish_rekey(store, name, *keyring));
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return report;
}

Result<RekeyReport> plan_rekey(Store* store, const std::string& name, Keyring* keyring) {
  REWRAP_ASSIGN(auto snapshot, store->snapshot());
  REWRAP_ASSIGN(const KeysetRecord keyset, load_keyset(*snapshot, name, keyring));
  REWRAP_TRY(open_versions_in_use(*snapshot, keyset, keyring).status());
  RekeyReport report;
  report.resumed = keyset.rekey_target != 0;
  REWRAP_ASSIGN(const bool worn_out, is_worn_out(*snapshot, keyset));
  report.to_version =
      report.resumed && !worn_out ? keyset.rekey_target : keyset.current_version + 1;
  REWRAP_ASSIGN(const Work work, find_work(*snapshot, keyset, report.to_version));
  report.from_version = work.oldest;
  report.custody = keyset.custody;
  report.deks = keyset.live_deks;
  report.rewrapped = work.deks;
  return report;
}

}  // namespace rewrap
