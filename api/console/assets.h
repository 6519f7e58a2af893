// The files of the web console, byte for byte as they stand in this folder. Made while building.
#ifndef REWRAP_API_CONSOLE_ASSETS_H_
#define REWRAP_API_CONSOLE_ASSETS_H_

#include <array>
#include <string_view>

namespace rewrap::console {

struct Asset {
  std::string_view name;  // "console.js"
  std::string_view bytes;
};

extern const std::array<Asset, 4> kAssets;

}  // namespace rewrap::console

#endif  // REWRAP_API_CONSOLE_ASSETS_H_
