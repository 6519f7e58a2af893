// Walks /proc/self/maps.
#include "tests/hsm/memory_search.h"

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

namespace rewrap::test {
namespace {

constexpr std::uint8_t kMask = 0x5a;
constexpr std::size_t kMaxMapping = std::size_t{64} << 20;  // larger ones are a sanitizer's own

constexpr std::size_t kMaxWanted = 16;

// count_in counts places in `memory` that hold the last 16 bytes of the secret: the allocator writes
// its own over the first ones of what is freed.
__attribute__((no_sanitize("address", "undefined"))) std::size_t count_in(
    const std::uint8_t* memory, std::size_t len, const Bytes& secret) {
  const std::size_t want = std::min(secret.size(), kMaxWanted);
  const std::uint8_t* wanted = secret.data() + secret.size() - want;
  std::size_t num_found = 0;
  for (std::size_t i = 0; i + want <= len; ++i) {
    if (memory[i] != (wanted[0] ^ kMask)) continue;
    std::size_t same = 0;
    while (same < want && memory[i + same] == (wanted[same] ^ kMask)) ++same;
    if (same == want) ++num_found;
  }
  return num_found;
}

}  // namespace

Bytes masked(ByteView secret) {
  Bytes out(secret.begin(), secret.end());
  for (std::uint8_t& byte : out) byte ^= kMask;
  return out;
}

std::size_t count_in_process(const Bytes& secret) {
  std::ifstream maps("/proc/self/maps");
  std::vector<std::pair<std::uint64_t, std::uint64_t>> areas;
  for (std::string line; std::getline(maps, line);) {
    std::uint64_t from = 0;
    std::uint64_t to = 0;
    char access[5] = {};
    // NOLINTNEXTLINE(cert-err34-c): the kernel's own words
    if (std::sscanf(line.c_str(), "%lx-%lx %4s", &from, &to, access) != 3) continue;
    if (access[0] == 'r' && access[1] == 'w' && to - from <= kMaxMapping)
      areas.emplace_back(from, to);
  }
  std::size_t num_found = 0;
  for (const auto& [from, to] : areas) {
    num_found += count_in(reinterpret_cast<const std::uint8_t*>(from), to - from, secret);
  }
  return num_found;
}

}  // namespace rewrap::test
