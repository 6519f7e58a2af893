// Lines are put together first, and written at once.
#include "api/log/json_log.h"

#include <unistd.h>

#include <array>
#include <boost/json/serialize.hpp>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <string>
#include <utility>

namespace rewrap {
namespace {

constexpr std::array kLevels = {LogLevel::kDebug, LogLevel::kInfo, LogLevel::kWarning,
                                LogLevel::kError};

// time_text gives the time in UTC to the millisecond, RFC 3339.
std::string time_text() {
  using std::chrono::system_clock;
  const auto now = std::chrono::floor<std::chrono::milliseconds>(system_clock::now());
  const std::time_t seconds = system_clock::to_time_t(now);
  const auto ms = static_cast<int>(now.time_since_epoch().count() % 1000);
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  std::array<char, 32> day{};
  std::array<char, 40> text{};
  static_cast<void>(std::strftime(day.data(), day.size(), "%Y-%m-%dT%H:%M:%S", &parts));
  static_cast<void>(std::snprintf(text.data(), text.size(), "%s.%03dZ", day.data(), ms));
  return text.data();
}

void write_all(int fd, std::string_view line) {
  while (!line.empty()) {
    const ssize_t len = ::write(fd, line.data(), line.size());
    if (len < 0 && errno == EINTR) continue;
    if (len <= 0) return;
    line.remove_prefix(static_cast<std::size_t>(len));
  }
}

// sequence_len gives the length of the UTF-8 sequence at the front of `text` (RFC 3629), 0 if none.
std::size_t sequence_len(std::string_view text) {
  const auto at = [&](std::size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U;
  };
  const unsigned first = at(0);
  if (first < 0x80) return 1;
  const std::size_t len = first >= 0xC2 && first < 0xE0   ? 2
                          : first >= 0xE0 && first < 0xF0 ? 3
                          : first >= 0xF0 && first < 0xF5 ? 4
                                                          : 0;
  for (std::size_t i = 1; i < len; ++i) {
    if ((at(i) & 0xC0U) != 0x80U) return 0;
  }
  const bool overlong = (first == 0xE0 && at(1) < 0xA0) || (first == 0xF0 && at(1) < 0x90);
  const bool surrogate = first == 0xED && at(1) >= 0xA0;
  const bool too_large = first == 0xF4 && at(1) >= 0x90;
  return overlong || surrogate || too_large ? 0 : len;
}

}  // namespace

const char* log_level_name(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return "debug";
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kWarning:
      return "warning";
    case LogLevel::kError:
      return "error";
  }
  return "unknown";
}

std::optional<LogLevel> find_log_level(std::string_view name) {
  for (const LogLevel level : kLevels) {
    if (name == log_level_name(level)) return level;
  }
  return std::nullopt;
}

void JsonLog::write(LogLevel level, Literal message, boost::json::object fields) {
  if (!logs(level)) return;
  boost::json::object event{
      {"time", time_text()}, {"level", log_level_name(level)}, {"message", message.c_str()}};
  for (auto& field : fields) event[field.key()] = std::move(field.value());
  const std::string line = boost::json::serialize(event) + "\n";
  const std::lock_guard lock(mutex_);
  write_all(fd_, line);
}

void JsonLog::debug(Literal message, boost::json::object fields) {
  write(LogLevel::kDebug, message, std::move(fields));
}
void JsonLog::info(Literal message, boost::json::object fields) {
  write(LogLevel::kInfo, message, std::move(fields));
}
void JsonLog::warning(Literal message, boost::json::object fields) {
  write(LogLevel::kWarning, message, std::move(fields));
}
void JsonLog::error(Literal message, boost::json::object fields) {
  write(LogLevel::kError, message, std::move(fields));
}

boost::json::object status_fields(const Status& status) {
  boost::json::object fields{{"error", status.describe()}, {"code", errc_name(status.code())}};
  if (*status.hint() != '\0') fields["hint"] = status.hint();
  return fields;
}

std::string utf8_or_escaped(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const std::size_t len = sequence_len(text);
    if (len == 0) {
      std::array<char, 8> escape{};
      static_cast<void>(std::snprintf(escape.data(), escape.size(), "\\x%02X",
                                      static_cast<unsigned>(static_cast<unsigned char>(text[0]))));
      out += escape.data();
    } else {
      out += text.substr(0, len);
    }
    text.remove_prefix(len == 0 ? 1 : len);
  }
  return out;
}

}  // namespace rewrap
