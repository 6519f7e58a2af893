// The fused key wrap (SP 800-38F §6.1, functions W and W^-1), written once for any vector width.
//
// A key is a serial chain of 6n AES calls in each direction, so many run at once: a register holds
// the current block A || R_i of as many keys as it has lanes, and all registers take step t
// together. The other semiblocks rest in rows, one R_i of every key a row, where the one shuffle of
// a step picks them up. What rests is whitened by the KEK that comes next: no row holds a plain
// key.
//
// While the AES units work on one group of keys, the integer units carry the group before it out
// and the group after it in, a few keys per step. Otherwise the AES units would have to wait for
// that.
//
// For one file per instruction set each. All of it has internal linkage, as these functions must
// not be shared between objects that are compiled for different CPUs.
#ifndef REWRAP_AESNI_KW_CORE_H_
#define REWRAP_AESNI_KW_CORE_H_

#include "aesni/kernels.h"

namespace rewrap::aesni {
namespace {

#define REWRAP_INLINE __attribute__((always_inline)) inline

template <int kValue>
struct Constant {
  static constexpr int value = kValue;
};

// for_each calls f(Constant<0>) to f(Constant<kEnd - 1>): an array indexed by constants can stay in
// registers.
template <int kEnd, int kBegin = 0, class F>
REWRAP_INLINE void for_each(const F& f) {
  if constexpr (kBegin < kEnd) {
    f(Constant<kBegin>());
    for_each<kEnd, kBegin + 1>(f);
  }
}

// all_ones_if_zero gives a mask without a branch.
REWRAP_INLINE uint64_t all_ones_if_zero(uint64_t v) { return ((v | (~v + 1)) >> 63) - 1; }

REWRAP_INLINE uint64_t load64(const void* at) {
  uint64_t v;
  __builtin_memcpy(&v, at, sizeof v);
  return v;
}
REWRAP_INLINE void store64(void* at, uint64_t v) { __builtin_memcpy(at, &v, sizeof v); }

REWRAP_INLINE size_t min(size_t a, size_t b) { return a < b ? a : b; }

// Porter carries keys between the caller's buffers and rows: what is done goes out, what is next
// comes into the same place.
struct Porter {
  const KwState* state;
  bool wraps_in;   // wraps come in, and so there are verdicts; else keys
  bool wraps_out;  // wraps go out; else keys
  const uint8_t* in;
  uint8_t* out;  // null: nothing goes out but verdicts
  uint8_t* verdicts;

  KwRows* rows;
  size_t num_in;
  size_t num_out;
  size_t at;

  Porter(const KwState* s, bool from_wraps, bool to_wraps, const uint8_t* source, uint8_t* target,
         uint8_t* answers)
      : state(s),
        wraps_in(from_wraps),
        wraps_out(to_wraps),
        in(source),
        out(target),
        verdicts(answers) {}

  // begin turns to other rows, with so many keys to carry out of them and into them.
  REWRAP_INLINE void begin(KwRows* new_rows, size_t keys_out, size_t keys_in) {
    rows = new_rows;
    num_out = keys_out;
    num_in = keys_in;
    at = 0;
  }

  // carry moves the next `num_keys` keys, or as many as are left, of n semiblocks each between rows
  // of kGroup blocks.
  template <size_t kGroup>
  REWRAP_INLINE void carry(size_t n, size_t num_keys) {
    const size_t end = min(at + num_keys, num_in < num_out ? num_out : num_in);
    for (; at < end; ++at) {
      if (at < num_out) carry_out<kGroup>(n, rows->blocks + at, rows->checks[at].a);
      if (at < num_in) carry_in<kGroup>(n, rows->blocks + at);
    }
  }

 private:
  template <size_t kGroup>
  REWRAP_INLINE void carry_in(size_t n, Block* block) {
    const uint8_t* from = in;
    prefetch<0>(from);
    uint64_t a = state->in_a;
    if (wraps_in) {
      a ^= load64(from);
      from += 8;
    }
    block->a = a;
    const uint64_t mask = state->in_r;
    for (size_t i = 0; i < n; ++i) block[i * kGroup].r = load64(from + 8 * i) ^ mask;
    in = from + 8 * n;
  }

  template <size_t kGroup>
  REWRAP_INLINE void carry_out(size_t n, const Block* block, uint64_t check) {
    uint64_t keep = ~uint64_t{0};
    if (wraps_in) {
      keep = all_ones_if_zero(check ^ state->expected);
      *verdicts++ = static_cast<uint8_t>(keep + 1);
    }
    uint8_t* to = out;
    if (to == nullptr) return;
    prefetch<1>(to);
    if (wraps_out) {
      store64(to, block[(n - 1) * kGroup].a & keep);
      to += 8;
    }
    const uint64_t mask = state->out_r;
    for (size_t i = 0; i < n; ++i) store64(to + 8 * i, (block[i * kGroup].r ^ mask) & keep);
    out = to + 8 * n;
  }

  template <int kForWrite>
  static REWRAP_INLINE void prefetch(const uint8_t* at) {
    constexpr uintptr_t kAhead = 2048;  // bytes: about what is worked on while memory answers
    __builtin_prefetch(reinterpret_cast<const void*>(reinterpret_cast<uintptr_t>(at) + kAhead),
                       kForWrite);
  }
};

// Half is one direction, with `kChains` registers in flight. kSemiblocks is n where that is known
// beforehand, else 0: then the porter has loops and branches, whose mispredictions the AES units
// feel.
template <class V, int kChains, size_t kSemiblocks, bool kUnwrap>
struct Half {
  using Vector = typename V::Vector;
  static constexpr size_t kGroup = kChains * sizeof(Vector) / sizeof(Block);

  // turn puts the R_i of the step before into its row and takes the next one.
  static REWRAP_INLINE void turn(Vector (&s)[kChains], uint8_t* put, const uint8_t* take) {
    for_each<kChains>([&](auto c) __attribute__((always_inline)) {
      constexpr int i = decltype(c)::value;
      V::store(put + i * sizeof(Vector), s[i]);
      V::take_high(&s[i], take + i * sizeof(Vector));
    });
  }

  static REWRAP_INLINE void cipher(Vector (&s)[kChains], const KwHalf& half, const Line& last) {
    const Line* key = half.keys + 1;
    const Line* end = half.keys + half.num_rounds;
    do {
      const Vector k = V::load(key->bytes);
      for_each<kChains>([&](auto c) __attribute__((always_inline)) {
        V::template round<kUnwrap>(&s[decltype(c)::value], k);
      });
    } while (++key != end);
    const Vector k = V::load(last.bytes);
    for_each<kChains>([&](auto c) __attribute__((always_inline)) {
      V::template last_round<kUnwrap>(&s[decltype(c)::value], k);
    });
  }

  // run takes all steps of the keys in `rows`, with work for the porter between them.
  static __attribute__((noinline)) void run(const KwHalf& half, size_t num_semiblocks, KwRows* rows,
                                            Porter* porter, size_t carry_per_step) {
    const size_t n = kSemiblocks != 0 ? kSemiblocks : num_semiblocks;
    constexpr size_t kRowLen = kChains * sizeof(Vector);
    auto* first = reinterpret_cast<uint8_t*>(rows->blocks);
    uint8_t* last = first + (n - 1) * kRowLen;
    Vector s[kChains];
    for_each<kChains>([&](auto c) __attribute__((always_inline)) {
      constexpr int i = decltype(c)::value;
      s[i] = V::load(first + i * sizeof(Vector));
    });
    uint8_t* at = first;
    const Line* key = half.last;
    for (const Line* end = key + 6 * n; key != end; ++key) {
      uint8_t* next;
      if (kUnwrap) {
        next = at == first ? last : at - kRowLen;
      } else {
        next = key == half.last ? first : at == last ? first : at + kRowLen;
      }
      turn(s, at, next);
      at = next;
      cipher(s, half, *key);
      porter->carry<kGroup>(n, carry_per_step);
    }
    auto* checks = reinterpret_cast<uint8_t*>(rows->checks);
    for_each<kChains>([&](auto c) __attribute__((always_inline)) {
      constexpr int i = decltype(c)::value;
      V::store(at + i * sizeof(Vector), s[i]);
      if (kUnwrap) V::store(checks + i * sizeof(Vector), s[i]);
    });
  }
};

// work runs all groups. Group g is in work in rows[g % 2], while g - 1 leaves and g + 1 enters the
// other rows.
template <class V, int kChains, size_t kSemiblocks>
void work(KwState* state, Porter* porter, size_t num_keys) {
  using Unwrap = Half<V, kChains, kSemiblocks, true>;
  using Wrap = Half<V, kChains, kSemiblocks, false>;
  constexpr size_t kGroup = Unwrap::kGroup;
  const size_t n = state->num_semiblocks;
  const bool unwraps = porter->wraps_in;
  const bool wraps = porter->wraps_out;
  const size_t num_steps = 6 * n * (size_t{unwraps} + size_t{wraps});
  const size_t carry_per_step = (kGroup + num_steps - 1) / num_steps;
  porter->begin(&state->rows[0], 0, min(num_keys, kGroup));
  porter->carry<kGroup>(n, kGroup);
  size_t before = 0;  // keys of the group before this one
  size_t done = 0;
  for (size_t g = 0; done < num_keys; ++g) {
    const size_t num = min(num_keys - done, kGroup);
    done += num;
    KwRows* rows = &state->rows[g % 2];
    porter->begin(&state->rows[(g + 1) % 2], before, min(num_keys - done, kGroup));
    if (unwraps) Unwrap::run(state->unwrap, n, rows, porter, carry_per_step);
    if (wraps) Wrap::run(state->wrap, n, rows, porter, carry_per_step);
    before = num;
  }
  porter->begin(porter->rows == &state->rows[0] ? &state->rows[1] : &state->rows[0], before, 0);
  porter->carry<kGroup>(n, before);
}

// dispatch: a step of few keys takes only as long as the latency of its rounds, if it takes only
// the registers that they fill. From there on all registers, with a body for each common size of
// key.
template <class V>
void dispatch(KwState* state, Porter* porter, size_t num_keys) {
  constexpr size_t kLanes = sizeof(typename V::Vector) / sizeof(Block);
  if (num_keys <= kLanes) return work<V, 1, 0>(state, porter, num_keys);
  if (num_keys <= 4 * kLanes) return work<V, 4, 0>(state, porter, num_keys);
  if (num_keys <= 8 * kLanes) return work<V, 8, 0>(state, porter, num_keys);
  switch (state->num_semiblocks) {
    case 2:
      return work<V, V::kChains, 2>(state, porter, num_keys);
    case 3:
      return work<V, V::kChains, 3>(state, porter, num_keys);
    case 4:
      return work<V, V::kChains, 4>(state, porter, num_keys);
    case 6:
      return work<V, V::kChains, 6>(state, porter, num_keys);
    case 8:
      return work<V, V::kChains, 8>(state, porter, num_keys);
    default:
      return work<V, V::kChains, 0>(state, porter, num_keys);
  }
}

template <class V>
struct Kw {
  static void rewrap(KwState* state, const uint8_t* in, uint8_t* out, uint8_t* verdicts,
                     size_t num_keys) {
    Porter porter{state, true, true, in, out, verdicts};
    dispatch<V>(state, &porter, num_keys);
  }
  static void wrap(KwState* state, const uint8_t* in, uint8_t* out, size_t num_keys) {
    Porter porter{state, false, true, in, out, nullptr};
    dispatch<V>(state, &porter, num_keys);
  }
  static void unwrap(KwState* state, const uint8_t* in, uint8_t* out, uint8_t* verdicts,
                     size_t num_keys) {
    Porter porter{state, true, false, in, out, verdicts};
    dispatch<V>(state, &porter, num_keys);
  }
  static void check(KwState* state, const uint8_t* in, uint8_t* verdicts, size_t num_keys) {
    unwrap(state, in, nullptr, verdicts, num_keys);
  }
};

}  // namespace
}  // namespace rewrap::aesni

#endif  // REWRAP_AESNI_KW_CORE_H_
