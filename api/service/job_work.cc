// The steps of each kind of job.
#include "api/service/job_work.h"

#include <algorithm>

#include "api/service/key_book.h"
#include "rekey/census.h"
#include "rekey/rekey.h"
#include "rekey/reprotect.h"
#include "rekey/segment_walk.h"
#include "rekey/verify.h"

namespace rewrap {
namespace {

JobOutcome stopped() { return {JobState::kRunning, {Reason::kNone, {}}}; }
JobOutcome failed(const Failure& failure) { return {JobState::kFailed, failure}; }
JobOutcome incomplete(const Failure& failure) { return {JobState::kIncomplete, failure}; }

bool is_stopped(const JobBench& bench) { return bench.stop->load(); }

// failed_at says how a job ends that met `status`. What can be mended from outside makes it pause
// (R9), so that `resume` goes on.
JobOutcome failed_at(const Status& status, bool at_root) {
  switch (status.code()) {
    case Errc::kExhausted:
      if (status.native() == Native::kNone) break;
      return {JobState::kPaused, {Reason::kStorageFull, status}};
    case Errc::kIo:
      return {JobState::kPaused, {Reason::kStorageFailed, status}};
    case Errc::kUnavailable:
      return {JobState::kPaused, {Reason::kTokenLost, status}};
    case Errc::kConflict:
      return failed({Reason::kRekeyRunning, status});
    default:
      break;
  }
  if (at_root) return {JobState::kPaused, {Reason::kRootBlocked, status}};
  return failed({reason_of(status), status});
}

Result<KeysetRecord> read_record(const JobBench& bench, const std::string& name) {
  REWRAP_ASSIGN(auto snapshot, bench.store->snapshot());
  return peek_keyset(*snapshot, name);
}

Result<Census> read_census(const JobBench& bench, const std::string& name) {
  REWRAP_ASSIGN(auto snapshot, bench.store->snapshot());
  return take_census(*snapshot, name);
}

// is_destroyed says whether nothing is left of a KEK version, in the store or in its roots.
Result<bool> is_destroyed(const JobBench& bench, const KeysetRecord& keyset, KekVersion version) {
  REWRAP_ASSIGN(auto snapshot, bench.store->snapshot());
  REWRAP_ASSIGN(const ByteView stored, snapshot->kek_version(keyset.number, version));
  REWRAP_ASSIGN(const KekVersionRecord record, decode_kek_version(stored));
  return record.state == KekState::kDestroyed && record.protectors.empty();
}

// destroy_version lets one KEK version go through the gate, and has it written down before and after.
Status destroy_version(const JobBench& bench, const std::string& name, KekVersion version,
                       Keyring* keyring) {
  REWRAP_TRY(bench.decommissioning(version));
  REWRAP_TRY(decommission(bench.store, name, version, keyring));
  bench.decommissioned(version);
  return {};
}

// RekeyWork does a rekey: rekey(), verify(), decommission(). What is left to do is read from the
// keyset each time; of itself it remembers the two versions only.
class RekeyWork {
 public:
  RekeyWork(const JobBench& bench, const JobPlan& plan, Job* job)
      : bench_(bench), plan_(plan), job_(*job) {}

  JobOutcome run() {
    if (const Status status = choose_versions(); !status.ok()) return failed_at(status, false);
    for (;;) {
      const Result<KeysetRecord> keyset = read_record(bench_, job_.keyset);
      if (!keyset.ok()) return failed_at(keyset.status(), false);
      const Result<bool> as_asked = is_under_root(keyset.value());
      if (!as_asked.ok()) return failed_at(as_asked.status(), false);
      if (keyset->rekey_target == 0 && keyset->current_version >= job_.to_version &&
          as_asked.value()) {
        break;
      }
      JobOutcome outcome = rewrap(keyset.value());
      if (outcome.state != JobState::kSucceeded) return outcome;
    }
    if (const Status status = count_set_aside(); !status.ok()) return failed_at(status, false);
    if (job_.quarantined != 0) return damaged();
    const JobOutcome verified = verify_all();
    if (verified.state != JobState::kSucceeded || !job_.decommission) return verified;
    return decommission_old();
  }

 private:
  // Both versions are durable before the first step: after a crash they tell a rekey that is done
  // from one that has not begun.
  Status choose_versions() {
    if (job_.to_version != 0) return {};
    REWRAP_ASSIGN(const Census census, read_census(bench_, job_.keyset));
    const KeysetRecord& keyset = census.keyset;
    const bool goes_on = keyset.rekey_target != 0 && plan_.root_uri.empty();
    job_.to_version = goes_on ? keyset.rekey_target : keyset.current_version + 1;
    job_.from_version = keyset.current_version - (goes_on ? 1 : 0);
    for (const VersionCount& count : census.versions) {
      if (count.deks != 0) job_.from_version = std::min(job_.from_version, count.version);
    }
    job_.from_key = key_uuid(job_.keyset_uuid, job_.from_version);
    job_.to_key = key_uuid(job_.keyset_uuid, job_.to_version);
    job_.progress.total = keyset.live_deks;
    REWRAP_TRY(note_keys(bench_.store, bench_.db, keyset));
    return enter(JobPhase::kCreatingKek);
  }

  // is_under_root says whether the current KEK is under the root that was asked for. Between two runs of
  // this job somebody else's rekey may have made the version that it was to make.
  Result<bool> is_under_root(const KeysetRecord& keyset) {
    if (plan_.root_uri.empty() || has_made_kek_) return true;
    REWRAP_ASSIGN(auto snapshot, bench_.store->snapshot());
    REWRAP_ASSIGN(const ByteView stored,
                  snapshot->kek_version(keyset.number, keyset.current_version));
    REWRAP_ASSIGN(const KekVersionRecord record, decode_kek_version(stored));
    return std::any_of(
        record.protectors.begin(), record.protectors.end(),
        [&](const Protector& protector) { return protector.root_uri == plan_.root_uri; });
  }

  Status enter(JobPhase phase) {
    job_.phase = phase;
    return bench_.save(job_);
  }

  // rewrap runs one rekey() from where the keyset is. There are two if an unfinished one has to be
  // ended before the new KEK can be made under another root.
  JobOutcome rewrap(const KeysetRecord& before) {
    const bool begins = before.rekey_target == 0;
    std::uint64_t done_before = 0;
    if (const auto census = read_census(bench_, job_.keyset); census.ok() && !begins) {
      for (const VersionCount& count : census->versions) {
        if (count.version == before.rekey_target) done_before = count.deks;
      }
    }
    if (const Status status = enter(begins ? JobPhase::kCreatingKek : JobPhase::kRewrapping);
        !status.ok()) {
      return failed_at(status, false);
    }
    if (done_before != 0) bench_.progress({done_before, job_.progress.total});
    const KekVersion next = begins ? before.current_version + 1 : before.rekey_target;
    Keyring keyring = bench_.roots->keyring(job_.keyset_uuid, bench_.stop, {},
                                            format_uuid(key_uuid(job_.keyset_uuid, next)));
    RekeyOptions options;
    options.root_uri = begins ? plan_.root_uri : "";
    options.implementation = bench_.implementation;
    options.num_threads = bench_.threads;
    options.stop = bench_.stop;
    options.live_rate = bench_.rate;
    Status entered;
    options.progress = [&](const Progress& progress) {
      // The first group is committed: the new KEK is durable.
      if (job_.phase == JobPhase::kCreatingKek) entered = enter(JobPhase::kRewrapping);
      bench_.progress({std::min(done_before + progress.done, progress.total), progress.total});
    };
    const auto report = rekey(bench_.store, job_.keyset, &keyring, options);
    if (!report.ok()) return rewrap_failed(report.status(), keyring, begins);
    if (!entered.ok()) return failed_at(entered, false);
    has_made_kek_ = has_made_kek_ || begins;
    job_.to_version = std::max(job_.to_version, report->to_version);
    job_.to_key = key_uuid(job_.keyset_uuid, job_.to_version);
    job_.quarantined = std::max(job_.quarantined, report->quarantined);
    job_.damaged_segments = report->damaged_segments.size();
    if (const auto keyset = read_record(bench_, job_.keyset); keyset.ok()) {
      if (const Status noted = note_keys(bench_.store, bench_.db, keyset.value()); !noted.ok())
        return failed_at(noted, false);
    }
    if (report->stopped) return stopped();
    if (!report->damaged_segments.empty()) return damaged();
    return {};
  }

  // A new root that does not take the new KEK has changed nothing: the rekey has failed, and the old
  // key serves on.
  JobOutcome rewrap_failed(const Status& status, const Keyring& keyring, bool begins) {
    if (is_stopped(bench_)) return stopped();
    const auto keyset = read_record(bench_, job_.keyset);
    const bool unchanged = keyset.ok() && keyset->rekey_target == 0;
    if (begins && unchanged && !plan_.root_uri.empty() && keyring.root_failed()) {
      if (status.code() == Errc::kNotFound && provider_of_uri(plan_.root_uri))
        return failed({Reason::kProviderHasNoServer, status});
      const bool unreachable = status.code() == Errc::kUnavailable;
      return failed({unreachable ? Reason::kRootUnreachable : Reason::kRootBlocked, status});
    }
    return failed_at(status, keyring.root_failed());
  }

  // count_set_aside counts the DEKs that stay behind under the versions which this rekey has moved
  // away from. A run that was killed after its last commit had no time to note them (R7).
  Status count_set_aside() {
    REWRAP_ASSIGN(const Census census, read_census(bench_, job_.keyset));
    std::uint64_t left = 0;
    for (const VersionCount& count : census.versions) {
      const bool is_old = count.version >= job_.from_version && count.version < job_.to_version;
      left += is_old ? count.quarantined : 0;
    }
    job_.quarantined = std::max(job_.quarantined, left);
    return {};
  }

  [[nodiscard]] JobOutcome damaged() const {
    return incomplete(
        {Reason::kDamagedDeks,
         Status(Errc::kIntegrity,
                "damaged DEKs were left aside; the old KEK version is kept for them",
                "rewrap quarantine list and rewrap verify name them; import good copies")});
  }

  JobOutcome verify_all() {
    if (const Status status = enter(JobPhase::kVerifying); !status.ok())
      return failed_at(status, false);
    Keyring keyring = bench_.roots->keyring(job_.keyset_uuid, bench_.stop);
    const auto report = verify(bench_.store, job_.keyset, &keyring,
                               {bench_.implementation, bench_.threads, {}, bench_.stop});
    if (!report.ok()) {
      if (is_stopped(bench_)) return stopped();
      return failed_at(report.status(), keyring.root_failed());
    }
    if (report->stopped) return stopped();
    if (report->findings.empty()) return {};
    return incomplete({Reason::kVerifyFailed,
                       Status(Errc::kIntegrity, "the verify after the rekey has found damage",
                              "rewrap verify lists it; the old KEK version is kept")});
  }

  // Only versions that this rekey has moved DEKs away from: an older one was kept on purpose.
  JobOutcome decommission_old() {
    if (const Status status = enter(JobPhase::kDecommissioning); !status.ok())
      return failed_at(status, false);
    const auto keyset = read_record(bench_, job_.keyset);
    if (!keyset.ok()) return failed_at(keyset.status(), false);
    // The verify was of the current version. If another rekey has come meanwhile, the gate says no.
    for (KekVersion version = job_.from_version; version < job_.to_version; ++version) {
      if (is_stopped(bench_)) return stopped();
      const auto destroyed = is_destroyed(bench_, keyset.value(), version);
      if (destroyed.status().code() == Errc::kNotFound) continue;  // it was never made
      if (!destroyed.ok()) return failed_at(destroyed.status(), false);
      if (destroyed.value()) continue;  // an interrupted run did it
      Keyring keyring = bench_.roots->keyring(job_.keyset_uuid, bench_.stop);
      const Status status = destroy_version(bench_, job_.keyset, version, &keyring);
      if (status.code() == Errc::kRefused) return incomplete({Reason::kRefusedByGate, status});
      if (!status.ok()) return failed_at(status, keyring.root_failed());
    }
    return {};
  }

  const JobBench& bench_;
  const JobPlan& plan_;
  Job& job_;
  bool has_made_kek_ = false;  // by this run
};

JobOutcome run_reprotect(const JobBench& bench, const JobPlan& plan, Job* job) {
  Keyring keyring = bench.roots->keyring(job->keyset_uuid, bench.stop);
  const auto report = reprotect(bench.store, job->keyset, &keyring, {plan.root_uri, false});
  if (!report.ok()) {
    const Status& status = report.status();
    if (keyring.root_failed()) {
      const bool unreachable = status.code() == Errc::kUnavailable;
      return failed({unreachable ? Reason::kRootUnreachable : Reason::kRootBlocked, status});
    }
    return failed_at(status, false);
  }
  const auto keyset = read_record(bench, job->keyset);
  if (!keyset.ok()) return failed_at(keyset.status(), false);
  Status status = note_keys(bench.store, bench.db, keyset.value());
  if (status.ok() && plan.aws_kms) {
    status = bench.db->write([&](Database& database) {
      return database.run("UPDATE aws_kms SET key_id = ? WHERE uuid = ?", plan.aws_key_id,
                          *plan.aws_kms);
    });
  }
  return status.ok() ? JobOutcome() : failed_at(status, false);
}

JobOutcome run_restore(const JobBench& bench, Job* job) {
  Keyring keyring = bench.roots->keyring(job->keyset_uuid, bench.stop);
  const auto restore = [&]() -> Status {
    REWRAP_ASSIGN(auto snapshot, bench.store->snapshot());
    REWRAP_ASSIGN(const KeysetRecord keyset, load_keyset(*snapshot, job->keyset, &keyring));
    return open_versions_in_use(*snapshot, keyset, &keyring).status();
  };
  const Status status = restore();
  if (status.ok()) return {};
  if (is_stopped(bench)) return stopped();
  if (keyring.root_failed()) return failed({Reason::kRootBlocked, status});
  return failed_at(status, false);
}

JobOutcome run_verify(const JobBench& bench, Job* job) {
  job->phase = JobPhase::kVerifying;
  if (const Status status = bench.save(*job); !status.ok()) return failed_at(status, false);
  Keyring keyring = bench.roots->keyring(job->keyset_uuid, bench.stop);
  const auto report = verify(bench.store, job->keyset, &keyring,
                             {bench.implementation, bench.threads, bench.progress, bench.stop});
  if (!report.ok()) {
    if (is_stopped(bench)) return stopped();
    return failed_at(report.status(), keyring.root_failed());
  }
  if (report->stopped) return stopped();
  job->progress.done = report->ok;
  job->progress.total = report->deks;
  job->quarantined = report->quarantined;
  if (report->findings.empty()) return {};
  return failed({Reason::kVerifyFailed, Status(Errc::kIntegrity, "the verify has found damage",
                                               "rewrap verify lists it")});
}

// The phase is durable before the version goes: a run that was killed in between finds it gone, and
// knows that it was the one to do it.
JobOutcome run_decommission(const JobBench& bench, const JobPlan& plan, Job* job) {
  const bool had_begun = job->phase == JobPhase::kDecommissioning;
  job->phase = JobPhase::kDecommissioning;
  if (const Status status = bench.save(*job); !status.ok()) return failed_at(status, false);
  const auto keyset = read_record(bench, job->keyset);
  if (!keyset.ok()) return failed_at(keyset.status(), false);
  const auto destroyed = is_destroyed(bench, keyset.value(), plan.version);
  if (destroyed.ok() && destroyed.value() && had_begun) return {};
  Keyring keyring = bench.roots->keyring(job->keyset_uuid, bench.stop);
  const Status status = destroy_version(bench, job->keyset, plan.version, &keyring);
  if (status.code() == Errc::kRefused) return failed({Reason::kRefusedByGate, status});
  if (status.code() == Errc::kNotFound) return failed({Reason::kNoSuchKey, status});
  return status.ok() ? JobOutcome() : failed_at(status, keyring.root_failed());
}

}  // namespace

JobOutcome run_job(const JobBench& bench, const JobPlan& plan, Job* job) {
  switch (job->kind) {
    case JobKind::kRekey:
      return RekeyWork(bench, plan, job).run();
    case JobKind::kReprotect:
      return run_reprotect(bench, plan, job);
    case JobKind::kRestore:
      return run_restore(bench, job);
    case JobKind::kVerify:
      return run_verify(bench, job);
    case JobKind::kDecommission:
      return run_decommission(bench, plan, job);
  }
  return failed({Reason::kInternal, Status(Errc::kInternal, "a job of an unknown kind")});
}

}  // namespace rewrap
