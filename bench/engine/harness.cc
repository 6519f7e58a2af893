// Rounds of slices, medians and ratios.
#include "bench/engine/harness.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <ctime>
#include <thread>

namespace rewrap::bench {
namespace {

// The time that this thread has had a CPU.
double cpu_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

double run_alone(const Case& entry, unsigned thread, std::uint64_t turns, bool* ok) {
  const double start = cpu_seconds();
  for (std::uint64_t i = 0; i < turns && *ok; ++i) *ok = entry.turn(thread);
  return cpu_seconds() - start;
}

// Finish is where a thread says how it ended; on cache lines of its own.
struct alignas(128) Finish {
  double seconds = 0;
  bool ok = true;
};

// All threads start together; the slowest of them counts.
double run_together(const Case& entry, std::uint64_t turns, bool* ok) {
  std::vector<Finish> finishes(entry.threads);
  std::vector<std::jthread> threads;
  std::atomic<unsigned> waiting{entry.threads};
  std::atomic<bool> go{false};
  for (unsigned t = 0; t < entry.threads; ++t) {
    threads.emplace_back([&, t] {
      waiting.fetch_sub(1);
      while (!go.load(std::memory_order_acquire)) {
      }
      finishes[t].seconds = run_alone(entry, t, turns, &finishes[t].ok);
    });
  }
  while (waiting.load() != 0) std::this_thread::yield();
  go.store(true, std::memory_order_release);
  threads.clear();  // joins
  double seconds = 0;
  for (const Finish& finish : finishes) {
    seconds = std::max(seconds, finish.seconds);
    *ok = *ok && finish.ok;
  }
  return seconds;
}

double run_slice(const Case& entry, std::uint64_t turns, bool* ok) {
  return entry.threads == 1 ? run_alone(entry, 0, turns, ok) : run_together(entry, turns, ok);
}

bool complain(const Case& entry) {
  static_cast<void>(std::fprintf(stderr, "engine_bench: %s failed\n", entry.id.c_str()));
  return false;
}

// Progress is one line on stderr, if that is a terminal.
void show_progress(unsigned round, unsigned rounds, const std::string& id) {
  static const bool is_terminal = isatty(STDERR_FILENO) != 0;
  if (!is_terminal) return;
  static_cast<void>(std::fprintf(stderr, "\r\033[Kround %u of %u  %s", round, rounds, id.c_str()));
}

void clear_progress() {
  if (isatty(STDERR_FILENO) != 0) static_cast<void>(std::fputs("\r\033[K", stderr));
}

double quantile(const std::vector<double>& sorted, double fraction) {
  const double at = fraction * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(at);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (at - std::floor(at)) * (sorted[above] - sorted[below]);
}

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

void write_tags(std::FILE* file, const Tags& tags) {
  for (const auto& [name, value] : tags)
    static_cast<void>(std::fprintf(file, "%s: %s, ", quoted(name).c_str(), quoted(value).c_str()));
}

// write_list writes a JSON array, one element a line.
template <typename List, typename Write>
void write_list(std::FILE* file, const char* name, const List& list, const Write& write) {
  static_cast<void>(std::fprintf(file, ",\n\"%s\": [", name));
  const char* separator = "\n";
  for (const auto& element : list) {
    static_cast<void>(std::fprintf(file, "%s{", separator));
    write(element);
    static_cast<void>(std::fputc('}', file));
    separator = ",\n";
  }
  static_cast<void>(std::fputc(']', file));
}

}  // namespace

Estimate estimate(std::vector<double> samples) {
  if (samples.empty()) return {};
  std::sort(samples.begin(), samples.end());
  const double median = quantile(samples, 0.5);
  return {median, (quantile(samples, 0.75) - quantile(samples, 0.25)) / 2 / median};
}

void Harness::add(Case entry) {
  if (!wants(entry.id)) return;
  by_id_[entry.id] = cases_.size();
  cases_.push_back({std::move(entry), 1, {}});
}

// Doubles the turns until they fill a good part of a slice; that warms caches and pages up too.
bool Harness::calibrate(Measured* measured) const {
  bool ok = true;
  while (true) {
    const double seconds = run_slice(measured->entry, measured->turns, &ok);
    if (!ok) return complain(measured->entry);
    if (seconds >= settings_.slice_seconds) return true;
    if (seconds >= settings_.slice_seconds / 8) {
      const double scale = settings_.slice_seconds / seconds;
      measured->turns =
          static_cast<std::uint64_t>(std::ceil(static_cast<double>(measured->turns) * scale));
      return true;
    }
    measured->turns *= 2;
  }
}

bool Harness::run() {
  for (Measured& measured : cases_) {
    show_progress(0, settings_.rounds, measured.entry.id);
    if (!calibrate(&measured)) return false;
  }
  for (unsigned round = 1; round <= settings_.rounds; ++round) {
    for (Measured& measured : cases_) {
      show_progress(round, settings_.rounds, measured.entry.id);
      bool ok = true;
      const double seconds = run_slice(measured.entry, measured.turns, &ok);
      if (!ok) return complain(measured.entry);
      const auto units = static_cast<double>(measured.turns * measured.entry.units) *
                         static_cast<double>(measured.entry.threads);
      measured.samples.push_back(seconds * 1e9 / units);
    }
  }
  clear_progress();
  return true;
}

std::vector<double> Harness::samples_of(const Ratio& ratio) const {
  const auto over = by_id_.find(ratio.over);
  const auto under = by_id_.find(ratio.under);
  std::vector<double> samples;
  if (over == by_id_.end() || under == by_id_.end()) return samples;
  for (unsigned i = 0; i < settings_.rounds; ++i) {
    samples.push_back(ratio.factor * cases_[over->second].samples[i] /
                      cases_[under->second].samples[i]);
  }
  return samples;
}

void Harness::print() const {
  for (const Measured& measured : cases_) {
    const Estimate ns = estimate(measured.samples);
    static_cast<void>(std::printf("%-58s %10.3f ns  %9.3f M/s  +-%4.1f %%\n",
                                  measured.entry.id.c_str(), ns.median, 1e3 / ns.median,
                                  ns.noise * 100));
  }
  for (const Ratio& ratio : ratios_) {
    const std::vector<double> samples = samples_of(ratio);
    if (samples.empty()) continue;
    const Estimate value = estimate(samples);
    static_cast<void>(std::printf("%-58s %10.3f  +-%4.1f %%\n", ratio.id.c_str(), value.median,
                                  value.noise * 100));
  }
  for (const Absent& absent : absent_)
    static_cast<void>(std::printf("%-58s absent: %s\n", absent.id.c_str(), absent.why.c_str()));
}

void Harness::write_json(std::FILE* file, const Tags& context) const {
  static_cast<void>(std::fputs("{\"context\": {", file));
  write_tags(file, context);
  static_cast<void>(std::fprintf(file, "\"rounds\": %u, \"slice_seconds\": %g}", settings_.rounds,
                                 settings_.slice_seconds));
  write_list(file, "cases", cases_, [file](const Measured& measured) {
    const Estimate ns = estimate(measured.samples);
    write_tags(file, measured.entry.tags);
    static_cast<void>(std::fprintf(file, "\"id\": %s, \"ns\": %.6g, \"noise\": %.3g",
                                   quoted(measured.entry.id).c_str(), ns.median, ns.noise));
  });
  std::vector<Ratio> known;
  std::copy_if(ratios_.begin(), ratios_.end(), std::back_inserter(known),
               [this](const Ratio& ratio) { return !samples_of(ratio).empty(); });
  write_list(file, "ratios", known, [this, file](const Ratio& ratio) {
    const Estimate value = estimate(samples_of(ratio));
    write_tags(file, ratio.tags);
    static_cast<void>(std::fprintf(file, "\"id\": %s, \"value\": %.6g, \"noise\": %.3g",
                                   quoted(ratio.id).c_str(), value.median, value.noise));
  });
  write_list(file, "absent", absent_, [file](const Absent& absent) {
    static_cast<void>(std::fprintf(file, "\"id\": %s, \"why\": %s", quoted(absent.id).c_str(),
                                   quoted(absent.why).c_str()));
  });
  static_cast<void>(std::fputs("}\n", file));
}

}  // namespace rewrap::bench
