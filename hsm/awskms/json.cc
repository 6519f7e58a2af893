// Recursive descent over the text. A string's bytes are only compared with quotes, backslashes and
// blanks: none of them is base64, so a key's digits take no branch of their own.
#include "hsm/awskms/json.h"

#include <algorithm>
#include <charconv>
#include <utility>

namespace rewrap {
namespace {

constexpr int kMaxDepth = 16;
constexpr std::string_view kSimpleEscapes = "\"\\/bfnrt";
constexpr std::string_view kMeanings = "\"\\/\b\f\n\r\t";

class Reader {
 public:
  explicit Reader(std::string_view text) : rest_(text) {}

  [[nodiscard]] std::string_view rest() const { return rest_; }

  void skip_blanks() {
    const std::size_t blanks = rest_.find_first_not_of(" \t\r\n");
    rest_.remove_prefix(std::min(blanks, rest_.size()));
  }

  // take takes `token` away, if it is next.
  bool take(std::string_view token) {
    if (!rest_.starts_with(token)) return false;
    rest_.remove_prefix(token.size());
    return true;
  }

  // read_string reads a string and gives what is between its quotes.
  bool read_string(std::string_view* inside) {
    if (!take("\"")) return false;
    const std::string_view begin = rest_;
    while (!rest_.empty() && rest_.front() != '"') {
      if (static_cast<unsigned char>(rest_.front()) < 0x20) return false;
      if (take("\\")) {
        if (!skip_escape()) return false;
      } else {
        rest_.remove_prefix(1);
      }
    }
    *inside = begin.substr(0, begin.size() - rest_.size());
    return take("\"");
  }

  bool skip_value(int depth) {
    std::string_view ignored;
    if (rest_.starts_with('"')) return read_string(&ignored);
    if (take("{")) return depth < kMaxDepth && skip_members(depth + 1);
    if (take("[")) return depth < kMaxDepth && skip_elements(depth + 1);
    if (take("true") || take("false") || take("null")) return true;
    return skip_number();
  }

  // skip_members goes on behind '{' to behind '}'.
  bool skip_members(int depth) {
    skip_blanks();
    if (take("}")) return true;
    for (;;) {
      std::string_view name;
      if (!read_name(&name) || !skip_value(depth)) return false;
      skip_blanks();
      if (take("}")) return true;
      if (!take(",")) return false;
    }
  }

  // read_name reads a member's name and its colon.
  bool read_name(std::string_view* name) {
    skip_blanks();
    if (!read_string(name)) return false;
    skip_blanks();
    if (!take(":")) return false;
    skip_blanks();
    return true;
  }

 private:
  bool skip_escape() {
    if (rest_.empty()) return false;
    const char c = rest_.front();
    rest_.remove_prefix(1);
    if (c != 'u') return kSimpleEscapes.find(c) != std::string_view::npos;
    constexpr std::size_t kNumDigits = 4;
    const auto digits = rest_.substr(0, kNumDigits);
    if (digits.size() < kNumDigits ||
        digits.find_first_not_of("0123456789abcdefABCDEF") != std::string_view::npos) {
      return false;
    }
    rest_.remove_prefix(kNumDigits);
    return true;
  }

  bool skip_elements(int depth) {
    skip_blanks();
    if (take("]")) return true;
    for (;;) {
      skip_blanks();
      if (!skip_value(depth)) return false;
      skip_blanks();
      if (take("]")) return true;
      if (!take(",")) return false;
    }
  }

  bool skip_digits() {
    const std::size_t len = std::min(rest_.find_first_not_of("0123456789"), rest_.size());
    rest_.remove_prefix(len);
    return len > 0;
  }

  bool skip_number() {
    take("-");
    if (!take("0") && !skip_digits()) return false;
    if (take(".") && !skip_digits()) return false;
    if (!take("e") && !take("E")) return true;
    if (!take("+")) take("-");
    return skip_digits();
  }

  std::string_view rest_;
};

// unescape writes the string `raw` to `out`, which has room for raw.size() bytes, and gives its length;
// none if it holds what is not ASCII.
std::optional<std::size_t> unescape(std::string_view raw, char* out) {
  std::size_t len = 0;
  bool is_ascii = true;
  while (!raw.empty()) {
    char c = raw.front();
    std::size_t used = 1;
    if (c == '\\' && raw[1] == 'u') {
      unsigned value = 0;
      std::from_chars(raw.data() + 2, raw.data() + 6, value, 16);
      is_ascii &= value < 0x80;
      c = static_cast<char>(value & 0x7f);
      used = 6;
    } else if (c == '\\') {
      c = kMeanings[kSimpleEscapes.find(raw[1])];
      used = 2;
    }
    is_ascii &= static_cast<unsigned char>(c) < 0x80;
    out[len++] = c;
    raw.remove_prefix(used);
  }
  if (!is_ascii) return std::nullopt;
  return len;
}

}  // namespace

std::optional<JsonObject> JsonObject::parse(ByteView text) {
  Reader reader(as_text(text));
  reader.skip_blanks();
  if (!reader.take("{")) return std::nullopt;
  const std::string_view members = reader.rest();
  if (!reader.skip_members(1)) return std::nullopt;
  reader.skip_blanks();
  if (!reader.rest().empty()) return std::nullopt;
  return JsonObject(members);
}

std::optional<std::string_view> JsonObject::value(std::string_view wanted) const {
  std::optional<std::string_view> found;
  Reader reader(members_);
  reader.skip_blanks();
  if (reader.take("}")) return found;
  for (;;) {
    std::string_view name;
    reader.read_name(&name);
    const std::string_view begin = reader.rest();
    reader.skip_value(1);
    if (name == wanted && found.has_value()) return std::nullopt;
    if (name == wanted) found = begin.substr(0, begin.size() - reader.rest().size());
    reader.skip_blanks();
    if (!reader.take(",")) return found;
  }
}

std::optional<JsonObject> JsonObject::object(std::string_view name) const {
  const auto found = value(name);
  if (!found.has_value() || !found->starts_with('{')) return std::nullopt;
  return JsonObject(found->substr(1));
}

std::optional<ByteView> JsonObject::string(std::string_view name) const {
  const auto found = value(name);
  if (!found.has_value() || !found->starts_with('"')) return std::nullopt;
  return as_bytes(found->substr(1, found->size() - 2));
}

std::optional<std::string> JsonObject::text(std::string_view name) const {
  const auto raw = string(name);
  if (!raw.has_value()) return std::nullopt;
  std::string out(raw->size(), '\0');
  const auto len = unescape(as_text(*raw), out.data());
  if (!len.has_value()) return std::nullopt;
  out.resize(*len);
  return out;
}

Result<SecretBuffer> JsonObject::secret(std::string_view name) const {
  const Status missing(Errc::kNotFound, "a JSON object lacks a member");
  const auto raw = string(name);
  if (!raw.has_value() || raw->empty()) return missing;
  REWRAP_ASSIGN(SecretBuffer out, SecretBuffer::create(raw->size()));
  const auto len = unescape(as_text(*raw), reinterpret_cast<char*>(out.expose_secret().data()));
  if (!len.has_value()) return missing;
  out.shrink_to(*len);
  return out;
}

}  // namespace rewrap
