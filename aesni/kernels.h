// The fused kernels: keys are unwrapped, checked and wrapped again without leaving the AES units.
//
// This layer includes nothing of the project and nothing of the C++ library, because its objects
// are compiled for instruction sets that the rest must not use: a stray inline function of theirs
// could end up in everybody's binary. Each object exports one KwKernel and nothing else. Whoever
// calls one has to know that the CPU has what it needs.
//
// Sizes are bytes. Semiblocks (8 bytes) are held as they lie in memory. A KwState belongs to one
// thread at a time.
#ifndef REWRAP_AESNI_KERNELS_H_
#define REWRAP_AESNI_KERNELS_H_

#include <stddef.h>
#include <stdint.h>

namespace rewrap::aesni {

// The kernels take keys of 2 to 8 semiblocks, 16 to 64 bytes.
inline constexpr size_t kMinSemiblocks = 2;
inline constexpr size_t kMaxSemiblocks = 8;

inline constexpr size_t kMaxRounds = 14;  // AES-256
inline constexpr size_t kMaxSteps = 6 * kMaxSemiblocks;
inline constexpr size_t kMaxGroup = 64;  // keys in flight

// Line is a block repeated to the width of the widest vector, and so right for any.
struct alignas(64) Line {
  uint8_t bytes[64];
};

// KwHalf is the key schedule of one direction under one KEK, in the order of use.
//
// A step of key wrap is one AES block operation, an XOR of the step counter, and an exchange of
// halves. The counter, the whitening key of the next block and, in the last step of an unwrap, the
// expected integrity value are folded into the last round key of the step. So a step costs its AES
// rounds and one shuffle, and blocks always rest *whitened*: XORed with the first round key of the
// KEK that works on them next.
struct KwHalf {
  Line keys[kMaxRounds + 1];  // as AES has them; the last only to build `last`
  Line last[kMaxSteps];       // per step: the last round key with all that is folded in
  uint64_t num_rounds;        // 10, 12 or 14
};

struct Block {
  uint64_t a;  // A, or a leftover
  uint64_t r;  // R_i, whitened
};

// KwRows is a group of keys in flight. Row i - 1 holds R_i of every key; A lies in row 0 when a
// half begins, and where the half wrote last when it ends.
struct alignas(64) KwRows {
  Block blocks[kMaxSemiblocks * kMaxGroup];  // row by row, as long as the group is
  Block checks[kMaxGroup];                   // .a: what the unwrap made of A
};

// KwState is all that a kernel works on. It holds the KEKs' schedules and keys in flight, so it
// lives in secret memory.
struct KwState {
  KwHalf unwrap;
  KwHalf wrap;
  KwRows rows[2];  // one group in work, the other being carried out and in
  size_t num_semiblocks;
  uint64_t expected;  // A after the unwrap of an intact key
  uint64_t in_a;      // XORed to A and to each R_i as they come in and go out
  uint64_t in_r;
  uint64_t out_r;
};

// KwSide is one end of the work: a KEK of 16, 24 or 32 bytes, and the integrity check value
// (SP 800-38F §6.2; for KWP of whole semiblocks §6.3, with the length in it).
struct KwSide {
  const uint8_t* key;
  size_t key_len;
  uint64_t icv;
};

struct KwKernel {
  // set_up prepares a state for one kind of work: `from` alone unwraps or checks, `to` alone wraps,
  // both re-wrap.
  void (*set_up)(KwState* state, size_t num_semiblocks, const KwSide* from, const KwSide* to);

  // Each treats `num_keys` keys, back to back: wraps are n + 1 semiblocks, keys n. `out` may be
  // `in` where both have the same length; no other overlap. verdicts[i] becomes 0 if key i is
  // intact, and 1 if it is damaged; then its output is all zero.
  void (*rewrap)(KwState* state, const uint8_t* in, uint8_t* out, uint8_t* verdicts,
                 size_t num_keys);
  void (*wrap)(KwState* state, const uint8_t* in, uint8_t* out, size_t num_keys);
  void (*unwrap)(KwState* state, const uint8_t* in, uint8_t* out, uint8_t* verdicts,
                 size_t num_keys);
  void (*check)(KwState* state, const uint8_t* in, uint8_t* verdicts, size_t num_keys);
};

extern const KwKernel kVaes512Kw;  // AVX-512 F, BW, DQ, VL and VAES
extern const KwKernel kVaes256Kw;  // AVX2 and VAES
extern const KwKernel kAesniKw;    // AES-NI and SSE4.1

}  // namespace rewrap::aesni

#endif  // REWRAP_AESNI_KERNELS_H_
