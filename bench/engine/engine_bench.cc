// Speed of the engine's transforms by implementation, DEK size and batch size, beside other
// libraries one key at a time.
//
// One operation treats a whole batch, out of place; the counters are per key. Names are sentences:
// rewrap_kw/openssl/dek:32/batch:2048 re-wraps 2048 RFC 3394 wraps of 32-byte DEKs from one AES-256
// KEK to another.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <array>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "bench/engine/baselines.h"
#include "engine/implementation.h"
#include "engine/mac.h"

namespace rewrap::bench {
namespace {

constexpr std::size_t kDekLensMeasured[] = {16, 32, 64};
constexpr std::size_t kBatches[] = {1, 16, 256, 2048, 65536};
constexpr std::size_t kThreadedBatch = 2048;
constexpr int kThreads = 2;

constexpr std::array<std::uint8_t, 32> kOldKek = {0x0f, 0x1e, 0x2d, 0x3c};
constexpr std::array<std::uint8_t, 32> kNewKek = {0xf0, 0xe1, 0xd2, 0xc3};

Result<Kek> kek_of(ByteView bytes) {
  REWRAP_ASSIGN(SecretBuffer buffer, SecretBuffer::copy_of(bytes));
  return Kek::create(std::move(buffer));
}

enum class Work { kRewrap, kWrap, kCheck };

const char* work_name(Work work) {
  if (work == Work::kRewrap) return "rewrap_kw";
  return work == Work::kWrap ? "wrap_kw" : "check_kw";
}

TransformSpec spec_of(Work work, std::size_t dek_len, const Kek* old_kek, const Kek* new_kek) {
  const WrapSide from{WrapAlgorithm::kKw, old_kek};
  const WrapSide to{WrapAlgorithm::kKw, new_kek};
  if (work == Work::kRewrap) return {dek_len, from, to, false};
  if (work == Work::kWrap) return {dek_len, std::nullopt, to, false};
  return {dek_len, from, std::nullopt, true};
}

// Batch is what a benchmark works on: wraps under the old KEK, or DEKs if the work is to wrap.
struct Batch {
  Bytes in;
  Bytes out;
  Bytes verdicts;
  std::unique_ptr<Transform> transform;

  Status run() { return transform->run(in, out, verdicts); }
};

Result<Batch> make_batch(const Implementation& implementation, Work work, std::size_t dek_len,
                         std::size_t num) {
  REWRAP_ASSIGN(const Kek old_kek, kek_of(kOldKek));
  REWRAP_ASSIGN(const Kek new_kek, kek_of(kNewKek));
  Batch batch;
  Bytes deks(num * dek_len);
  REWRAP_TRY(random_bytes(deks));
  batch.verdicts.resize(num);
  REWRAP_ASSIGN(batch.transform, implementation.make(spec_of(work, dek_len, &old_kek, &new_kek)));
  batch.in.resize(num * batch.transform->in_len());
  batch.out.resize(num * batch.transform->out_len());
  if (work == Work::kWrap) {
    batch.in = std::move(deks);
  } else {
    REWRAP_ASSIGN(auto wrapper,
                  implementation.make(spec_of(Work::kWrap, dek_len, nullptr, &old_kek)));
    REWRAP_TRY(wrapper->run(deks, batch.in, batch.verdicts));
  }
  return batch;
}

// count_keys adds keys/s and time/key (in the JSON: seconds); with several threads these are of all
// of them together.
void count_keys(benchmark::State* state, std::size_t keys_per_turn) {
  using benchmark::Counter;
  const auto num_keys =
      static_cast<double>(keys_per_turn) * static_cast<double>(state->iterations());
  state->counters["keys/s"] = Counter(num_keys, Counter::kIsRate);
  state->counters["time/key"] = Counter(num_keys, Counter::kIsRate | Counter::kInvert);
}

bool all_intact(ByteView verdicts) {
  return std::all_of(verdicts.begin(), verdicts.end(), [](std::uint8_t v) { return v == kIntact; });
}

void measure(benchmark::State& state, const Implementation& implementation, Work work,
             std::size_t dek_len, std::size_t num) {
  auto batch = make_batch(implementation, work, dek_len, num);
  if (!batch.ok()) return state.SkipWithError(batch.status().message());
  for (auto turn : state) {
    static_cast<void>(turn);
    if (!batch->run().ok()) return state.SkipWithError("a run failed");
    benchmark::ClobberMemory();
  }
  if (!all_intact(batch->verdicts)) return state.SkipWithError("good wraps were refused");
  count_keys(&state, num);
}

// rewrap_all lets a baseline walk through a batch of 32-byte DEKs.
bool rewrap_all(Baseline* baseline, const Bytes& in, Bytes* out) {
  for (std::size_t at = 0; at < in.size(); at += kBaselineWrapLen) {
    if (!baseline->rewrap(in.data() + at, out->data() + at)) return false;
  }
  return true;
}

void measure_baseline(benchmark::State& state, const BaselineEntry& entry, std::size_t num) {
  auto batch = make_batch(implementations().back(), Work::kRewrap, kBaselineDekLen, num);
  const auto baseline = entry.make(kOldKek, kNewKek);
  if (!batch.ok() || !baseline) return state.SkipWithError("cannot be set up");
  for (auto turn : state) {
    static_cast<void>(turn);
    if (!rewrap_all(baseline.get(), batch->in, &batch->out))
      return state.SkipWithError("a run failed");
    benchmark::ClobberMemory();
  }
  count_keys(&state, num);
}

// agrees says whether a baseline gives the engine's bytes and refuses a damaged wrap: else its time
// means nothing.
bool agrees(const BaselineEntry& entry) {
  auto batch = make_batch(implementations().back(), Work::kRewrap, kBaselineDekLen, 100);
  const auto baseline = entry.make(kOldKek, kNewKek);
  if (!batch.ok() || !baseline || !batch->run().ok()) return false;
  Bytes out(batch->out.size());
  if (!rewrap_all(baseline.get(), batch->in, &out) || out != batch->out) return false;
  batch->in[kBaselineWrapLen / 2] ^= 1;
  return !rewrap_all(baseline.get(), batch->in, &out);
}

std::string name_of(const std::string& work, const std::string& who, std::size_t dek_len,
                    std::size_t num) {
  return work + "/" + who + "/dek:" + std::to_string(dek_len) + "/batch:" + std::to_string(num);
}

// register_one registers `body` for one thread and, if asked, once more for kThreads.
template <typename Body>
void register_one(const std::string& name, const Body& body, bool threaded) {
  benchmark::RegisterBenchmark(name.c_str(), body);
  if (threaded) benchmark::RegisterBenchmark(name.c_str(), body)->Threads(kThreads)->UseRealTime();
}

void register_work(const Implementation& implementation, Work work, std::size_t dek_len,
                   std::size_t num) {
  const auto body = [&implementation, work, dek_len, num](benchmark::State& state) {
    measure(state, implementation, work, dek_len, num);
  };
  const bool threaded =
      work == Work::kRewrap && dek_len == kBaselineDekLen && num == kThreadedBatch;
  register_one(name_of(work_name(work), implementation.name, dek_len, num), body, threaded);
}

void register_implementation(const Implementation& implementation) {
  for (const std::size_t dek_len : kDekLensMeasured) {
    for (const std::size_t num : kBatches)
      register_work(implementation, Work::kRewrap, dek_len, num);
  }
  for (const Work work : {Work::kCheck, Work::kWrap}) {
    for (const std::size_t num : kBatches)
      register_work(implementation, work, kBaselineDekLen, num);
  }
}

void register_baseline(const BaselineEntry& entry) {
  const auto body = [&entry](benchmark::State& state) {
    measure_baseline(state, entry, kThreadedBatch);
  };
  register_one(name_of("rewrap_kw", entry.name, kBaselineDekLen, kThreadedBatch), body, true);
}

void add_context() {
  benchmark::AddCustomContext("openssl", openssl_version());
  benchmark::AddCustomContext("libgcrypt", libgcrypt_version());
  benchmark::AddCustomContext("nettle", nettle_version());
  benchmark::AddCustomContext("compiler", REWRAP_BENCH_COMPILER);
  benchmark::AddCustomContext("flags", REWRAP_BENCH_FLAGS);
}

int run_all(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  for (const BaselineEntry& entry : baselines()) {
    if (!agrees(entry)) {
      std::cerr << "engine_bench: " << entry.name << " gives other bytes than the engine\n";
      return 1;
    }
    register_baseline(entry);
  }
  for (const Implementation& implementation : implementations()) {
    const auto chosen = choose_implementation(implementation.name);
    if (chosen.ok()) {
      register_implementation(implementation);
    } else {
      std::cerr << "engine_bench: without " << implementation.name << ": "
                << chosen.status().describe() << "\n";
    }
  }
  add_context();
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}

}  // namespace
}  // namespace rewrap::bench

int main(int argc, char** argv) { return rewrap::bench::run_all(argc, argv); }
