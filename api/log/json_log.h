// A log of JSON lines, e.g. {"time":"2026-01-02T03:04:05.678Z","level":"info","message":"..."}.
#ifndef REWRAP_API_LOG_JSON_LOG_H_
#define REWRAP_API_LOG_JSON_LOG_H_

#include <atomic>
#include <boost/json/object.hpp>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "engine/base/status.h"

namespace rewrap {

enum class LogLevel : std::uint8_t { kDebug = 0, kInfo = 1, kWarning = 2, kError = 3 };
const char* log_level_name(LogLevel level);  // "debug", "info", "warning", "error"
std::optional<LogLevel> find_log_level(std::string_view name);

// JsonLog writes each event as one line with one write, so that lines never mix. What goes in is the
// caller's care: no header, no body, no secret. Any thread.
class JsonLog {
 public:
  // Writes to `fd`, which stays the caller's. A line that cannot be written is lost: the log must not
  // be able to stop the daemon. What has to be kept is in the audit log.
  explicit JsonLog(int fd) : fd_(fd) {}

  void set_level(LogLevel level) { level_ = level; }
  [[nodiscard]] bool logs(LogLevel level) const { return level >= level_; }

  // `message` is the same for every event of its kind; what differs goes into `fields`.
  void write(LogLevel level, Literal message, boost::json::object fields = {});
  void debug(Literal message, boost::json::object fields = {});
  void info(Literal message, boost::json::object fields = {});
  void warning(Literal message, boost::json::object fields = {});
  void error(Literal message, boost::json::object fields = {});

 private:
  const int fd_;
  std::atomic<LogLevel> level_{LogLevel::kInfo};
  std::mutex mutex_;
};

// status_fields gives a failure as {"error":...,"code":...,"hint":...}.
boost::json::object status_fields(const Status& status);

// utf8_or_escaped gives text that any JSON reader takes: bytes that are no UTF-8, as in a path that a
// client made up, are written as \xNN.
std::string utf8_or_escaped(std::string_view text);

}  // namespace rewrap

#endif  // REWRAP_API_LOG_JSON_LOG_H_
