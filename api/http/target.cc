// Request targets, strictly: what two readers could take for different paths is refused.
#include "api/http/target.h"

#include <algorithm>
#include <vector>

namespace rewrap {
namespace {

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// is_sendable says whether every byte may stand in a target. More than RFC 3986 allows, for clients
// send | < > { } in queries as they are; but nothing invisible, no byte above 126, and no fragment.
bool is_sendable(std::string_view target) {
  return std::all_of(target.begin(), target.end(),
                     [](char c) { return c > ' ' && c <= '~' && c != '#'; });
}

// has_hidden_slash finds what is one segment to one reader and two to another.
bool has_hidden_slash(std::string_view path) {
  for (std::size_t i = 0; i < path.size(); ++i) {
    if (path[i] == '\\') return true;
    if (path[i] != '%' || path.size() - i < 3) continue;
    const int value = hex_value(path[i + 1]) * 16 + hex_value(path[i + 2]);
    if (value == '/' || value == '\\') return true;
  }
  return false;
}

// without_authority turns the absolute form into the origin form. False if it is neither.
bool without_authority(std::string_view* target, std::string* authority) {
  if (target->starts_with('/')) return true;
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (!same_header_name(target->substr(0, scheme.size()), scheme)) continue;
    const std::string_view rest = target->substr(scheme.size());
    const std::size_t end = std::min(rest.find_first_of("/?"), rest.size());
    *authority = rest.substr(0, end);
    *target = rest.substr(end);
    // A user name here is for phishing (RFC 9110 section 4.2.4).
    return !authority->empty() && authority->find('@') == std::string::npos;
  }
  return false;
}

int read_query(std::string_view text, std::size_t max_items, std::vector<HttpQueryItem>* query) {
  const auto num_items =
      static_cast<std::size_t>(std::count(text.begin(), text.end(), '&')) + std::size_t{1};
  if (num_items > max_items) return 414;
  query->reserve(num_items);  // a list that grows would leave copies behind
  while (!text.empty()) {
    const std::string_view item = text.substr(0, text.find('&'));
    text.remove_prefix(std::min(item.size() + 1, text.size()));
    if (item.empty()) continue;
    const std::size_t equals = std::min(item.find('='), item.size());
    auto key = decode_percent(item.substr(0, equals), true);
    auto value = decode_percent(item.substr(std::min(equals + 1, item.size())), true);
    if (!key || !value) return 400;
    HttpQueryItem& added = query->emplace_back();
    added.key.swap(*key);
    added.value.swap(*value);
  }
  return 0;
}

}  // namespace

std::string_view plain_beginning(std::string_view target) {
  if (!target.starts_with('/')) return {};
  const auto* end = std::find_if_not(target.begin(), target.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '/' ||
           c == '-' || c == '_';
  });
  return target.substr(0, static_cast<std::size_t>(end - target.begin()));
}

std::optional<std::string> decode_percent(std::string_view text, bool plus) {
  std::string decoded;
  decoded.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+' && plus) {
      decoded.push_back(' ');
    } else if (text[i] != '%') {
      decoded.push_back(text[i]);
    } else {
      if (text.size() - i < 3) return std::nullopt;
      const int high = hex_value(text[i + 1]);
      const int low = hex_value(text[i + 2]);
      if (high < 0 || low < 0 || (high == 0 && low == 0)) return std::nullopt;
      decoded.push_back(static_cast<char>(high * 16 + low));
      i += 2;
    }
  }
  return decoded;
}

std::string remove_dot_segments(std::string_view path) {
  std::string out;
  out.reserve(path.size());
  while (!path.empty()) {
    path.remove_prefix(1);  // the slash
    const std::string_view segment = path.substr(0, path.find('/'));
    path.remove_prefix(segment.size());
    std::string dots;
    // Only short segments can be dots; a longer one is not looked at.
    if (segment.size() <= 6) dots = decode_percent(segment, false).value_or("");
    if (dots == "..") out.erase(std::min(out.rfind('/'), out.size()));
    if (dots == "." || dots == "..") {
      if (path.empty()) out.push_back('/');
      continue;
    }
    out.push_back('/');
    out.append(segment);
  }
  return out;
}

int read_target(const HttpLimits& limits, HttpRequest* request, std::string* authority) {
  std::string_view target = request->target;
  if (target.size() > limits.target_len) return 414;
  if (target == "*" && request->method == "OPTIONS") {
    request->raw_path = request->path = "*";
    return 0;
  }
  if (!is_sendable(target) || !without_authority(&target, authority)) return 400;
  const std::size_t mark = std::min(target.find('?'), target.size());
  request->raw_path = mark == 0 ? "/" : target.substr(0, mark);
  if (has_hidden_slash(request->raw_path)) return 400;
  auto path = decode_percent(remove_dot_segments(request->raw_path), false);
  if (!path) return 400;
  request->path.swap(*path);
  return read_query(target.substr(std::min(mark + 1, target.size())), limits.num_query_items,
                    &request->query);
}

}  // namespace rewrap
