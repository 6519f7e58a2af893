// Products of binary polynomials out of integer products.
#include "engine/ghash.h"

#include <algorithm>

namespace rewrap {
namespace {

__extension__ using Wide = unsigned __int128;

// Every fifth bit, from bit `first` on. An integer product of two such numbers adds up at most 13
// ones in each place (64 / 5, rounded up), and 13 fits into the five places up to the next: so the
// lowest bit of each sum is the sum without carries, and no sum runs into its neighbour.
constexpr std::size_t kSpacing = 5;
constexpr Wide every_fifth(std::size_t first) {
  Wide mask = 0;
  for (std::size_t bit = first; bit < 128; bit += kSpacing) mask |= Wide{1} << bit;
  return mask;
}
constexpr std::array<Wide, kSpacing> kMasks = {every_fifth(0), every_fifth(1), every_fifth(2),
                                               every_fifth(3), every_fifth(4)};

// carryless_product multiplies two polynomials over GF(2), bit i being the coefficient of x^i.
Wide carryless_product(std::uint64_t a, std::uint64_t b) {
  std::array<Wide, kSpacing> sums{};
  for (std::size_t i = 0; i < kSpacing; ++i) {
    const std::uint64_t a_part = a & static_cast<std::uint64_t>(kMasks[i]);
    for (std::size_t j = 0; j < kSpacing; ++j) {
      const std::uint64_t b_part = b & static_cast<std::uint64_t>(kMasks[j]);
      sums[(i + j) % kSpacing] ^= Wide{a_part} * b_part;
    }
  }
  Wide product = 0;
  for (std::size_t k = 0; k < kSpacing; ++k) product |= sums[k] & kMasks[k];
  return product;
}

}  // namespace

// SP 800-38D §6.3: the first bit of a block is the coefficient of x^0, so a block, read as a
// number, is its polynomial back to front; the product of two of them is too, but one place low.
Ghash::Block Ghash::multiply(Block a, Block b) {
  const Wide highs = carryless_product(a.high, b.high);
  const Wide lows = carryless_product(a.low, b.low);
  const Wide middle = carryless_product(a.high ^ a.low, b.high ^ b.low) ^ highs ^ lows;
  Wide high = highs ^ (middle >> 64);
  Wide low = lows ^ (middle << 64);
  high = high << 1 | low >> 127;
  low <<= 1;
  // x^128 is x^7 + x^2 + x + 1, and a step to the right is a factor of x. What leaves on the right
  // is x^128 and more once again.
  low ^= low << 127 ^ low << 126 ^ low << 121;
  high ^= low ^ low >> 1 ^ low >> 2 ^ low >> 7;
  return {static_cast<std::uint64_t>(high >> 64), static_cast<std::uint64_t>(high)};
}

void Ghash::absorb_block(const std::uint8_t* block) {
  sum_ = multiply({sum_.high ^ load_be64(block), sum_.low ^ load_be64(block + 8)}, key_);
}

void Ghash::absorb(ByteView bytes) {
  while (!bytes.empty()) {
    if (partial_len_ == 0 && bytes.size() >= kBlockLen) {
      absorb_block(bytes.data());
      bytes = bytes.subspan(kBlockLen);
      continue;
    }
    const std::size_t take = std::min(bytes.size(), kBlockLen - partial_len_);
    copy_bytes(ByteSpan(partial_).subspan(partial_len_), bytes.first(take));
    partial_len_ += take;
    bytes = bytes.subspan(take);
    if (partial_len_ == kBlockLen) pad();
  }
}

void Ghash::pad() {
  if (partial_len_ == 0) return;
  std::fill(partial_.begin() + static_cast<std::ptrdiff_t>(partial_len_), partial_.end(),
            std::uint8_t{0});
  absorb_block(partial_.data());
  partial_len_ = 0;
}

std::array<std::uint8_t, kBlockLen> Ghash::finish(std::size_t aad_len, std::size_t ciphertext_len) {
  std::array<std::uint8_t, kBlockLen> block{};
  store_be64(block.data(), std::uint64_t{aad_len} * 8);
  store_be64(block.data() + 8, std::uint64_t{ciphertext_len} * 8);
  absorb_block(block.data());
  store_be64(block.data(), sum_.high);
  store_be64(block.data() + 8, sum_.low);
  return block;
}

}  // namespace rewrap
