// Responses as bytes.
#include "api/http/response_text.h"

#include <algorithm>
#include <array>
#include <cstdio>

namespace rewrap {
namespace {

constexpr std::array<std::string_view, 7> kServersOwn = {
    "Content-Length", "Transfer-Encoding", "Connection", "Date",
    "X-Request-Id",   "Upgrade",           "Trailer"};

bool is_letter_or_digit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

// is_token is RFC 9110 section 5.6.2.
bool is_token(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return is_letter_or_digit(c) ||
           std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
  });
}

// is_field_value is RFC 9110 section 5.5 without the bytes above 127, which readers disagree on.
bool is_field_value(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return c == '\t' || (c >= ' ' && c <= '~'); });
}

bool has_header(const HttpResponse& response, std::string_view name) {
  return std::any_of(response.headers.begin(), response.headers.end(),
                     [&](const HttpHeader& h) { return same_header_name(h.name, name); });
}

void add_header(std::string_view name, std::string_view value, std::string* text) {
  text->append(name).append(": ").append(value).append("\r\n");
}

}  // namespace

std::string http_date(std::time_t time) {
  static constexpr const char* kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                            "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  std::tm parts{};
  gmtime_r(&time, &parts);
  char text[64];
  const int len = std::snprintf(text, sizeof text, "%s, %02d %s %04d %02d:%02d:%02d GMT",
                                kDays[parts.tm_wday], parts.tm_mday, kMonths[parts.tm_mon],
                                parts.tm_year + 1900, parts.tm_hour, parts.tm_min, parts.tm_sec);
  return {text, static_cast<std::size_t>(len)};
}

bool is_fit_request_id(std::string_view id) {
  return !id.empty() && id.size() <= 64 && std::all_of(id.begin(), id.end(), [](char c) {
    return is_letter_or_digit(c) || c == '.' || c == '_' || c == '-';
  });
}

bool is_sendable_response(const HttpResponse& response) {
  if (response.status < 200 || response.status > 599) return false;
  if (!is_field_value(response.content_type)) return false;
  return std::all_of(response.headers.begin(), response.headers.end(), [](const HttpHeader& h) {
    return is_token(h.name) && is_field_value(h.value) &&
           !same_header_name(h.name, "Content-Type") &&
           std::none_of(kServersOwn.begin(), kServersOwn.end(),
                        [&](std::string_view own) { return same_header_name(own, h.name); });
  });
}

std::string write_response(const HttpResponse& response, const ResponseFrame& frame) {
  // RFC 9110 sections 15.3.5 and 15.4.5: no body, and for 204 no length either.
  const bool bodiless = response.status == 204 || response.status == 304;
  std::string text;
  text.reserve(512 + response.body.size());
  text.append("HTTP/1.1 ").append(std::to_string(response.status)).append(" ");
  text.append(http_reason(response.status)).append("\r\n");
  add_header("Date", http_date(frame.now), &text);
  if (!frame.id.empty()) add_header("X-Request-Id", frame.id, &text);
  if (!bodiless) {
    if (!response.content_type.empty()) add_header("Content-Type", response.content_type, &text);
    add_header("Content-Length", std::to_string(response.body.size()), &text);
  }
  for (const HttpHeader& header : response.headers) add_header(header.name, header.value, &text);
  if (!has_header(response, "Cache-Control")) add_header("Cache-Control", "no-store", &text);
  if (!has_header(response, "X-Content-Type-Options")) {
    add_header("X-Content-Type-Options", "nosniff", &text);
  }
  add_header("Connection", frame.close ? "close" : "keep-alive", &text);
  text.append("\r\n");
  if (!bodiless && !frame.is_head) text.append(response.body);
  return text;
}

}  // namespace rewrap
