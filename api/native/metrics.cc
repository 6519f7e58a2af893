// Names follow Prometheus' conventions: a prefix, base units, _total for counters.
#include "api/native/metrics.h"

#include <array>
#include <cstdio>

namespace rewrap::native {
namespace {

constexpr std::array kStates = {JobState::kQueued,    JobState::kRunning, JobState::kPaused,
                                JobState::kSucceeded, JobState::kFailed,  JobState::kCancelled,
                                JobState::kIncomplete};

std::string escaped(std::string_view value) {
  std::string out;
  for (const char c : value) {
    if (c == '\\' || c == '"') out.push_back('\\');
    if (c == '\n') {
      out += "\\n";
    } else {
      out.push_back(c);
    }
  }
  return out;
}

void write_jobs(const std::vector<Job>& jobs, MetricsText* text) {
  text->family("rewrap_jobs", "gauge", "Jobs on record, by state.");
  for (const JobState state : kStates) {
    std::uint64_t count = 0;
    for (const Job& job : jobs) count += job.state == state ? 1U : 0U;
    text->value(static_cast<double>(count), {{"state", job_state_name(state)}});
  }
  const auto each = [&](std::string_view name, std::string_view help, auto value_of) {
    text->family(name, "gauge", help);
    for (const Job& job : jobs) {
      if (has_ended(job.state)) continue;
      const std::string uuid = format_uuid(job.uuid);
      text->value(value_of(job), {{"keyset", job.keyset}, {"job", uuid}});
    }
  };
  each("rewrap_job_deks_done", "DEKs that a job under way has done.",
       [](const Job& job) { return static_cast<double>(job.progress.done); });
  each("rewrap_job_deks", "DEKs that a job under way has to do.",
       [](const Job& job) { return static_cast<double>(job.progress.total); });
  each("rewrap_job_deks_per_second", "Rate of a job under way, lately.",
       [](const Job& job) { return job.progress.deks_per_second; });
  each("rewrap_job_seconds_left", "Time left to a job under way; 0 if nobody knows.",
       [](const Job& job) { return job.progress.seconds_left; });
}

void write_keysets(const std::vector<KeysetInfo>& keysets, MetricsText* text) {
  text->family("rewrap_keyset_deks", "gauge", "DEKs of a keyset, without those in quarantine.");
  for (const KeysetInfo& keyset : keysets)
    text->value(static_cast<double>(keyset.deks), {{"keyset", keyset.name}});
  text->family("rewrap_keyset_kek_version", "gauge", "Current KEK version of a keyset.");
  for (const KeysetInfo& keyset : keysets)
    text->value(static_cast<double>(keyset.current_version), {{"keyset", keyset.name}});
}

}  // namespace

void MetricsText::family(std::string_view name, std::string_view type, std::string_view help) {
  name_ = name;
  text_.append("# HELP ").append(name).append(" ").append(help).append("\n");
  text_.append("# TYPE ").append(name).append(" ").append(type).append("\n");
}

void MetricsText::value(double value, Labels labels) {
  text_ += name_;
  char separator = '{';
  for (const auto& [name, label] : labels) {
    text_.append(1, separator).append(name).append("=\"").append(escaped(label)).append("\"");
    separator = ',';
  }
  if (separator == ',') text_ += "}";
  std::array<char, 40> number{};
  static_cast<void>(std::snprintf(number.data(), number.size(), " %.15g\n", value));
  text_ += number.data();
}

void ResponseCounts::count(int status) {
  const int digit = status / 100;
  ++by_class_[digit >= 1 && digit <= 5 ? digit : 0];
  if (status == 401) ++unauthorised_;
  if (status == 429) ++too_many_;
}

void ResponseCounts::write(MetricsText* text) const {
  static constexpr std::array<const char*, 6> kNames = {"none", "1xx", "2xx", "3xx", "4xx", "5xx"};
  text->family("rewrap_http_responses_total", "counter", "Answers, by class of status.");
  for (std::size_t i = 0; i < kNames.size(); ++i)
    text->value(static_cast<double>(by_class_[i].load()), {{"class", kNames[i]}});
  text->family("rewrap_http_unauthorised_total", "counter", "Refused log-ins (401).");
  text->value(static_cast<double>(unauthorised_.load()));
  text->family("rewrap_http_rate_limited_total", "counter", "Requests told to wait (429).");
  text->value(static_cast<double>(too_many_.load()));
}

void write_http(const HttpCounters& counters, MetricsText* text) {
  const auto one = [&](std::string_view name, std::string_view type, std::string_view help,
                       std::uint64_t value) {
    text->family(name, type, help);
    text->value(static_cast<double>(value));
  };
  one("rewrap_http_connections", "gauge", "Open connections.", counters.open_connections);
  one("rewrap_http_connections_max", "gauge", "The limit in force.", counters.max_connections);
  one("rewrap_http_accepted_total", "counter", "Connections taken.", counters.accepted);
  one("rewrap_http_refused_total", "counter", "Connections above a limit.", counters.refused);
  one("rewrap_http_failed_handshakes_total", "counter", "TLS handshakes that failed.",
      counters.failed_handshakes);
  one("rewrap_http_requests_total", "counter", "Requests.", counters.requests);
  one("rewrap_http_bad_requests_total", "counter", "Requests that no front end saw.",
      counters.bad_requests);
  one("rewrap_http_timeouts_total", "counter", "Clients that were too slow.", counters.timeouts);
  one("rewrap_http_unanswered_total", "counter", "Requests dropped by a handler.",
      counters.unanswered);
}

void write_service(Service* service, MetricsText* text) {
  text->family("rewrap_ready", "gauge", "1 if store and database answer.");
  text->value(service->is_ready().ok() ? 1 : 0);
  if (const auto jobs = service->jobs().list({}); jobs.ok()) write_jobs(jobs.value(), text);
  if (const auto keysets = service->keysets().list(); keysets.ok())
    write_keysets(keysets.value(), text);
}

}  // namespace rewrap::native
