// Verb: bench. How fast each implementation re-wraps on this machine, in cache and without a store.
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <iostream>
#include <thread>
#include <vector>

#include "hsm/random.h"
#include "tools/rewrap/cli.h"

namespace rewrap {
namespace {

namespace json = boost::json;

constexpr std::size_t kDekLen = 32;
constexpr std::size_t kBatch = 2048;
constexpr std::size_t kAadLen = 16;  // of each key, as a keyset's DEK ids
constexpr unsigned kRounds = 5;      // of slices in turn, so that a drifting clock hits all alike
constexpr WrapAlgorithm kAlgorithms[] = {WrapAlgorithm::kKw, WrapAlgorithm::kGcm};

struct BenchArgs {
  std::string implementation;
  unsigned milliseconds = 200;  // for each number
  bool list = false;
};

// Keks are random and nobody's.
struct Keks {
  Kek from;
  Kek to;
};

Result<Kek> random_kek() {
  REWRAP_ASSIGN(SecretBuffer key, SecretBuffer::create(32));
  REWRAP_TRY(random_bytes(key.expose_secret()));
  return Kek::create(std::move(key));
}

// Lane is one thread's transform and its batch; lanes share nothing.
struct alignas(128) Lane {
  std::unique_ptr<Transform> transform;
  std::unique_ptr<IvSource> ivs;
  Bytes in;
  Bytes out;
  Bytes verdicts = Bytes(kBatch);
  Bytes aad = Bytes(kBatch * kAadLen);
  double rate = 0;  // keys per second of CPU time in the last slice
  bool ok = true;

  Status run() {
    const AadColumn column{aad, kAadLen, kAadLen};
    return transform->run({in, out, verdicts, column, column});
  }
};

WrapSide side_of(WrapAlgorithm algorithm, const Kek& kek, IvSource* ivs) {
  return {algorithm, &kek, {{}, ivs}};
}

// fill_wraps fills a lane's input with wraps of random keys.
Status fill_wraps(const Implementation& implementation, WrapAlgorithm algorithm, const Keks& keks,
                  Lane* lane) {
  IvSource ivs(1, 0, kBatch);
  REWRAP_ASSIGN(auto wrapper, implementation.make({kDekLen, std::nullopt,
                                                   side_of(algorithm, keks.from, &ivs), false}));
  REWRAP_ASSIGN(SecretBuffer deks, SecretBuffer::create(kBatch * kDekLen));
  REWRAP_TRY(random_bytes(deks.expose_secret()));
  lane->in.resize(kBatch * wrapper->out_len());
  const AadColumn column{lane->aad, kAadLen, kAadLen};
  return wrapper->run({deks.expose_secret(), lane->in, lane->verdicts, {}, column});
}

Result<Lane> make_lane(const Implementation& implementation, WrapAlgorithm algorithm,
                       const Keks& keks) {
  Lane lane;
  lane.ivs = std::make_unique<IvSource>(2, 0, kMaxGcmWraps);
  REWRAP_ASSIGN(lane.transform,
                implementation.make({kDekLen, side_of(algorithm, keks.from, nullptr),
                                     side_of(algorithm, keks.to, lane.ivs.get()), false}));
  REWRAP_TRY(fill_wraps(implementation, algorithm, keks, &lane));
  lane.out.resize(lane.in.size());
  REWRAP_TRY(lane.run());
  if (std::count(lane.verdicts.begin(), lane.verdicts.end(), kIntact) != kBatch) {
    return Status(Errc::kInternal, "good wraps were refused", "run rewrap selftest");
  }
  return lane;
}

// Row is one number of the table.
struct Row {
  const Implementation* implementation;
  WrapAlgorithm algorithm;
  unsigned threads;
  Status absent;  // why it cannot be measured
  std::vector<Lane> lanes;
  std::vector<double> rates;  // keys per second, one for each round

  [[nodiscard]] double rate() const {
    std::vector<double> sorted = rates;
    std::sort(sorted.begin(), sorted.end());
    return sorted.empty() ? 0 : sorted[sorted.size() / 2];
  }
};

// The time that this thread has had a CPU: what other programs take away does not count.
double cpu_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

void run_lane(Lane* lane, const std::atomic<bool>& stop) {
  const double start = cpu_seconds();
  std::uint64_t num_keys = 0;
  do {
    lane->ok = lane->run().ok();
    num_keys += kBatch;
  } while (lane->ok && !stop.load(std::memory_order_relaxed));
  lane->rate = per_second(num_keys, cpu_seconds() - start);
}

bool run_slice(Row* row, double seconds) {
  std::atomic<bool> stop{false};
  std::vector<std::jthread> threads;
  for (Lane& lane : row->lanes) {
    threads.emplace_back([lane = &lane, &stop] { run_lane(lane, stop); });
  }
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
  stop = true;
  threads.clear();  // joins
  double rate = 0;
  bool ok = true;
  for (const Lane& lane : row->lanes) {
    rate += lane.rate;
    ok = ok && lane.ok;
  }
  row->rates.push_back(rate);
  return ok;
}

Row make_row(const Implementation& implementation, WrapAlgorithm algorithm, unsigned threads,
             const Keks& keks) {
  Row row{&implementation, algorithm, threads, {}, {}, {}};
  for (unsigned t = 0; t < threads; ++t) {
    auto lane = make_lane(implementation, algorithm, keks);
    if (!lane.ok()) {
      row.absent = lane.status();
      row.lanes.clear();
      return row;
    }
    row.lanes.push_back(std::move(lane).value());
  }
  return row;
}

// chosen gives the implementations to be measured: all that run here, or one and the last, which
// the others are compared with. Each has passed its self-test.
Result<std::vector<const Implementation*>> chosen(const std::string& name) {
  std::vector<const Implementation*> list;
  if (!name.empty()) {
    REWRAP_ASSIGN(const Implementation* one, choose_implementation(name));
    list.push_back(one);
  }
  for (const Implementation& implementation : implementations()) {
    const bool is_last = &implementation == &implementations().back();
    if (!implementation.runs_on(cpu_features()) || (!name.empty() && !is_last) ||
        implementation.name == name)
      continue;
    REWRAP_ASSIGN(const Implementation* one, choose_implementation(implementation.name));
    list.push_back(one);
  }
  return list;
}

// show_progress writes one line on stderr if that is a terminal, and takes it back if `text` is
// empty.
void show_progress(const GlobalOptions& global, const std::string& text) {
  if (global.quiet || isatty(STDERR_FILENO) == 0) return;
  static_cast<void>(std::fprintf(stderr, "\r\033[K%s", text.c_str()));
}

Status measure(const GlobalOptions& global, const BenchArgs& args, std::vector<Row>* rows) {
  for (unsigned round = 1; round <= kRounds; ++round) {
    for (Row& row : *rows) {
      if (!row.absent.ok()) continue;
      show_progress(global, "round " + std::to_string(round) + " of " + std::to_string(kRounds) +
                                ": " + algorithm_name(row.algorithm) + ", " +
                                row.implementation->name + ", " + std::to_string(row.threads) +
                                " threads");
      if (!run_slice(&row, args.milliseconds * 1e-3 / kRounds)) {
        show_progress(global, "");
        return Status(Errc::kInternal, "an implementation failed while it was measured",
                      "run rewrap selftest");
      }
    }
  }
  show_progress(global, "");
  return {};
}

// times_last is the row's rate over that of the portable implementation; 0 if there is none.
double times_last(const std::vector<Row>& rows, const Row& row) {
  for (const Row& other : rows) {
    if (other.implementation == &implementations().back() && other.algorithm == row.algorithm &&
        other.threads == row.threads && other.rate() > 0)
      return row.rate() / other.rate();
  }
  return 0;
}

template <typename... Args>
std::string format(const char* pattern, Args... args) {
  std::array<char, 160> text{};
  static_cast<void>(std::snprintf(text.data(), text.size(), pattern, args...));
  return text.data();
}

std::string format_cell(const std::vector<Row>& rows, const Row& row) {
  if (!row.absent.ok()) return format("%14s %7s", "-", "-");
  return format("%10.2f M/s %6.1fx", row.rate() / 1e6, times_last(rows, row));
}

void print_table(const std::vector<Row>& rows) {
  const std::string baseline = std::string("over ") + implementations().back().name;
  std::cout << "re-wraps per second of 32-byte DEKs, AES-256, " << kBatch << " in a call; "
            << baseline << " in the same run\n"
            << format("%-16s %7s", "", "threads");
  for (const WrapAlgorithm algorithm : kAlgorithms)
    std::cout << "  " << format("%14s %7s", algorithm_name(algorithm), "");
  std::cout << '\n';
  // A line for each implementation and number of threads; the algorithms lie side by side.
  for (const Row& first : rows) {
    if (first.algorithm != kAlgorithms[0]) continue;
    std::cout << format("%-16s %7u", first.implementation->name, first.threads);
    for (const Row& row : rows) {
      if (row.implementation == first.implementation && row.threads == first.threads)
        std::cout << "  " << format_cell(rows, row);
    }
    std::cout << '\n';
  }
}

void print_results(const std::vector<Row>& rows) {
  json::array results;
  json::array absent;
  for (const Row& row : rows) {
    json::object entry = {{"implementation", row.implementation->name},
                          {"algorithm", algorithm_name(row.algorithm)},
                          {"threads", row.threads}};
    if (row.absent.ok()) {
      entry["keys_per_second"] = row.rate();
      entry[std::string("times_") + implementations().back().name] = times_last(rows, row);
      results.push_back(std::move(entry));
    } else {
      entry["reason"] = row.absent.message();
      absent.push_back(std::move(entry));
    }
  }
  print_json({{"dek_length", kDekLen},
              {"batch", kBatch},
              {"results", std::move(results)},
              {"absent", std::move(absent)}});
}

int run_list(const GlobalOptions& global) {
  json::array list;
  bool is_default = true;
  for (const Implementation& implementation : implementations()) {
    const bool runs = implementation.runs_on(cpu_features());
    list.push_back({{"name", implementation.name},
                    {"description", implementation.description},
                    {"needs", implementation.needs},
                    {"runs", runs},
                    {"default", runs && is_default}});
    if (!global.json) {
      const char* verdict = !runs ? "not on this CPU" : (is_default ? "default" : "runs here");
      std::cout << format("%-10s %-16s", implementation.name, verdict) << implementation.description
                << "; needs " << implementation.needs << '\n';
    }
    is_default = is_default && !runs;
  }
  if (global.json) print_json({{"implementations", std::move(list)}});
  return kExitDone;
}

int run_bench(const GlobalOptions& global, const BenchArgs& args) {
  const auto list = chosen(args.implementation);
  if (!list.ok()) return fail("--implementation", list.status());
  auto from = random_kek();
  auto to = random_kek();
  if (!from.ok()) return fail("bench", from.status());
  if (!to.ok()) return fail("bench", to.status());
  const Keks keks{std::move(from).value(), std::move(to).value()};
  std::vector<unsigned> threads = {1};
  if (default_threads() > 1) threads.push_back(default_threads());
  std::vector<Row> rows;
  for (const Implementation* implementation : list.value()) {
    for (const unsigned num : threads) {
      for (const WrapAlgorithm algorithm : kAlgorithms)
        rows.push_back(make_row(*implementation, algorithm, num, keks));
    }
  }
  if (const Status status = measure(global, args, &rows); !status.ok())
    return fail("bench", status);
  if (global.json) {
    print_results(rows);
  } else {
    print_table(rows);
  }
  return kExitDone;
}

}  // namespace

void add_bench_commands(const Cli& cli) {
  const GlobalOptions* global = cli.global;
  auto args = std::make_shared<BenchArgs>();
  Verb verb =
      cli.app.add_verb("bench", "measure every implementation on this machine, without a store",
                       [=] { return args->list ? run_list(*global) : run_bench(*global, *args); });
  verb.add_flag("--list", &args->list, "list the implementations and measure nothing");
  verb.add_option("--implementation", &args->implementation,
                  "measure only this one, beside the portable one");
  verb.add_option("--milliseconds", &args->milliseconds, "how long to measure each number")
      .between(10U, 5000U)
      .shows_default();
}

}  // namespace rewrap
