// Strict: what is no escape is refused, not passed on.
#include "hsm/percent.h"

#include <charconv>

namespace rewrap {

bool is_uri_byte(char c) { return c > ' ' && c < 0x7f && c != '#'; }

Result<std::string> percent_decode(std::string_view text) {
  const Status broken(Errc::kInvalidArgument, "a percent escape in the URI is broken",
                      "write % as %25");
  std::string out;
  while (!text.empty()) {
    if (text.front() != '%') {
      out.push_back(text.front());
      text.remove_prefix(1);
      continue;
    }
    if (text.size() < 3) return broken;
    unsigned value = 0;
    const char* end = text.data() + 3;
    const auto read = std::from_chars(text.data() + 1, end, value, 16);
    if (read.ec != std::errc() || read.ptr != end || value == 0) return broken;
    out.push_back(static_cast<char>(value));
    text.remove_prefix(3);
  }
  return out;
}

}  // namespace rewrap
