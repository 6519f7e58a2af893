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
#include "aesni/kw_setup.h"

namespace rewrap::aesni {
namespace {

template <size_t kValue>
struct Constant {
  static constexpr size_t value = kValue;
};

// for_each calls f(Constant<0>) to f(Constant<kEnd - 1>): an array indexed by constants can stay in
// registers.
template <size_t kEnd, size_t kBegin = 0, class F>
REWRAP_INLINE void for_each(const F& f) {
  if constexpr (kBegin < kEnd) {
    f(Constant<kBegin>());
    for_each<kEnd, kBegin + 1>(f);
  }
}

// all_ones_if_zero gives a mask without a branch.
REWRAP_INLINE uint64_t all_ones_if_zero(uint64_t v) { return ((v | (~v + 1)) >> 63) - 1; }

REWRAP_INLINE size_t min(size_t a, size_t b) { return a < b ? a : b; }

// kAhead is how far ahead memory is asked for what comes: about what is worked on until it answers.
inline constexpr uintptr_t kAhead = 2048;

template <int kForWrite>
REWRAP_INLINE void prefetch(const uint8_t* at) {
  __builtin_prefetch(reinterpret_cast<const void*>(reinterpret_cast<uintptr_t>(at) + kAhead),
                     kForWrite);
}

// Porter carries keys between the caller's buffers and rows of kGroup blocks: what is done goes
// out, then what is next comes into the same place.
struct Porter {
  const KwState* state;
  bool wraps_in;   // wraps come in, and so there are verdicts; else keys
  bool wraps_out;  // wraps go out; else keys
  const uint8_t* in;
  uint8_t* out;  // null: nothing goes out but verdicts
  uint8_t* verdicts;

  KwRows* rows = nullptr;
  size_t at_out = 0;  // the next key to go out, of num_out
  size_t num_out = 0;
  size_t at_in = 0;
  size_t num_in = 0;

  Porter(const KwState* s, bool from_wraps, bool to_wraps, const uint8_t* source, uint8_t* target,
         uint8_t* answers)
      : state(s),
        wraps_in(from_wraps),
        wraps_out(to_wraps),
        in(source),
        out(target),
        verdicts(answers) {}

  // begin turns to other rows, with so many keys to carry out of them and into them. A key that was
  // left behind would be lost, so that ends the process.
  REWRAP_INLINE void begin(KwRows* new_rows, size_t keys_out, size_t keys_in) {
    if (at_out != num_out || at_in != num_in) __builtin_trap();
    rows = new_rows;
    at_out = at_in = 0;
    num_out = keys_out;
    num_in = keys_in;
  }

  template <size_t kGroup>
  REWRAP_INLINE void carry_out(size_t n, size_t num_keys) {
    for (const size_t end = min(at_out + num_keys, num_out); at_out < end; ++at_out) {
      const Block* block = rows->blocks + at_out;
      uint64_t keep = ~uint64_t{0};
      if (wraps_in) {
        keep = all_ones_if_zero(rows->checks[at_out].a ^ state->expected);
        *verdicts++ = static_cast<uint8_t>(keep + 1);
      }
      if (out == nullptr) continue;
      uint8_t* to = out;
      prefetch<1>(to);
      if (wraps_out) {
        store64(to, block[(n - 1) * kGroup].a & keep);
        to += 8;
      }
      const uint64_t mask = state->out_r;
      for (size_t i = 0; i < n; ++i) store64(to + 8 * i, (block[i * kGroup].r ^ mask) & keep);
      out = to + 8 * n;
    }
  }

  template <size_t kGroup>
  REWRAP_INLINE void carry_in(size_t n, size_t num_keys) {
    for (const size_t end = min(at_in + num_keys, num_in); at_in < end; ++at_in) {
      Block* block = rows->blocks + at_in;
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
  }
};

// How the porter works beside the steps of a half is its Freight:
//   fits()   can the next keys be carried during the rounds of one step?
//   take()   if so: gives a Load, of which part<0>() to part<kSpread - 1>() carry a few semiblocks
//   each carry()  if not: carries them between two steps
// Between the steps the AES units soon run dry where another hardware thread shares the core: a
// re-wrap so reaches 75 percent of the ceiling there, and 95 when the load is spread.

struct Nothing {
  template <size_t kRound>
  REWRAP_INLINE void part() {}
};

// Lumps is for any work: everything between the steps.
template <size_t kGroup>
struct Lumps {
  Porter* porter;
  size_t n;
  size_t keys_per_step;

  [[nodiscard]] REWRAP_INLINE bool fits() const { return false; }
  [[nodiscard]] REWRAP_INLINE Nothing take() const { return {}; }
  REWRAP_INLINE void carry() {
    porter->carry_out<kGroup>(n, keys_per_step);
    porter->carry_in<kGroup>(n, keys_per_step);
  }
};

// A Load is spread over this many rounds: as many as AES-128, the shortest, has before its last.
inline constexpr size_t kSpread = 9;

// SpreadOut and SpreadIn are for re-wraps of keys of a known size: keys go out during the unwrap,
// and come in during the wrap. Wraps are not whitened when they are done (out_r is 0).
template <size_t kGroup, size_t kSemiblocks>
struct SpreadOut {
  static constexpr size_t kKeys = (kGroup + 6 * kSemiblocks - 1) / (6 * kSemiblocks);
  static constexpr size_t kWords = kSemiblocks + 1;
  static_assert(kKeys * 6 * kSemiblocks >= kGroup, "the steps must suffice for the whole group");

  struct Load {
    const Block* block;
    const Block* check;
    uint8_t* to;
    uint8_t* verdicts;
    uint64_t expected;
    uint64_t keep;

    template <size_t kRound>
    REWRAP_INLINE void part() {
      constexpr size_t kBegin = kKeys * kWords * kRound / kSpread;
      constexpr size_t kEnd = kKeys * kWords * (kRound + 1) / kSpread;
      for_each<kEnd, kBegin>([&](auto c) __attribute__((always_inline)) {
        constexpr size_t key = decltype(c)::value / kWords;
        constexpr size_t i = decltype(c)::value % kWords;  // 0: A, i: R_i
        uint8_t* word = to + 8 * decltype(c)::value;
        if constexpr (i == 0) {
          keep = all_ones_if_zero(check[key].a ^ expected);
          verdicts[key] = static_cast<uint8_t>(keep + 1);
          prefetch<1>(word);
          store64(word, block[key + (kSemiblocks - 1) * kGroup].a & keep);
        } else {
          store64(word, block[key + (i - 1) * kGroup].r & keep);
        }
      });
    }
  };
  Porter* porter;

  [[nodiscard]] REWRAP_INLINE bool fits() const {
    return porter->at_out + kKeys <= porter->num_out;
  }
  REWRAP_INLINE Load take() {
    const Load load{porter->rows->blocks + porter->at_out,
                    porter->rows->checks + porter->at_out,
                    porter->out,
                    porter->verdicts,
                    porter->state->expected,
                    0};
    porter->at_out += kKeys;
    porter->out += 8 * kKeys * kWords;
    porter->verdicts += kKeys;
    return load;
  }
  REWRAP_INLINE void carry() { porter->carry_out<kGroup>(kSemiblocks, kKeys); }
};

template <size_t kGroup, size_t kSemiblocks>
struct SpreadIn {
  static constexpr size_t kKeys = SpreadOut<kGroup, kSemiblocks>::kKeys;
  static constexpr size_t kWords = kSemiblocks + 1;

  struct Load {
    Block* block;
    const uint8_t* from;
    uint64_t in_a;
    uint64_t in_r;

    template <size_t kRound>
    REWRAP_INLINE void part() {
      constexpr size_t kBegin = kKeys * kWords * kRound / kSpread;
      constexpr size_t kEnd = kKeys * kWords * (kRound + 1) / kSpread;
      for_each<kEnd, kBegin>([&](auto c) __attribute__((always_inline)) {
        constexpr size_t key = decltype(c)::value / kWords;
        constexpr size_t i = decltype(c)::value % kWords;  // 0: A, i: R_i
        const uint8_t* word = from + 8 * decltype(c)::value;
        if constexpr (i == 0) {
          prefetch<0>(word);
          block[key].a = load64(word) ^ in_a;
        } else {
          block[key + (i - 1) * kGroup].r = load64(word) ^ in_r;
        }
      });
    }
  };
  Porter* porter;

  [[nodiscard]] REWRAP_INLINE bool fits() const { return porter->at_in + kKeys <= porter->num_in; }
  REWRAP_INLINE Load take() {
    const Load load{porter->rows->blocks + porter->at_in, porter->in, porter->state->in_a,
                    porter->state->in_r};
    porter->at_in += kKeys;
    porter->in += 8 * kKeys * kWords;
    return load;
  }
  REWRAP_INLINE void carry() { porter->carry_in<kGroup>(kSemiblocks, kKeys); }
};

// Half is one direction, with `kChains` registers in flight.
template <class V, size_t kChains, bool kUnwrap>
struct Half {
  using Vector = typename V::Vector;
  static constexpr size_t kGroup = kChains * sizeof(Vector) / sizeof(Block);
  static_assert(kGroup <= kMaxGroup, "KwRows has no place for so many");

  // turn puts the R_i of the step before into its row and takes the next one; before the first step
  // of a half that may be the same.
  static REWRAP_INLINE void turn(Vector (&s)[kChains], uint8_t* put, const uint8_t* take) {
    for_each<kChains>([&](auto c) __attribute__((always_inline)) {
      constexpr size_t i = decltype(c)::value;
      V::store(put + i * sizeof(Vector), s[i]);
      V::take_high(&s[i], take + i * sizeof(Vector));
    });
  }

  static REWRAP_INLINE void round(Vector (&s)[kChains], const Line& key) {
    const Vector k = V::load(key.bytes);
    for_each<kChains>([&](auto c) __attribute__((always_inline)) {
      V::template round<kUnwrap>(&s[decltype(c)::value], k);
    });
  }

  template <class Load>
  static REWRAP_INLINE void cipher(Vector (&s)[kChains], const KwHalf& half, const Line& last,
                                   Load load) {
    for_each<kSpread>([&](auto r) __attribute__((always_inline)) {
      round(s, half.keys[decltype(r)::value + 1]);
      load.template part<decltype(r)::value>();
    });
    for (size_t r = kSpread + 1; r < half.num_rounds; ++r) round(s, half.keys[r]);
    const Vector k = V::load(last.bytes);
    for_each<kChains>([&](auto c) __attribute__((always_inline)) {
      V::template last_round<kUnwrap>(&s[decltype(c)::value], k);
    });
  }

  // run takes all 6n steps of the keys in `rows`.
  template <class Freight>
  static __attribute__((noinline)) void run(const KwHalf& half, size_t n, KwRows* rows,
                                            Freight* freight) {
    constexpr size_t kRowLen = kChains * sizeof(Vector);
    auto* first = reinterpret_cast<uint8_t*>(rows->blocks);
    uint8_t* last = first + (n - 1) * kRowLen;
    Vector s[kChains];
    for_each<kChains>([&](auto c) __attribute__((always_inline)) {
      constexpr size_t i = decltype(c)::value;
      s[i] = V::load(first + i * sizeof(Vector));
    });
    uint8_t* at = first;
    const Line* key = half.last;
    for (const Line* end = key + 6 * n; key != end; ++key) {
      uint8_t* next = first;
      if constexpr (kUnwrap) {
        next = at == first ? last : at - kRowLen;
      } else if (key != half.last && at != last) {
        next = at + kRowLen;
      }
      turn(s, at, next);
      at = next;
      if (freight->fits()) {
        cipher(s, half, *key, freight->take());
      } else {
        cipher(s, half, *key, Nothing());
        freight->carry();
      }
    }
    auto* checks = reinterpret_cast<uint8_t*>(rows->checks);
    for_each<kChains>([&](auto c) __attribute__((always_inline)) {
      constexpr size_t i = decltype(c)::value;
      V::store(at + i * sizeof(Vector), s[i]);
      if constexpr (kUnwrap) V::store(checks + i * sizeof(Vector), s[i]);
    });
  }
};

// for_each_group calls run(rows) for each group of keys. Group g is in work in rows[g % 2], while
// g - 1 leaves and g + 1 enters the other rows. So when `out` is `in`, what is written was read two
// groups before.
template <size_t kGroup, class F>
REWRAP_INLINE void for_each_group(KwState* state, Porter* porter, size_t num_keys, const F& run) {
  const size_t n = state->num_semiblocks;
  porter->begin(&state->rows[0], 0, min(num_keys, kGroup));
  porter->carry_in<kGroup>(n, kGroup);
  size_t before = 0;  // keys of the group before this one
  size_t g = 0;
  for (size_t done = 0; done < num_keys; ++g) {
    const size_t num = min(num_keys - done, kGroup);
    done += num;
    porter->begin(&state->rows[(g + 1) % 2], before, min(num_keys - done, kGroup));
    run(&state->rows[g % 2]);
    before = num;
  }
  porter->begin(&state->rows[(g + 1) % 2], before, 0);
  porter->carry_out<kGroup>(n, before);
}

// work_on does any work with kChains registers.
template <class V, size_t kChains>
__attribute__((noinline)) void work_on(KwState* state, Porter* porter, size_t num_keys) {
  using Unwrap = Half<V, kChains, true>;
  using Wrap = Half<V, kChains, false>;
  constexpr size_t kGroup = Unwrap::kGroup;
  const size_t n = state->num_semiblocks;
  const bool unwraps = porter->wraps_in;
  const bool wraps = porter->wraps_out;
  const size_t num_steps = 6 * n * (size_t{unwraps} + size_t{wraps});
  Lumps<kGroup> freight{porter, n, (kGroup + num_steps - 1) / num_steps};
  for_each_group<kGroup>(
      state, porter, num_keys, [&](KwRows * rows) __attribute__((always_inline)) {
        if (unwraps) Unwrap::run(state->unwrap, n, rows, &freight);
        if (wraps) Wrap::run(state->wrap, n, rows, &freight);
      });
}

// rewrap_of does re-wraps of one size of key, as many as fill all registers.
template <class V, size_t kSemiblocks>
__attribute__((noinline)) void rewrap_of(KwState* state, Porter* porter, size_t num_keys) {
  using Unwrap = Half<V, V::kChains, true>;
  using Wrap = Half<V, V::kChains, false>;
  constexpr size_t kGroup = Unwrap::kGroup;
  SpreadOut<kGroup, kSemiblocks> out{porter};
  SpreadIn<kGroup, kSemiblocks> in{porter};
  for_each_group<kGroup>(
      state, porter, num_keys, [&](KwRows * rows) __attribute__((always_inline)) {
        Unwrap::run(state->unwrap, kSemiblocks, rows, &out);
        Wrap::run(state->wrap, kSemiblocks, rows, &in);
      });
}

// dispatch: a step of few keys takes only as long as the latency of its rounds, if it takes only
// the registers that they fill. The sizes that DEKs have get bodies of their own for the main work.
template <class V>
void dispatch(KwState* state, Porter* porter, size_t num_keys) {
  constexpr size_t kLanes = sizeof(typename V::Vector) / sizeof(Block);
  if (num_keys <= kLanes) return work_on<V, 1>(state, porter, num_keys);
  if (num_keys <= 4 * kLanes) return work_on<V, 4>(state, porter, num_keys);
  if (num_keys <= 8 * kLanes) return work_on<V, 8>(state, porter, num_keys);
  if (porter->wraps_in && porter->wraps_out) {
    switch (state->num_semiblocks) {
      case 2:
        return rewrap_of<V, 2>(state, porter, num_keys);
      case 3:
        return rewrap_of<V, 3>(state, porter, num_keys);
      case 4:
        return rewrap_of<V, 4>(state, porter, num_keys);
      case 6:
        return rewrap_of<V, 6>(state, porter, num_keys);
      case 8:
        return rewrap_of<V, 8>(state, porter, num_keys);
      default:
        break;
    }
  }
  return work_on<V, V::kChains>(state, porter, num_keys);
}

// Kw is the table's functions. Each leaves no secret in a vector register.
template <class V>
struct Kw {
  static void set_up(KwState* state, size_t num_semiblocks, const KwSide* from, const KwSide* to) {
    set_up_schedules(state, num_semiblocks, from, to);
    V::clear_registers();
  }
  static void rewrap(KwState* state, const uint8_t* in, uint8_t* out, uint8_t* verdicts,
                     size_t num_keys) {
    Porter porter{state, true, true, in, out, verdicts};
    dispatch<V>(state, &porter, num_keys);
    V::clear_registers();
  }
  static void wrap(KwState* state, const uint8_t* in, uint8_t* out, size_t num_keys) {
    Porter porter{state, false, true, in, out, nullptr};
    dispatch<V>(state, &porter, num_keys);
    V::clear_registers();
  }
  static void unwrap(KwState* state, const uint8_t* in, uint8_t* out, uint8_t* verdicts,
                     size_t num_keys) {
    Porter porter{state, true, false, in, out, verdicts};
    dispatch<V>(state, &porter, num_keys);
    V::clear_registers();
  }
  static void check(KwState* state, const uint8_t* in, uint8_t* verdicts, size_t num_keys) {
    unwrap(state, in, nullptr, verdicts, num_keys);
  }
};

}  // namespace
}  // namespace rewrap::aesni

#endif  // REWRAP_AESNI_KW_CORE_H_
