// Workloads and the steps through them.
#include "bench/engine/workload.h"
#include "hsm/random.h"

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <utility>
#include <vector>

namespace rewrap::bench {
namespace {

constexpr std::size_t kPage = 4096;
constexpr std::array<std::uint8_t, 32> kOldKek = {0x0f, 0x1e, 0x2d, 0x3c};
constexpr std::array<std::uint8_t, 32> kNewKek = {0xf0, 0xe1, 0xd2, 0xc3};

Result<Kek> kek_of(ByteView bytes) {
  REWRAP_ASSIGN(SecretBuffer buffer, SecretBuffer::copy_of(bytes));
  return Kek::create(std::move(buffer));
}

WrapSide side_of(WrapAlgorithm algorithm, const Kek* kek, IvSource* ivs) {
  if (algorithm != WrapAlgorithm::kGcm) return {algorithm, kek};
  return {algorithm, kek, {kAadPrefix, ivs}};
}

TransformSpec spec_of(Work work, WrapAlgorithm algorithm, std::size_t dek_len, const Kek* old_kek,
                      const Kek* new_kek, IvSource* ivs) {
  const WrapSide from = side_of(algorithm, old_kek, nullptr);
  const WrapSide to = side_of(algorithm, new_kek, ivs);
  if (work == Work::kRewrap) return {dek_len, from, to, false};
  if (work == Work::kWrap) return {dek_len, std::nullopt, to, false};
  return {dek_len, from, std::nullopt, work == Work::kVerify};
}

// Share is one thread's part of a workload and its place in it; on cache lines of its own.
struct alignas(128) Share {
  std::size_t first = 0;
  std::size_t count = 0;
  std::size_t next = 0;

  // take gives the place of the next chunk; the last one of a walk may be shorter.
  std::pair<std::size_t, std::size_t> take(std::size_t chunk) {
    if (next == count) next = 0;
    const std::size_t at = first + next;
    const std::size_t num = std::min(chunk, count - next);
    next += num;
    return {at, num};
  }
};

Share share_of(std::size_t num, unsigned threads, unsigned thread) {
  const std::size_t each = num / threads;
  return {thread * each, each, 0};
}

struct EngineThread {
  Share share;
  std::unique_ptr<IvSource> ivs;
  std::unique_ptr<Transform> transform;
};

bool run_chunk(EngineThread* thread, Work work, const Workload& workload, std::size_t chunk) {
  const auto [at, num] = thread->share.take(chunk);
  Transform& transform = *thread->transform;
  const ByteView in = work == Work::kWrap ? workload.deks.span() : workload.wraps.span();
  Batch batch{in.subspan(at * transform.in_len(), num * transform.in_len()),
              workload.results.span().subspan(at * transform.out_len(), num * transform.out_len()),
              workload.verdicts.span().subspan(at, num),
              {},
              {}};
  if (workload.algorithm == WrapAlgorithm::kGcm) {
    const ByteView column = workload.column.span().subspan(at * kAadColumnLen, num * kAadColumnLen);
    if (work != Work::kWrap) batch.from_aad = {column, kAadColumnLen, kAadColumnLen};
    if (work == Work::kWrap || work == Work::kRewrap)
      batch.to_aad = {column, kAadColumnLen, kAadColumnLen};
  }
  return transform.run(batch).ok();
}

struct BaselineThread {
  Share share;
  std::unique_ptr<Baseline> baseline;
};

bool run_chunk(BaselineThread* thread, const Workload& workload, std::size_t chunk) {
  const auto [at, num] = thread->share.take(chunk);
  const std::size_t len = workload.wrap_len();
  for (std::size_t k = at; k < at + num; ++k) {
    if (!thread->baseline->rewrap(workload.wraps.span().data() + k * len,
                                  workload.results.span().data() + k * len,
                                  workload.column.span().data() + k * kAadColumnLen))
      return false;
  }
  return true;
}

Status make_kw_wraps(const Workload& workload, const Kek& kek) {
  const Implementation& portable = implementations().back();
  REWRAP_ASSIGN(auto wrapper, portable.make({workload.dek_len, std::nullopt,
                                             WrapSide{workload.algorithm, &kek}, false}));
  return wrapper->run(workload.deks.span(), workload.wraps.span(), workload.verdicts.span());
}

}  // namespace

const char* work_name(Work work) {
  if (work == Work::kRewrap) return "rewrap";
  if (work == Work::kVerify) return "verify";
  return work == Work::kWrap ? "wrap" : "unwrap";
}

AlignedBytes::AlignedBytes(std::size_t len)
    : bytes_(
          static_cast<std::uint8_t*>(std::aligned_alloc(kPage, (len + kPage - 1) / kPage * kPage))),
      len_(len) {
  if (!bytes_) std::abort();
  std::fill_n(bytes_.get(), len, std::uint8_t{0});  // page faults now, not while measuring
}

void AlignedBytes::Deleter::operator()(std::uint8_t* bytes) const {
  std::free(bytes);  // NOLINT(cppcoreguidelines-no-malloc): aligned_alloc's
}

Workload::Workload(WrapAlgorithm which, std::size_t len, std::size_t count)
    : algorithm(which),
      dek_len(len),
      num(count),
      deks(count * len),
      wraps(count * wrapped_len(which, len)),
      results(count * wrapped_len(which, len)),
      verdicts(count),
      column(count * kAadColumnLen) {}

Result<std::shared_ptr<Workload>> Workload::make(WrapAlgorithm algorithm, std::size_t dek_len,
                                                 std::size_t num) {
  std::shared_ptr<Workload> workload(new Workload(algorithm, dek_len, num));
  REWRAP_TRY(random_bytes(workload->deks.span()));
  REWRAP_TRY(random_bytes(workload->column.span()));
  if (algorithm == WrapAlgorithm::kGcm) {
    REWRAP_TRY(evp_gcm_wrap(kOldKek, kOldVersion, dek_len, workload->deks.span(),
                            workload->column.span(), workload->wraps.span()));
  } else {
    REWRAP_ASSIGN(const Kek kek, kek_of(kOldKek));
    REWRAP_TRY(make_kw_wraps(*workload, kek));
  }
  return workload;
}

Result<Turn> engine_turn(const Implementation& implementation, Work work,
                         const std::shared_ptr<Workload>& workload, unsigned threads,
                         std::size_t chunk) {
  REWRAP_ASSIGN(const Kek old_kek, kek_of(kOldKek));
  REWRAP_ASSIGN(const Kek new_kek, kek_of(kNewKek));
  auto states = std::make_shared<std::vector<EngineThread>>(threads);
  for (unsigned t = 0; t < threads; ++t) {
    EngineThread& state = (*states)[t];
    state.share = share_of(workload->num, threads, t);
    state.ivs = std::make_unique<IvSource>(kNewVersion, 0, kMaxGcmWraps);
    REWRAP_ASSIGN(state.transform,
                  implementation.make(spec_of(work, workload->algorithm, workload->dek_len,
                                              &old_kek, &new_kek, state.ivs.get())));
  }
  return Turn([states, work, workload, chunk](unsigned thread) {
    return run_chunk(&(*states)[thread], work, *workload, chunk);
  });
}

Result<Turn> baseline_turn(const BaselineEntry& entry, const std::shared_ptr<Workload>& workload,
                           unsigned threads, std::size_t chunk) {
  auto states = std::make_shared<std::vector<BaselineThread>>(threads);
  for (unsigned t = 0; t < threads; ++t) {
    BaselineThread& state = (*states)[t];
    state.share = share_of(workload->num, threads, t);
    state.baseline = entry.make(workload->dek_len, kOldKek, kNewKek);
    if (!state.baseline) return Status(Errc::kInternal, "the library cannot be set up");
  }
  return Turn([states, workload, chunk](unsigned thread) {
    return run_chunk(&(*states)[thread], *workload, chunk);
  });
}

bool agrees(const Turn& turn, const BaselineEntry& reference, const Workload& workload) {
  if (!turn(0)) return false;
  const auto judge = reference.make(workload.dek_len, kOldKek, kNewKek);
  Bytes expected(workload.wrap_len());
  for (std::size_t k = 0; k < workload.num; ++k) {
    const std::size_t at = k * workload.wrap_len();
    if (!judge || !judge->rewrap(workload.wraps.span().data() + at, expected.data(),
                                 workload.column.span().data() + k * kAadColumnLen))
      return false;
    if (!std::equal(expected.begin(), expected.end(), workload.results.span().data() + at))
      return false;
  }
  return true;
}

}  // namespace rewrap::bench
