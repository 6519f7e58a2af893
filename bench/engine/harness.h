// A small benchmark harness for ratios: all cases are measured in turn, one short slice each, and
// that round is repeated, so that a drifting clock or a busy neighbour hits all of them alike.
// Ratios are formed within a round; what is reported is the median over the rounds, with half the
// distance of the quartiles as its noise. Time is the CPU time of a thread, with several that of
// the slowest: what other programs take away does not count. Nor would waiting for a lock, which
// could only flatter the libraries: the engine's threads share nothing.
#ifndef REWRAP_BENCH_ENGINE_HARNESS_H_
#define REWRAP_BENCH_ENGINE_HARNESS_H_

#include <cstdint>
#include <cstdio>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace rewrap::bench {

// Tags describe a case or a ratio for whoever makes tables from the JSON: in order, as text.
using Tags = std::vector<std::pair<std::string, std::string>>;

// Case is one thing to be measured. With several threads each calls `turn` with its own number,
// from 0, and `units` is the work of one thread's turn.
struct Case {
  std::string id;
  Tags tags;
  std::uint64_t units = 1;
  unsigned threads = 1;
  std::function<bool(unsigned thread)> turn;  // false ends the program: a failure has no speed
};

// Ratio is factor * (time of `over`) / (time of `under`).
struct Ratio {
  std::string id;
  Tags tags;
  std::string over;
  std::string under;
  double factor = 1;
};

// Absent is what was not measured, and why.
struct Absent {
  std::string id;
  std::string why;
};

struct Settings {
  unsigned rounds = 11;
  double slice_seconds = 0.02;
  std::string filter;  // only cases whose id contains it
};

struct Estimate {
  double median = 0;
  double noise = 0;  // relative
};
Estimate estimate(std::vector<double> samples);

class Harness {
 public:
  explicit Harness(Settings settings) : settings_(std::move(settings)) {}

  void add(Case entry);
  void add(Ratio ratio) { ratios_.push_back(std::move(ratio)); }
  void add(Absent absent) { absent_.push_back(std::move(absent)); }
  [[nodiscard]] bool wants(const std::string& id) const {
    return id.find(settings_.filter) != std::string::npos;
  }

  // run measures everything; false if a case failed, which is named on stderr.
  bool run();

  // print writes a table for people, write_json everything for tools/bench-report.
  void print() const;
  void write_json(std::FILE* file, const Tags& context) const;

 private:
  struct Measured {
    Case entry;
    std::uint64_t turns = 1;      // per slice and thread
    std::vector<double> samples;  // nanoseconds per unit, one per round
  };

  bool calibrate(Measured* measured) const;
  [[nodiscard]] std::vector<double> samples_of(const Ratio& ratio) const;

  Settings settings_;
  std::vector<Measured> cases_;
  std::map<std::string, std::size_t> by_id_;
  std::vector<Ratio> ratios_;
  std::vector<Absent> absent_;
};

}  // namespace rewrap::bench

#endif  // REWRAP_BENCH_ENGINE_HARNESS_H_
