// What every answer has in common.
#include "api/ontap/reply.h"

#include <array>
#include <boost/json/serialize.hpp>
#include <cstdio>
#include <ctime>
#include <utility>

namespace rewrap::ontap {
namespace {

// digits reads `len` decimal digits at the front of `*text`, and takes them off it.
bool digits(std::string_view* text, std::size_t len, int* out) {
  if (text->size() < len) return false;
  *out = 0;
  for (const char c : text->substr(0, len)) {
    if (c < '0' || c > '9') return false;
    *out = *out * 10 + (c - '0');
  }
  text->remove_prefix(len);
  return true;
}

bool skip(std::string_view* text, char c) {
  if (!text->starts_with(c)) return false;
  text->remove_prefix(1);
  return true;
}

// offset_seconds reads "Z", "+01:00" or "-0500" to the end of `text`.
std::optional<std::int64_t> offset_seconds(std::string_view text) {
  if (text == "Z") return 0;
  if (text.empty() || (text[0] != '+' && text[0] != '-')) return std::nullopt;
  const std::int64_t sign = text[0] == '-' ? -1 : 1;
  text.remove_prefix(1);
  int hours = 0;
  int minutes = 0;
  if (!digits(&text, 2, &hours)) return std::nullopt;
  skip(&text, ':');
  if (!digits(&text, 2, &minutes) || !text.empty() || hours > 23 || minutes > 59)
    return std::nullopt;
  return sign * (hours * std::int64_t{3600} + minutes * std::int64_t{60});
}

}  // namespace

HttpResponse json_response(int status, const boost::json::object& body, bool hal) {
  HttpResponse response;
  response.status = status;
  response.content_type = hal ? "application/hal+json" : "application/json";
  response.headers = {{"Cache-Control", "no-cache,no-store,must-revalidate"}};
  response.body = boost::json::serialize(body) + "\n";
  return response;
}

bool wants_hal(std::optional<std::string_view> accept) {
  if (!accept) return true;
  const std::size_t json = accept->find("application/json");
  const std::size_t hal = accept->find("application/hal+json");
  return json == std::string_view::npos || hal != std::string_view::npos;
}

boost::json::object link(std::string_view href) { return {{"href", href}}; }
boost::json::object self_link(std::string_view href) { return {{"self", link(href)}}; }

boost::json::object job_link(std::string_view uuid) {
  return {{"uuid", uuid}, {"_links", self_link("/api/cluster/jobs/" + std::string(uuid))}};
}

std::string format_time(std::uint64_t seconds) {
  const auto time = static_cast<std::time_t>(seconds);
  std::tm parts{};
  if (gmtime_r(&time, &parts) == nullptr) return "1970-01-01T00:00:00+00:00";
  std::array<char, 64> text{};
  const std::size_t len =
      std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%S+00:00", &parts);
  return {text.data(), len};
}

std::optional<std::int64_t> parse_time(std::string_view text) {
  std::tm parts{};
  if (!digits(&text, 4, &parts.tm_year) || !skip(&text, '-') || !digits(&text, 2, &parts.tm_mon) ||
      !skip(&text, '-') || !digits(&text, 2, &parts.tm_mday) || !skip(&text, 'T') ||
      !digits(&text, 2, &parts.tm_hour) || !skip(&text, ':') || !digits(&text, 2, &parts.tm_min) ||
      !skip(&text, ':') || !digits(&text, 2, &parts.tm_sec))
    return std::nullopt;
  if (parts.tm_mon < 1 || parts.tm_mon > 12 || parts.tm_mday < 1 || parts.tm_mday > 31 ||
      parts.tm_hour > 23 || parts.tm_min > 59 || parts.tm_sec > 60)
    return std::nullopt;
  const auto offset = offset_seconds(text);
  if (!offset) return std::nullopt;
  parts.tm_year -= 1900;
  parts.tm_mon -= 1;
  return static_cast<std::int64_t>(timegm(&parts)) - *offset;
}

std::string encode_percent(std::string_view text) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  constexpr std::string_view kUnreserved = "-._~";
  std::string encoded;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
        kUnreserved.find(c) != std::string_view::npos) {
      encoded.push_back(c);
    } else {
      encoded.push_back('%');
      encoded.push_back(kHex[byte >> 4]);
      encoded.push_back(kHex[byte & 15]);
    }
  }
  return encoded;
}

}  // namespace rewrap::ontap
