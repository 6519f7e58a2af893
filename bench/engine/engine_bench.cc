// Speed of the engine's transforms by implementation, algorithm, DEK size, batch size and threads,
// beside other libraries one key at a time and beside what the AES instructions of this core can
// do, all measured in one run; ratios are formed here.
//
// Names are paths: kw/rewrap/openssl/dek:32/batch:2048 re-wraps RFC 3394 wraps of 32-byte DEKs,
// 2048 in a call, from one AES-256 KEK to another; gcm/... the engine's GCM records, with 16 bytes
// of additional data for all and 16 for each. Times are per key.
//
// Usage: engine_bench [--rounds=N] [--slice-ms=N] [--filter=TEXT] [--out=FILE]
#include <cstdlib>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <tuple>

#include "bench/engine/ceiling.h"
#include "bench/engine/harness.h"
#include "bench/engine/workload.h"

namespace rewrap::bench {
namespace {

constexpr std::size_t kDekLen = 32;
constexpr std::size_t kSmallBatches[] = {1, 4, 16, 256};
constexpr std::size_t kCacheBatch = 2048;   // in and out lie in the second-level cache
constexpr std::size_t kLargeBatch = 65536;  // in the third-level cache
constexpr std::size_t kKwMemory = 1'000'000;
constexpr std::size_t kGcmMemory = 4'000'000;
// Records that are streamed from memory are treated in calls of this many, so that a slice stays
// short.
constexpr std::size_t kGcmMemoryCall = 250'000;
constexpr std::size_t kBaselineMemoryCall = 10'000;
constexpr unsigned kThreads = 2;
constexpr std::size_t kAgreeBatch = 100;

constexpr std::uint64_t kCeilingSteps = 10'000;
constexpr std::uint64_t kAes256Rounds = 14;

const char* algorithm_tag(WrapAlgorithm algorithm) { return algorithm_name(algorithm); }

std::string id_of(WrapAlgorithm algorithm, Work work, const std::string& who, std::size_t dek_len,
                  std::size_t batch, unsigned threads = 1) {
  std::string id = std::string(algorithm_tag(algorithm)) + "/" + work_name(work) + "/" + who +
                   "/dek:" + std::to_string(dek_len) + "/batch:" + std::to_string(batch);
  return threads == 1 ? id : id + "/threads:" + std::to_string(threads);
}

std::size_t memory_batch(WrapAlgorithm algorithm) {
  return algorithm == WrapAlgorithm::kGcm ? kGcmMemory : kKwMemory;
}

// Bench fills a harness; workloads are made when the first case needs them.
class Bench {
 public:
  explicit Bench(Harness* harness) : harness_(harness) {}

  void add_ceilings();
  bool add_engine(const Implementation& implementation, WrapAlgorithm algorithm);
  bool add_baseline(const BaselineEntry& entry, const BaselineEntry& reference);
  void add_ratios();

 private:
  struct Cell {
    Work work = Work::kRewrap;
    std::size_t dek_len = kDekLen;
    std::size_t batch = kCacheBatch;
    unsigned threads = 1;
  };

  static std::vector<Cell> engine_cells(WrapAlgorithm algorithm);
  static std::vector<Cell> baseline_cells(WrapAlgorithm algorithm);
  // The share of one thread is `batch` keys, but the records in memory are divided.
  static std::size_t keys_of(WrapAlgorithm algorithm, const Cell& cell) {
    return cell.batch == memory_batch(algorithm) ? cell.batch : cell.batch * cell.threads;
  }
  Result<std::shared_ptr<Workload>> workload(WrapAlgorithm algorithm, std::size_t dek_len,
                                             std::size_t num);
  bool add_case(WrapAlgorithm algorithm, const Cell& cell, const std::string& who, const char* kind,
                std::size_t chunk, const std::function<Result<Turn>()>& make);
  void add_ratios_of(WrapAlgorithm algorithm, const std::string& who, const char* baselines);
  void add_ratio(const std::string& what, const std::string& who, const std::string& detail,
                 const std::string& over, const std::string& under, double factor = 1);
  void add_kw_ceiling_ratios(const std::string& who);

  Harness* harness_;
  std::map<std::tuple<WrapAlgorithm, std::size_t, std::size_t>, std::shared_ptr<Workload>> made_;
  std::vector<std::pair<WrapAlgorithm, std::string>> engines_;
  std::vector<std::pair<WrapAlgorithm, std::string>> libraries_;
};

std::vector<Bench::Cell> Bench::engine_cells(WrapAlgorithm algorithm) {
  std::vector<Cell> cells;
  for (const std::size_t dek_len : kDekLens) cells.push_back({Work::kRewrap, dek_len});
  for (const std::size_t batch : kSmallBatches) cells.push_back({Work::kRewrap, kDekLen, batch});
  const std::size_t memory = memory_batch(algorithm);
  cells.push_back({Work::kRewrap, kDekLen, kLargeBatch});
  cells.push_back({Work::kRewrap, kDekLen, memory});
  for (const Work work : {Work::kVerify, Work::kWrap, Work::kUnwrap}) cells.push_back({work});
  cells.push_back({Work::kRewrap, kDekLen, kCacheBatch, kThreads});
  cells.push_back({Work::kRewrap, kDekLen, memory, kThreads});
  return cells;
}

std::vector<Bench::Cell> Bench::baseline_cells(WrapAlgorithm algorithm) {
  std::vector<Cell> cells = {{Work::kRewrap, 16},
                             {Work::kRewrap, 32},
                             {Work::kRewrap, 64},
                             {Work::kRewrap, kDekLen, kCacheBatch, kThreads}};
  if (algorithm == WrapAlgorithm::kGcm) {
    cells.push_back({Work::kRewrap, kDekLen, kGcmMemory});
    cells.push_back({Work::kRewrap, kDekLen, kGcmMemory, kThreads});
  }
  return cells;
}

Result<std::shared_ptr<Workload>> Bench::workload(WrapAlgorithm algorithm, std::size_t dek_len,
                                                  std::size_t num) {
  std::shared_ptr<Workload>& found = made_[{algorithm, dek_len, num}];
  if (!found) {
    REWRAP_ASSIGN(found, Workload::make(algorithm, dek_len, num));
  }
  return found;
}

// add_case is false if `make` refuses; the reason is then in the results.
bool Bench::add_case(WrapAlgorithm algorithm, const Cell& cell, const std::string& who,
                     const char* kind, std::size_t chunk,
                     const std::function<Result<Turn>()>& make) {
  const std::string id = id_of(algorithm, cell.work, who, cell.dek_len, cell.batch, cell.threads);
  auto turn = make();
  if (!turn.ok()) {
    harness_->add(Absent{id, turn.status().message()});
    return false;
  }
  harness_->add(Case{id,
                     {{"algorithm", algorithm_tag(algorithm)},
                      {"work", work_name(cell.work)},
                      {"who", who},
                      {"kind", kind},
                      {"dek", std::to_string(cell.dek_len)},
                      {"batch", std::to_string(cell.batch)},
                      {"threads", std::to_string(cell.threads)}},
                     chunk,
                     cell.threads,
                     std::move(turn).value()});
  return true;
}

// Only the first case of an implementation says that it is absent; false if it gives wrong bytes.
bool Bench::add_engine(const Implementation& implementation, WrapAlgorithm algorithm) {
  const std::string prefix = std::string(algorithm_tag(algorithm)) + "/";
  const auto chosen = choose_implementation(implementation.name);
  if (!chosen.ok()) {
    harness_->add(Absent{prefix + implementation.name, chosen.status().message()});
    return true;
  }
  const auto sample = workload(algorithm, kDekLen, kAgreeBatch);
  if (!sample.ok()) return false;
  const auto trial = engine_turn(implementation, Work::kRewrap, sample.value(), 1, kAgreeBatch);
  if (!trial.ok()) {
    harness_->add(Absent{prefix + implementation.name, trial.status().message()});
    return true;
  }
  const auto references = algorithm == WrapAlgorithm::kGcm ? gcm_baselines() : kw_baselines();
  if (!agrees(trial.value(), references.front(), *sample.value())) return false;
  engines_.emplace_back(algorithm, implementation.name);
  for (const Cell& cell : engine_cells(algorithm)) {
    if (!harness_->wants(id_of(algorithm, cell.work, implementation.name, cell.dek_len, cell.batch,
                               cell.threads)))
      continue;
    const std::size_t num = keys_of(algorithm, cell);
    const std::size_t chunk = num == kGcmMemory ? kGcmMemoryCall : num / cell.threads;
    const auto data = workload(algorithm, cell.dek_len, num);
    if (!data.ok()) return false;
    add_case(algorithm, cell, implementation.name, "engine", chunk, [&] {
      return engine_turn(implementation, cell.work, data.value(), cell.threads, chunk);
    });
  }
  return true;
}

bool Bench::add_baseline(const BaselineEntry& entry, const BaselineEntry& reference) {
  const auto sample = workload(entry.algorithm, kDekLen, kAgreeBatch);
  if (!sample.ok()) return false;
  const auto trial = baseline_turn(entry, sample.value(), 1, kAgreeBatch);
  if (!trial.ok() || !agrees(trial.value(), reference, *sample.value())) return false;
  libraries_.emplace_back(entry.algorithm, entry.name);
  for (const Cell& cell : baseline_cells(entry.algorithm)) {
    if (!harness_->wants(
            id_of(entry.algorithm, cell.work, entry.name, cell.dek_len, cell.batch, cell.threads)))
      continue;
    const std::size_t num = keys_of(entry.algorithm, cell);
    const std::size_t chunk = num == kGcmMemory ? kBaselineMemoryCall : num / cell.threads;
    const auto data = workload(entry.algorithm, cell.dek_len, num);
    if (!data.ok()) return false;
    add_case(entry.algorithm, cell, entry.name, "library", chunk,
             [&] { return baseline_turn(entry, data.value(), cell.threads, chunk); });
  }
  return true;
}

// ---- ceilings ----

const Ceiling* ceiling_named(std::string_view name) {
  for (const Ceiling& ceiling : ceilings()) {
    if (name == ceiling.name && ceiling.runs_on(cpu_features())) return &ceiling;
  }
  return nullptr;
}

const Ceiling* widest_ceiling() {
  const Ceiling* widest = nullptr;
  for (const Ceiling& ceiling : ceilings()) {
    if (ceiling.runs_on(cpu_features())) widest = &ceiling;
  }
  return widest;
}

// The registers that an implementation uses; for those of libraries, the widest there are.
const Ceiling* ceiling_of(const std::string& who) {
  if (who == "vaes512") return ceiling_named("zmm");
  if (who == "vaes256") return ceiling_named("ymm");
  if (who == "aesni") return ceiling_named("xmm");
  return widest_ceiling();
}

std::string throughput_id(const Ceiling& ceiling) {
  return std::string("ceiling/throughput/") + ceiling.name;
}

void Bench::add_ceilings() {
  for (const Ceiling& ceiling : ceilings()) {
    if (!ceiling.runs_on(cpu_features())) continue;
    const auto add = [&](const char* what, std::uint64_t units, auto run) {
      harness_->add(Case{std::string("ceiling/") + what + "/" + ceiling.name,
                         {{"kind", "ceiling"}, {"what", what}, {"who", ceiling.name}},
                         units,
                         1,
                         [run](unsigned) {
                           run(kCeilingSteps);
                           return true;
                         }});
    };
    add("throughput", kCeilingSteps * kCeilingChains * ceiling.blocks, ceiling.throughput);
    add("latency", kCeilingSteps, ceiling.latency);
    add("key_wrap_chain", kCeilingSteps, ceiling.key_wrap_chain);
  }
}

// ---- ratios ----

// AES-256 block operations of one re-wrap: 6n steps each way (SP 800-38F), or the counter blocks
// and the one that masks the tag, each way (SP 800-38D).
double block_operations(WrapAlgorithm algorithm, std::size_t dek_len) {
  const std::size_t one_way = algorithm == WrapAlgorithm::kGcm
                                  ? 1 + (dek_len + kBlockLen - 1) / kBlockLen
                                  : 6 * (dek_len / kSemiblockLen);
  return 2 * static_cast<double>(one_way);
}

void Bench::add_ratio(const std::string& what, const std::string& who, const std::string& detail,
                      const std::string& over, const std::string& under, double factor) {
  std::string id = "ratio/" + what + "/" + who;
  if (!detail.empty()) id += "/" + detail;
  harness_->add(Ratio{id, {{"what", what}, {"who", who}, {"detail", detail}}, over, under, factor});
}

void Bench::add_kw_ceiling_ratios(const std::string& who) {
  const Ceiling* ceiling = ceiling_of(who);
  if (ceiling == nullptr) return;
  const auto kw = WrapAlgorithm::kKw;
  for (const std::size_t dek_len : kDekLens) {
    add_ratio("kw_of_ceiling", who, "dek:" + std::to_string(dek_len), throughput_id(*ceiling),
              id_of(kw, Work::kRewrap, who, dek_len, kCacheBatch),
              block_operations(kw, dek_len) * static_cast<double>(kAes256Rounds));
  }
  add_ratio("kw_of_ceiling", who, "dek:32/memory", throughput_id(*ceiling),
            id_of(kw, Work::kRewrap, who, kDekLen, kKwMemory),
            block_operations(kw, kDekLen) * static_cast<double>(kAes256Rounds));
  add_ratio("kw_one_dek_of_bound", who, "", "ceiling/key_wrap_chain/xmm",
            id_of(kw, Work::kRewrap, who, kDekLen, 1), block_operations(kw, kDekLen));
}

void Bench::add_ratios_of(WrapAlgorithm algorithm, const std::string& who, const char* name) {
  const auto cell = [&](Work work, std::size_t batch, unsigned threads = 1) {
    return id_of(algorithm, work, who, kDekLen, batch, threads);
  };
  const std::size_t memory = memory_batch(algorithm);
  for (const auto& [other_algorithm, other] : libraries_) {
    if (other_algorithm != algorithm) continue;
    const auto theirs = [&, &library = other](std::size_t batch, unsigned threads) {
      return id_of(algorithm, Work::kRewrap, library, kDekLen, batch, threads);
    };
    add_ratio(std::string(name) + "_vs_" + other, who, "cache", theirs(kCacheBatch, 1),
              cell(Work::kRewrap, kCacheBatch));
    add_ratio(std::string(name) + "_vs_" + other, who, "memory", theirs(memory, 1),
              cell(Work::kRewrap, memory));
    add_ratio(std::string(name) + "_vs_" + other, who, "cache, 2 threads",
              theirs(kCacheBatch, kThreads), cell(Work::kRewrap, kCacheBatch, kThreads));
    add_ratio(std::string(name) + "_vs_" + other, who, "memory, 2 threads",
              theirs(memory, kThreads), cell(Work::kRewrap, memory, kThreads));
  }
  if (algorithm == WrapAlgorithm::kKw && who != "ipsecmb") {
    for (const std::size_t batch : {kCacheBatch, memory}) {
      add_ratio("kw_vs_ipsecmb", who, batch == memory ? "memory" : "cache",
                id_of(algorithm, Work::kRewrap, "ipsecmb", kDekLen, batch),
                cell(Work::kRewrap, batch));
    }
  }
  for (const Work work : {Work::kVerify, Work::kWrap, Work::kUnwrap}) {
    add_ratio(std::string(name) + "_" + work_name(work) + "_over_rewrap", who, "",
              cell(work, kCacheBatch), cell(Work::kRewrap, kCacheBatch));
  }
}

void Bench::add_ratios() {
  for (const auto& [algorithm, who] : engines_) {
    const char* name = algorithm_tag(algorithm);
    if (algorithm == WrapAlgorithm::kKw) add_kw_ceiling_ratios(who);
    add_ratios_of(algorithm, who, name);
    const Ceiling* ceiling = ceiling_of(who);
    if (algorithm == WrapAlgorithm::kGcm && ceiling != nullptr) {
      add_ratio("gcm_of_aes_ceiling", who, "dek:32", throughput_id(*ceiling),
                id_of(algorithm, Work::kRewrap, who, kDekLen, kCacheBatch),
                block_operations(algorithm, kDekLen) * static_cast<double>(kAes256Rounds));
    }
  }
  for (const auto* list : {&engines_, &libraries_}) {
    for (const auto& [algorithm, who] : *list) {
      for (const std::size_t batch : {kCacheBatch, memory_batch(algorithm)}) {
        add_ratio(std::string(algorithm_tag(algorithm)) + "_2_threads_over_1", who,
                  batch == kCacheBatch ? "cache" : "memory",
                  id_of(algorithm, Work::kRewrap, who, kDekLen, batch),
                  id_of(algorithm, Work::kRewrap, who, kDekLen, batch, kThreads));
      }
    }
  }
}

// ---- the program ----

Tags context() {
  return {{"openssl", openssl_version()},
          {"libgcrypt", libgcrypt_version()},
          {"nettle", nettle_version()},
          {"botan", botan_version()},
          {"ipsec-mb", ipsecmb_version()},
          {"compiler", REWRAP_BENCH_COMPILER},
          {"flags", REWRAP_BENCH_FLAGS},
          {"cpus", std::to_string(std::thread::hardware_concurrency())},
          {"implementation",
           choose_implementation("").ok() ? choose_implementation("").value()->name : "none"}};
}

bool take(std::string_view argument, std::string_view name, std::string* value) {
  if (!argument.starts_with(name)) return false;
  *value = argument.substr(name.size());
  return true;
}

struct Options {
  Settings settings;
  std::string out;
};

std::optional<Options> parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    std::string value;
    if (take(argv[i], "--rounds=", &value)) {
      options.settings.rounds = static_cast<unsigned>(std::strtoul(value.c_str(), nullptr, 10));
    } else if (take(argv[i], "--slice-ms=", &value)) {
      options.settings.slice_seconds = std::strtod(value.c_str(), nullptr) / 1e3;
    } else if (take(argv[i], "--filter=", &value)) {
      options.settings.filter = value;
    } else if (take(argv[i], "--out=", &value)) {
      options.out = value;
    } else {
      return std::nullopt;
    }
  }
  if (options.settings.rounds == 0 || !(options.settings.slice_seconds > 0)) return std::nullopt;
  return options;
}

int complain(const char* message, int code) {
  static_cast<void>(std::fprintf(stderr, "engine_bench: %s\n", message));
  return code;
}

bool add_all(Bench* bench) {
  bench->add_ceilings();
  for (const auto list : {kw_baselines(), gcm_baselines()}) {
    for (const BaselineEntry& entry : list) {
      if (!bench->add_baseline(entry, list.front())) return false;
    }
  }
  for (const WrapAlgorithm algorithm : {WrapAlgorithm::kKw, WrapAlgorithm::kGcm}) {
    for (const Implementation& implementation : implementations()) {
      if (!bench->add_engine(implementation, algorithm)) return false;
    }
  }
  bench->add_ratios();
  return true;
}

int run_all(int argc, char** argv) {
  const auto options = parse(argc, argv);
  if (!options)
    return complain("usage: [--rounds=N] [--slice-ms=N] [--filter=TEXT] [--out=FILE]", 2);
  Harness harness(options->settings);
  Bench bench(&harness);
  if (!add_all(&bench)) return complain("a library or an implementation gives wrong bytes", 1);
  if (!harness.run()) return 1;
  harness.print();
  if (options->out.empty()) return 0;
  std::FILE* file = std::fopen(options->out.c_str(), "w");
  if (file == nullptr) return complain("the output file cannot be written", 1);
  harness.write_json(file, context());
  return std::fclose(file) == 0 ? 0 : complain("the output file cannot be written", 1);
}

}  // namespace
}  // namespace rewrap::bench

int main(int argc, char** argv) { return rewrap::bench::run_all(argc, argv); }
