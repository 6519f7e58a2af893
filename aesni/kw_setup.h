// Key schedules of the fused key wrap: AES key expansion (FIPS 197 §5.2) and what is folded into
// the last round keys (kernels.h). Everything is built in place, in the caller's secret memory.
//
// For one file per instruction set each, with internal linkage, like kw_core.h.
#ifndef REWRAP_AESNI_KW_SETUP_H_
#define REWRAP_AESNI_KW_SETUP_H_

#include <immintrin.h>

#include "aesni/kernels.h"

namespace rewrap::aesni {
namespace {

#define REWRAP_INLINE __attribute__((always_inline)) inline

REWRAP_INLINE uint64_t load64(const void* at) {
  uint64_t v;
  __builtin_memcpy(&v, at, sizeof v);
  return v;
}
REWRAP_INLINE void store64(void* at, uint64_t v) { __builtin_memcpy(at, &v, sizeof v); }

// counter gives a step's number as it is XORed to A.
uint64_t counter(size_t step) { return __builtin_bswap64(step); }

uint64_t low(const Line& line) { return load64(line.bytes); }
uint64_t high(const Line& line) { return load64(line.bytes + 8); }

void fill(Line* line, uint64_t lo, uint64_t hi) {
  for (size_t i = 0; i < sizeof line->bytes; i += 16) {
    store64(line->bytes + i, lo);
    store64(line->bytes + i + 8, hi);
  }
}

// S-box of the four bytes of a word. The CPU's instruction, so no table whose cache lines would
// tell.
uint32_t sub_word(uint32_t word) {
  const __m128i words = _mm_set1_epi32(static_cast<int>(word));
  return static_cast<uint32_t>(_mm_cvtsi128_si32(_mm_aeskeygenassist_si128(words, 0)));
}

uint32_t load_word(const Line* keys, size_t i) {
  uint32_t word;
  __builtin_memcpy(&word, keys[i / 4].bytes + i % 4 * 4, sizeof word);
  return word;
}
void store_word(Line* keys, size_t i, uint32_t word) {
  __builtin_memcpy(keys[i / 4].bytes + i % 4 * 4, &word, sizeof word);
}

void expand_key(KwHalf* half, const uint8_t* key, size_t key_len) {
  const size_t key_words = key_len / 4;
  half->num_rounds = key_words + 6;
  Line* keys = half->keys;
  __builtin_memcpy(keys[0].bytes, key, 16);
  for (size_t i = 4; i < key_words; ++i) {
    uint32_t word;
    __builtin_memcpy(&word, key + 4 * i, sizeof word);
    store_word(keys, i, word);
  }
  uint32_t round_constant = 1;
  for (size_t i = key_words; i < 4 * (half->num_rounds + 1); ++i) {
    uint32_t word = load_word(keys, i - 1);
    if (i % key_words == 0) {
      word = sub_word(word >> 8 | word << 24) ^ round_constant;
      round_constant = round_constant << 1 ^ (round_constant >> 7) * 0x11b;
    } else if (key_words == 8 && i % key_words == 4) {
      word = sub_word(word);
    }
    store_word(keys, i, load_word(keys, i - key_words) ^ word);
  }
  for (size_t i = 0; i <= half->num_rounds; ++i) fill(&keys[i], low(keys[i]), high(keys[i]));
}

// invert_key makes it the schedule of the equivalent inverse cipher (FIPS 197 §5.3.5).
void invert_key(KwHalf* half) {
  Line* keys = half->keys;
  const size_t n = half->num_rounds;
  for (size_t i = 0; i < n - i; ++i) {
    const uint64_t lo = low(keys[i]);
    const uint64_t hi = high(keys[i]);
    fill(&keys[i], low(keys[n - i]), high(keys[n - i]));
    fill(&keys[n - i], lo, hi);
  }
  for (size_t i = 1; i < n; ++i) {
    const __m128i key = _mm_load_si128(reinterpret_cast<const __m128i*>(keys[i].bytes));
    const __m128i inverse = _mm_aesimc_si128(key);
    fill(&keys[i], static_cast<uint64_t>(_mm_cvtsi128_si64(inverse)),
         static_cast<uint64_t>(_mm_extract_epi64(inverse, 1)));
  }
}

// Whitening is what a block gets before its first round.
struct Whitening {
  uint64_t a;
  uint64_t r;
};
Whitening whitening(const KwHalf& half) { return {low(half.keys[0]), high(half.keys[0])}; }

// fold_unwrap: W^-1 takes the steps 6n down to 1. A block that comes out of step t goes into step
// t - 1, except that each R_i leaves after its step t = i, and A after step 1: those are whitened
// for what is `next`. The last A also has the expected value removed from it.
void fold_unwrap(KwHalf* half, size_t n, uint64_t icv, Whitening next) {
  const Line& final = half->keys[half->num_rounds];
  const Whitening own = whitening(*half);
  for (size_t t = 6 * n; t >= 1; --t) {
    const uint64_t a = t == 1 ? icv ^ next.a : own.a ^ counter(t - 1);
    const uint64_t r = t <= n ? next.r : own.r;
    fill(&half->last[6 * n - t], low(final) ^ a, high(final) ^ r);
  }
}

// fold_wrap: W takes the steps 1 to 6n; each R_i leaves after its step t = 5n + i, A after step 6n.
void fold_wrap(KwHalf* half, size_t n) {
  const Line& final = half->keys[half->num_rounds];
  const Whitening own = whitening(*half);
  for (size_t t = 1; t <= 6 * n; ++t) {
    const uint64_t a = t == 6 * n ? 0 : own.a;
    const uint64_t r = t > 5 * n ? 0 : own.r;
    fill(&half->last[t - 1], low(final) ^ a ^ counter(t), high(final) ^ r);
  }
}

void set_up_schedules(KwState* state, size_t n, const KwSide* from, const KwSide* to) {
  state->num_semiblocks = n;
  state->out_r = 0;
  Whitening first{};  // of the wrap, with the integrity check value that it starts from
  if (to != nullptr) {
    expand_key(&state->wrap, to->key, to->key_len);
    fold_wrap(&state->wrap, n);
    first = whitening(state->wrap);
    first.a ^= to->icv;
    state->in_a = first.a;
    state->in_r = first.r;
  }
  if (from != nullptr) {
    expand_key(&state->unwrap, from->key, from->key_len);
    invert_key(&state->unwrap);
    const Whitening own = whitening(state->unwrap);
    state->in_a = own.a ^ counter(6 * n);
    state->in_r = own.r;
    // Without a wrap to follow, the rows stay whitened by the KEK's own key: no plain key rests
    // there.
    if (to == nullptr) {
      first = {0, own.r};
      state->out_r = own.r;
    }
    fold_unwrap(&state->unwrap, n, from->icv, first);
    state->expected = first.a;
  }
}

}  // namespace
}  // namespace rewrap::aesni

#endif  // REWRAP_AESNI_KW_SETUP_H_
