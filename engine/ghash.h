// GHASH (SP 800-38D §6.4) on any CPU in constant time: no tables, no carry-less multiply
// instructions, only integer products. For GCM whose block cipher is elsewhere; where the key is
// here, the kernels and libraries hash far faster.
#ifndef REWRAP_ENGINE_GHASH_H_
#define REWRAP_ENGINE_GHASH_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "engine/base/bytes.h"
#include "engine/wrap_algorithm.h"

namespace rewrap {

// Ghash is a hash that runs over additional data, then over ciphertext. Plain bytes, so that it can
// be kept in secret memory and copied there: whoever has the hash key can forge tags. Belongs to
// one thread.
class Ghash {
 public:
  // The hash key H is 16 bytes: the KEK's encryption of the zero block.
  explicit Ghash(const std::uint8_t* hash_key)
      : key_{load_be64(hash_key), load_be64(hash_key + 8)} {}

  // absorb takes any number of bytes.
  void absorb(ByteView bytes);

  // pad fills up the last block with zeros: after the additional data, and after the ciphertext.
  void pad();

  // finish takes the lengths, in bytes, and gives the hash.
  std::array<std::uint8_t, kBlockLen> finish(std::size_t aad_len, std::size_t ciphertext_len);

 private:
  // 128 bits as the block lies in memory, most significant byte first.
  struct Block {
    std::uint64_t high;
    std::uint64_t low;
  };
  static Block multiply(Block a, Block b);
  void absorb_block(const std::uint8_t* block);

  Block key_;
  Block sum_{0, 0};
  std::array<std::uint8_t, kBlockLen> partial_{};
  std::size_t partial_len_ = 0;
};

}  // namespace rewrap

#endif  // REWRAP_ENGINE_GHASH_H_
