// Quoting a client.
#include "api/front/printable.h"

namespace rewrap {

std::string printable(std::string_view text) {
  constexpr std::size_t kMaxShown = 64;
  std::string shown(text.substr(0, kMaxShown));
  for (char& c : shown)
    if (c < ' ' || c > '~' || c == '"') c = '?';
  if (text.size() > kMaxShown) shown += "...";
  return shown;
}

}  // namespace rewrap
