// Metrics in Prometheus' text format 0.0.4. Any thread.
#ifndef REWRAP_API_NATIVE_METRICS_H_
#define REWRAP_API_NATIVE_METRICS_H_

#include <atomic>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "api/http/server.h"
#include "api/service/service.h"

namespace rewrap::native {

// MetricsText puts the text together. Names and help are the caller's: letters, digits and '_'.
class MetricsText {
 public:
  using Labels = std::initializer_list<std::pair<std::string_view, std::string_view>>;

  // family begins a metric; what value adds belongs to it. `type` is "counter" or "gauge".
  void family(std::string_view name, std::string_view type, std::string_view help);
  void value(double value, Labels labels = {});

  [[nodiscard]] std::string take() && { return std::move(text_); }

 private:
  std::string name_;
  std::string text_;
};

// ResponseCounts counts answers by class of status. Any thread.
class ResponseCounts {
 public:
  void count(int status);
  void write(MetricsText* text) const;

 private:
  std::atomic<std::uint64_t> by_class_[6]{};  // by the first digit; 0: none of these
  std::atomic<std::uint64_t> unauthorised_{0};
  std::atomic<std::uint64_t> too_many_{0};
};

void write_http(const HttpCounters& counters, MetricsText* text);

// write_service adds jobs by state, what runs and how fast, and keysets. Reads the database.
void write_service(Service* service, MetricsText* text);

}  // namespace rewrap::native

#endif  // REWRAP_API_NATIVE_METRICS_H_
