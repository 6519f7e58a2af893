// AES-256-GCM over four records to a register, by VAES and VPCLMULQDQ on AVX-512.
//
// Columns: a register holds the same block of four records, one in each 128-bit lane, so that one
// instruction does one step of four. Where the algebra lets it, work is saved: the first AES round
// is shared by the counter blocks of a record; what GHASH makes of the blocks that all records have
// (prefix, lengths) is a constant in the tag's last round key; the products of a record are summed
// before one reduction; and a product costs three carry-less multiplications (Karatsuba).
//
// Nothing secret goes to the stack: what a group needs at once fits the 32 registers, and they are
// cleared at the end.
#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#include "aesni/gcm.h"

// Each kernel is one function in the end: a call would put blocks on the stack.
#define REWRAP_INLINE [[gnu::always_inline]] inline
#define REWRAP_INLINE_LAMBDA __attribute__((always_inline))

namespace rewrap::aesni {
namespace {

using Quad = __m512i;

constexpr size_t kLanes = 4;
constexpr size_t kRounds = 14;
constexpr size_t kTagLen = 16;

// Outputs of this length and more are written past the cache, which could not hold them until they
// are read anyway: no line is fetched only to be overwritten.
constexpr size_t kPastCacheFrom = size_t{16} << 20;

constexpr size_t kPrefetchAhead = 2048;

// ---- constants, the same in every lane ----

constexpr GcmQuad in_all_lanes(uint64_t low, uint64_t high) {
  GcmQuad quad = {};
  for (size_t i = 0; i < sizeof quad.bytes; ++i) {
    const uint64_t half = i % 16 < 8 ? low : high;
    quad.bytes[i] = static_cast<uint8_t>(half >> (8 * (i % 8)));
  }
  return quad;
}

// The upper coefficients of GHASH's polynomial, bits reversed.
constexpr GcmQuad kPolynomial = in_all_lanes(0xc200000000000000, 0xc200000000000000);
constexpr GcmQuad kBesideIv = in_all_lanes(0, 0xffffffff00000000);
constexpr GcmQuad kNextInvocations = in_all_lanes(kLanes, 0);
// An IV from an invocation number and a fixed field, both least significant byte first; 0x80 makes
// a zero.
constexpr GcmQuad kIvOrder = in_all_lanes(0x0405060708090a0b, 0x8080808000010203);

// ---- small tools ----

template <size_t kValue>
struct Index {
  static constexpr size_t value = kValue;
};

// unrolled calls body(Index<kBegin>) ... body(Index<kEnd - 1>). A loop would index arrays of
// registers by a variable, and the compiler then keeps them in memory.
template <size_t kBegin, size_t kEnd, typename Body>
REWRAP_INLINE void unrolled(Body&& body) {
  if constexpr (kBegin < kEnd) {
    body(Index<kBegin>{});
    unrolled<kBegin + 1, kEnd>(body);
  }
}

REWRAP_INLINE Quad load(const GcmQuad& quad) { return _mm512_load_si512(quad.bytes); }

// in_register makes the compiler have `x` here, in a register: it neither computes it later nor
// repeats a memory operand.
REWRAP_INLINE Quad in_register(Quad x) {
  asm volatile("" : "+v"(x));
  return x;
}

constexpr int kXor3 = 0x96;  // truth table
REWRAP_INLINE Quad xor3(Quad a, Quad b, Quad c) {
  return _mm512_ternarylogic_epi64(a, b, c, kXor3);
}

REWRAP_INLINE Quad swap_halves(Quad x) { return _mm512_shuffle_epi32(x, _MM_PERM_BADC); }

// constant reads a constant that is needed now and then. The compiler would else keep it in a
// register, and to that end put a block on the stack.
REWRAP_INLINE Quad constant(const GcmQuad& quad) {
  const GcmQuad* p = &quad;
  asm volatile("" : "+r"(p));
  return load(*p);
}

// GHASH reads blocks as big-endian polynomials.
REWRAP_INLINE Quad reverse_bytes(Quad x) {
  const __m128i order = _mm_set_epi64x(0x0001020304050607, 0x08090a0b0c0d0e0f);
  return _mm512_shuffle_epi8(x, _mm512_broadcast_i32x4(order));
}

// ---- records ----

// Shape is a key length: whole blocks, then maybe half a one.
template <size_t kLen>
struct Shape {
  static constexpr size_t kKeyLen = kLen;
  static constexpr size_t kBlocks = (kLen + kGcmBlockLen - 1) / kGcmBlockLen;
  static constexpr bool kHalfBlock = kLen % kGcmBlockLen != 0;
  static constexpr size_t kRecordLen = kGcmBlockLen + kLen + kTagLen;
  static constexpr bool kIsLine = kRecordLen == 64;
};

// Rows are the records, keys or additional data of a group of four keys. If it is the last and not
// full, the missing ones read as the last row, and are not written.
template <typename Byte, bool kFull>
struct Rows {
  Byte* first;
  size_t stride;
  size_t num;

  [[nodiscard]] REWRAP_INLINE bool has(size_t i) const { return kFull || i < num; }
  [[nodiscard]] REWRAP_INLINE Byte* at(size_t i) const {
    return first + (has(i) ? i : num - 1) * stride;
  }
};

template <bool kFull>
using RowsIn = Rows<const uint8_t, kFull>;
template <bool kFull>
using RowsOut = Rows<uint8_t, kFull>;

REWRAP_INLINE __m128i load_block(const uint8_t* p) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
}

REWRAP_INLINE __m256i load_two_blocks(const uint8_t* p) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}

// load_column gives the block at `offset` of each row.
template <bool kFull>
REWRAP_INLINE Quad load_column(RowsIn<kFull> rows, size_t offset) {
  Quad x = _mm512_castsi128_si512(load_block(rows.at(0) + offset));
  x = _mm512_inserti32x4(x, load_block(rows.at(1) + offset), 1);
  x = _mm512_inserti32x4(x, load_block(rows.at(2) + offset), 2);
  return _mm512_inserti32x4(x, load_block(rows.at(3) + offset), 3);
}

// load_half_column gives the half block at `offset` of each row, and zeros. It reads nothing else:
// a row may end there.
template <bool kFull>
REWRAP_INLINE Quad load_half_column(RowsIn<kFull> rows, size_t offset) {
  const auto half = [&](size_t i) REWRAP_INLINE_LAMBDA {
    return _mm_loadl_epi64(reinterpret_cast<const __m128i*>(rows.at(i) + offset));
  };
  Quad x = _mm512_zextsi128_si512(half(0));
  x = _mm512_inserti32x4(x, half(1), 1);
  x = _mm512_inserti32x4(x, half(2), 2);
  return _mm512_inserti32x4(x, half(3), 3);
}

template <bool kFull>
REWRAP_INLINE void store_column(RowsOut<kFull> rows, size_t offset, Quad x) {
  const auto store = [&](size_t i, __m128i block) REWRAP_INLINE_LAMBDA {
    if (rows.has(i)) _mm_storeu_si128(reinterpret_cast<__m128i*>(rows.at(i) + offset), block);
  };
  store(0, _mm512_castsi512_si128(x));
  store(1, _mm512_extracti32x4_epi32(x, 1));
  store(2, _mm512_extracti32x4_epi32(x, 2));
  store(3, _mm512_extracti32x4_epi32(x, 3));
}

template <bool kFull>
REWRAP_INLINE void store_half_column(RowsOut<kFull> rows, size_t offset, Quad x) {
  const auto store = [&](size_t i, __m128i block) REWRAP_INLINE_LAMBDA {
    if (rows.has(i)) _mm_storel_epi64(reinterpret_cast<__m128i*>(rows.at(i) + offset), block);
  };
  store(0, _mm512_castsi512_si128(x));
  store(1, _mm512_extracti32x4_epi32(x, 1));
  store(2, _mm512_extracti32x4_epi32(x, 2));
  store(3, _mm512_extracti32x4_epi32(x, 3));
}

// Body is the key bytes of four records, plain or encrypted.
template <typename S>
struct Body {
  Quad blocks[S::kBlocks];
};

template <typename S, bool kFull>
REWRAP_INLINE void load_body(Body<S>& body, RowsIn<kFull> rows, size_t offset) {
  unrolled<0, S::kBlocks>([&](auto i) REWRAP_INLINE_LAMBDA {
    constexpr size_t kAt = i.value * kGcmBlockLen;
    constexpr bool kHalf = S::kHalfBlock && i.value == S::kBlocks - 1;
    body.blocks[i.value] =
        kHalf ? load_half_column(rows, offset + kAt) : load_column(rows, offset + kAt);
  });
}

template <typename S, bool kFull>
REWRAP_INLINE void store_body(const Body<S>& body, RowsOut<kFull> rows, size_t offset) {
  unrolled<0, S::kBlocks>([&](auto i) REWRAP_INLINE_LAMBDA {
    constexpr size_t kAt = i.value * kGcmBlockLen;
    if constexpr (S::kHalfBlock && i.value == S::kBlocks - 1) {
      store_half_column(rows, offset + kAt, body.blocks[i.value]);
    } else {
      store_column(rows, offset + kAt, body.blocks[i.value]);
    }
  });
}

// clear_damaged zeroes the blocks of records outside `intact`.
template <typename S>
REWRAP_INLINE void clear_damaged(Body<S>& body, __mmask8 intact) {
  unrolled<0, S::kBlocks>([&](auto i) REWRAP_INLINE_LAMBDA {
    body.blocks[i.value] = _mm512_maskz_mov_epi64(intact, body.blocks[i.value]);
  });
}

// Wraps are four records.
template <typename S>
struct Wraps {
  Quad iv;  // and the four zero bytes
  Body<S> body;
  Quad tag;
};

template <typename S, bool kFull>
REWRAP_INLINE void load_wraps(Wraps<S>& wraps, RowsIn<kFull> rows) {
  if constexpr (S::kIsLine) {
    const auto pair = [&](size_t i, size_t offset) REWRAP_INLINE_LAMBDA {
      const __m256i low = load_two_blocks(rows.at(i) + offset);
      const __m256i high = load_two_blocks(rows.at(i + 1) + offset);
      return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
    };
    const Quad front_01 = pair(0, 0);
    const Quad front_23 = pair(2, 0);
    const Quad back_01 = pair(0, 32);
    const Quad back_23 = pair(2, 32);
    wraps.iv = _mm512_shuffle_i32x4(front_01, front_23, 0x88);
    wraps.body.blocks[0] = _mm512_shuffle_i32x4(front_01, front_23, 0xdd);
    wraps.body.blocks[1] = _mm512_shuffle_i32x4(back_01, back_23, 0x88);
    wraps.tag = _mm512_shuffle_i32x4(back_01, back_23, 0xdd);
  } else {
    wraps.iv = load_column(rows, 0);
    load_body(wraps.body, rows, kGcmBlockLen);
    wraps.tag = load_column(rows, kGcmBlockLen + S::kKeyLen);
  }
}

// Four lines from four columns; records outside `intact` are stored as zeros.
REWRAP_INLINE void store_lines(const Wraps<Shape<32>>& wraps, uint8_t* out, __mmask8 intact,
                               bool past_cache) {
  const auto even = static_cast<__mmask8>(_pext_u32(intact, 0x33) * 0x11);
  const auto odd = static_cast<__mmask8>(_pext_u32(intact, 0xcc) * 0x11);
  const Quad* blocks = wraps.body.blocks;
  const Quad front_02 = _mm512_maskz_shuffle_i64x2(even, wraps.iv, blocks[0], 0x88);
  const Quad front_13 = _mm512_maskz_shuffle_i64x2(odd, wraps.iv, blocks[0], 0xdd);
  const Quad back_02 = _mm512_maskz_shuffle_i64x2(even, blocks[1], wraps.tag, 0x88);
  const Quad back_13 = _mm512_maskz_shuffle_i64x2(odd, blocks[1], wraps.tag, 0xdd);
  const Quad lines[kLanes] = {
      _mm512_shuffle_i32x4(front_02, back_02, 0x88), _mm512_shuffle_i32x4(front_13, back_13, 0x88),
      _mm512_shuffle_i32x4(front_02, back_02, 0xdd), _mm512_shuffle_i32x4(front_13, back_13, 0xdd)};
  if (past_cache) {
    unrolled<0, kLanes>([&](auto i) REWRAP_INLINE_LAMBDA {
      _mm512_stream_si512(reinterpret_cast<Quad*>(out + 64 * i.value), lines[i.value]);
    });
  } else {
    unrolled<0, kLanes>([&](auto i) REWRAP_INLINE_LAMBDA {
      _mm512_storeu_si512(out + 64 * i.value, lines[i.value]);
    });
  }
}

template <typename S, bool kFull>
REWRAP_INLINE void store_wraps(const Wraps<S>& wraps, RowsOut<kFull> rows, __mmask8 intact,
                               bool past_cache) {
  if constexpr (S::kIsLine && kFull) return store_lines(wraps, rows.first, intact, past_cache);
  store_column(rows, 0, _mm512_maskz_mov_epi64(intact, wraps.iv));
  Body<S> body = wraps.body;
  clear_damaged(body, intact);
  store_body(body, rows, kGcmBlockLen);
  store_column(rows, kGcmBlockLen + S::kKeyLen, _mm512_maskz_mov_epi64(intact, wraps.tag));
}

// ---- AES ----

// Stream is the counter blocks of four records on their way through AES: [0] has counter 1 and
// masks the tag, [1 + i] masks block i.
template <size_t kNum>
struct Stream {
  Quad blocks[kNum];
};

template <size_t kNum>
REWRAP_INLINE void begin_stream(Stream<kNum>& stream, const GcmSchedule& schedule, Quad iv) {
  const Quad whitened = _mm512_xor_si512(iv, load(schedule.first_key));
  stream.blocks[0] = _mm512_aesenc_epi128(whitened, load(schedule.round_keys[0]));
  unrolled<1, kNum>([&](auto i) REWRAP_INLINE_LAMBDA {
    stream.blocks[i.value] =
        _mm512_xor_si512(stream.blocks[0], load(schedule.counter_deltas[i.value - 1]));
  });
}

// rounds does rounds kFirst to kLast, of 2 to 13.
template <size_t kFirst, size_t kLast, size_t kNum>
REWRAP_INLINE void rounds(Stream<kNum>& stream, const GcmSchedule& schedule) {
  unrolled<kFirst, kLast + 1>([&](auto round) REWRAP_INLINE_LAMBDA {
    const Quad key = in_register(load(schedule.round_keys[round.value - 1]));
    unrolled<0, kNum>([&](auto i) REWRAP_INLINE_LAMBDA {
      stream.blocks[i.value] = _mm512_aesenc_epi128(stream.blocks[i.value], key);
    });
  });
}

template <size_t kNum>
REWRAP_INLINE void end_stream(Stream<kNum>& stream, const GcmSchedule& schedule) {
  stream.blocks[0] = _mm512_aesenclast_epi128(stream.blocks[0], load(schedule.tag_key));
  if constexpr (kNum > 1) {
    const Quad key = load(schedule.data_key);
    unrolled<1, kNum>([&](auto i) REWRAP_INLINE_LAMBDA {
      stream.blocks[i.value] = _mm512_aesenclast_epi128(stream.blocks[i.value], key);
    });
  }
}

// With half a block the other half of the sum is not wanted.
template <typename S>
constexpr __mmask8 wanted(size_t block) {
  return S::kHalfBlock && block == S::kBlocks - 1 ? 0x55 : 0xff;
}

// apply encrypts or decrypts: the blocks ^= the key stream.
template <typename S>
REWRAP_INLINE void apply(Body<S>& body, const Stream<1 + S::kBlocks>& stream) {
  unrolled<0, S::kBlocks>([&](auto i) REWRAP_INLINE_LAMBDA {
    Quad& block = body.blocks[i.value];
    block = _mm512_maskz_xor_epi64(wanted<S>(i.value), block, stream.blocks[1 + i.value]);
  });
}

// translate gives the new ciphertext; the key itself appears nowhere.
template <typename S>
REWRAP_INLINE void translate(Body<S>& to, const Body<S>& from,
                             const Stream<1 + S::kBlocks>& old_stream,
                             const Stream<1 + S::kBlocks>& new_stream) {
  unrolled<0, S::kBlocks>([&](auto i) REWRAP_INLINE_LAMBDA {
    to.blocks[i.value] = _mm512_maskz_ternarylogic_epi64(wanted<S>(i.value), from.blocks[i.value],
                                                         old_stream.blocks[1 + i.value],
                                                         new_stream.blocks[1 + i.value], kXor3);
  });
}

// ---- GHASH ----

// Factor is a block ready to be multiplied: bytes reversed, and its halves added.
struct Factor {
  Factor() = default;
  REWRAP_INLINE explicit Factor(Quad block)
      : whole(reverse_bytes(block)), folded(_mm512_xor_si512(whole, swap_halves(whole))) {}
  Quad whole;
  Quad folded;
};

// Factors are what GHASH of one record multiplies: [0] the key's own additional data, [1 + i]
// ciphertext block i.
template <typename S>
struct Factors {
  Factor items[1 + S::kBlocks];
};

template <typename S>
REWRAP_INLINE void factor_body(Factors<S>& factors, const Body<S>& body) {
  unrolled<0, S::kBlocks>([&](auto i) REWRAP_INLINE_LAMBDA {
    factors.items[1 + i.value] = Factor(body.blocks[i.value]);
  });
}

// Hash is the sum of a record's products with the powers of H, not yet reduced: low + middle * x^64
// + high * x^128, where the middle still lacks low + high (Karatsuba).
struct Hash {
  Quad low;
  Quad middle;
  Quad high;
};

// sum adds up product(Index<i>) for all factors of a record.
template <typename S, typename Product>
REWRAP_INLINE Quad sum(Product&& product) {
  Quad total = product(Index<0>{});
  unrolled<0, S::kBlocks / 2>([&](auto i) REWRAP_INLINE_LAMBDA {
    total = xor3(total, product(Index<1 + 2 * i.value>{}), product(Index<2 + 2 * i.value>{}));
  });
  if constexpr (S::kBlocks % 2 != 0) total = _mm512_xor_si512(total, product(Index<S::kBlocks>{}));
  return total;
}

template <typename S>
REWRAP_INLINE Quad sum_low(const Factors<S>& factors, const GcmSchedule& schedule) {
  return sum<S>([&](auto i) REWRAP_INLINE_LAMBDA {
    return _mm512_clmulepi64_epi128(factors.items[i.value].whole, load(schedule.powers[i.value]),
                                    0x00);
  });
}

template <typename S>
REWRAP_INLINE Quad sum_middle(const Factors<S>& factors, const GcmSchedule& schedule) {
  return sum<S>([&](auto i) REWRAP_INLINE_LAMBDA {
    return _mm512_clmulepi64_epi128(factors.items[i.value].folded,
                                    load(schedule.folded_powers[i.value]), 0x00);
  });
}

template <typename S>
REWRAP_INLINE Quad sum_high(const Factors<S>& factors, const GcmSchedule& schedule) {
  return sum<S>([&](auto i) REWRAP_INLINE_LAMBDA {
    return _mm512_clmulepi64_epi128(factors.items[i.value].whole, load(schedule.powers[i.value]),
                                    0x11);
  });
}

// The two steps of a reduction modulo the polynomial of GHASH. In this bit order the lower half is
// divided by x^128, 64 bits at a time: a product with the polynomial's upper coefficients, and a
// swap of halves.
REWRAP_INLINE Quad reduce_low(const Hash& hash) {
  const Quad polynomial = constant(kPolynomial);
  const Quad step = _mm512_clmulepi64_epi128(hash.low, polynomial, 0x00);
  const Quad middle = xor3(hash.middle, hash.low, hash.high);
  return xor3(middle, swap_halves(hash.low), step);
}

REWRAP_INLINE Quad reduce_middle(Quad middle, Quad high) {
  const Quad polynomial = constant(kPolynomial);
  const Quad step = _mm512_clmulepi64_epi128(middle, polynomial, 0x00);
  return xor3(high, swap_halves(middle), step);
}

REWRAP_INLINE Quad reduce(const Hash& hash) { return reduce_middle(reduce_low(hash), hash.high); }

// hash_of gives GHASH as the bytes of a block, without what all records share.
template <typename S>
REWRAP_INLINE Quad hash_of(const Factors<S>& factors, const GcmSchedule& schedule) {
  return reverse_bytes(reduce(
      {sum_low(factors, schedule), sum_middle(factors, schedule), sum_high(factors, schedule)}));
}

// ---- verdicts ----

constexpr __mmask8 kAllIntact = 0xff;

// find_intact gives two bits for each lane: set if the tag is the one computed and the bytes beside
// the IV are zero.
REWRAP_INLINE __mmask8 find_intact(Quad iv, Quad tag, Quad hash, Quad tag_mask) {
  const Quad wrong_tag = xor3(hash, tag_mask, tag);
  const Quad difference =
      _mm512_ternarylogic_epi64(wrong_tag, iv, constant(kBesideIv), 0xf8);  // a | b & c
  const uint32_t equal = _mm512_testn_epi64_mask(difference, difference);
  return static_cast<__mmask8>((equal & (equal >> 1) & 0x55) * 3);
}

template <bool kFull>
REWRAP_INLINE void store_verdicts(uint8_t* verdicts, size_t num, __mmask8 intact) {
  uint32_t bytes = _pdep_u32(_pext_u32(~uint32_t{intact}, 0x55), 0x01010101);
  if constexpr (kFull) {
    __builtin_memcpy(verdicts, &bytes, kLanes);
  } else {
    for (size_t i = 0; i < num; ++i) {
      verdicts[i] = static_cast<uint8_t>(bytes);
      bytes >>= 8;
    }
  }
}

// ---- batches ----

// clear_registers leaves no key stream and no power of H behind. vzeroall clears 0 to 15 only.
REWRAP_INLINE void clear_registers() {
  asm volatile(
      "vpxord %%zmm16, %%zmm16, %%zmm16\n\tvpxord %%zmm17, %%zmm17, %%zmm17\n\t"
      "vpxord %%zmm18, %%zmm18, %%zmm18\n\tvpxord %%zmm19, %%zmm19, %%zmm19\n\t"
      "vpxord %%zmm20, %%zmm20, %%zmm20\n\tvpxord %%zmm21, %%zmm21, %%zmm21\n\t"
      "vpxord %%zmm22, %%zmm22, %%zmm22\n\tvpxord %%zmm23, %%zmm23, %%zmm23\n\t"
      "vpxord %%zmm24, %%zmm24, %%zmm24\n\tvpxord %%zmm25, %%zmm25, %%zmm25\n\t"
      "vpxord %%zmm26, %%zmm26, %%zmm26\n\tvpxord %%zmm27, %%zmm27, %%zmm27\n\t"
      "vpxord %%zmm28, %%zmm28, %%zmm28\n\tvpxord %%zmm29, %%zmm29, %%zmm29\n\t"
      "vpxord %%zmm30, %%zmm30, %%zmm30\n\tvpxord %%zmm31, %%zmm31, %%zmm31\n\t"
      "vzeroall" ::
          : "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8",
            "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "xmm16", "xmm17", "xmm18",
            "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25", "xmm26", "xmm27",
            "xmm28", "xmm29", "xmm30", "xmm31");
}

template <bool kValue>
struct Full {
  static constexpr bool value = kValue;
};

// Invocations makes the new IVs of groups, one after another: fixed field, then invocation number.
class Invocations {
 public:
  REWRAP_INLINE explicit Invocations(const GcmBatch& batch)
      : numbers_(_mm512_add_epi64(
            _mm512_set4_epi64(
                batch.iv_fixed_field, static_cast<long long>(batch.iv_first_invocation),
                batch.iv_fixed_field, static_cast<long long>(batch.iv_first_invocation)),
            _mm512_set_epi64(0, 3, 0, 2, 0, 1, 0, 0))) {}

  // next gives those of the next group, and zeros beside them.
  REWRAP_INLINE Quad next() {
    const Quad ivs = _mm512_shuffle_epi8(numbers_, constant(kIvOrder));
    numbers_ = _mm512_add_epi64(numbers_, constant(kNextInvocations));
    return ivs;
  }

 private:
  Quad numbers_;  // of each lane: invocation number, then fixed field
};

// for_each_group calls body<kFull>(first, num) for each group of four keys and for the rest.
template <typename Run>
REWRAP_INLINE void for_each_group(size_t first, size_t num_keys, Run&& run) {
  for (; first + kLanes <= num_keys; first += kLanes) run(Full<true>{}, first, kLanes);
  if (first < num_keys) run(Full<false>{}, first, num_keys - first);
}

template <bool kFull>
REWRAP_INLINE Quad load_aad(const GcmBatch& batch, size_t first, size_t num) {
  const uint8_t* aad = batch.aad + first * batch.aad_stride;
  return load_column(RowsIn<kFull>{aad, batch.aad_stride, num}, 0);
}

// reload makes the compiler read the schedule anew. It would else keep round keys in registers
// across groups, and to that end put blocks on the stack.
REWRAP_INLINE const GcmSchedule& reload(const GcmSchedule& schedule) {
  const GcmSchedule* p = &schedule;
  asm volatile("" : "+r"(p));
  return *p;
}

// prefetch asks for one group's share of what comes kPrefetchAhead later.
template <typename S>
REWRAP_INLINE void prefetch(const GcmBatch& batch, size_t first) {
  const uint8_t* in = batch.in + first * S::kRecordLen + kPrefetchAhead;
  unrolled<0, kLanes * S::kRecordLen / 64>(
      [&](auto i) REWRAP_INLINE_LAMBDA { _mm_prefetch(in + 64 * i.value, _MM_HINT_T0); });
  const uint8_t* aad = batch.aad + first * batch.aad_stride + kPrefetchAhead;
  _mm_prefetch(aad, _MM_HINT_T0);
  _mm_prefetch(aad + 64, _MM_HINT_T0);
}

// RewrapPipeline re-wraps full groups of four keys, in three stages at a time: loads one group,
// runs AES for the group before, and finishes the one before that. The order of the instructions is
// written down because a CPU looks ahead by a few dozens of vector instructions only, less than one
// group has: between two AES rounds, which wait for each other, stands as much other work as fills
// the wait.
template <typename S>
class RewrapPipeline {
 public:
  REWRAP_INLINE RewrapPipeline(const GcmSchedule& from, const GcmSchedule& to,
                               const GcmBatch& batch, Invocations& invocations, bool past_cache)
      : from_(from), to_(to), batch_(batch), invocations_(invocations), past_cache_(past_cache) {}

  // run does keys 0 to end - 1, a multiple of four and not 0.
  REWRAP_INLINE void run(size_t end) {
    load_current(0);
    for (size_t first = 0; first < end; first += kLanes) turn(first, end);
    factor_body(factors_, new_.body);
    new_.tag = _mm512_xor_si512(new_.tag, hash_of(factors_, to_));
    store_new(end - kLanes);
  }

 private:
  static constexpr size_t kNum = 1 + S::kBlocks;

  REWRAP_INLINE void load_current(size_t first) {
    load_wraps(old_, RowsIn<true>{batch_.in + first * S::kRecordLen, S::kRecordLen, kLanes});
  }

  REWRAP_INLINE void store_new(size_t first) {
    uint8_t* out = batch_.out + first * S::kRecordLen;
    store_wraps(new_, RowsOut<true>{out, S::kRecordLen, kLanes}, intact_, past_cache_);
  }

  REWRAP_INLINE void turn(size_t first, size_t end) {
    const GcmSchedule& from = reload(from_);
    const GcmSchedule& to = reload(to_);
    prefetch<S>(batch_, first);
    const Wraps<S> old = old_;
    const Quad iv = invocations_.next();
    Stream<kNum> old_stream;
    Stream<kNum> new_stream;
    begin_stream(old_stream, from, old.iv);
    begin_stream(new_stream, to, iv);
    const auto round = [&](auto i) REWRAP_INLINE_LAMBDA {
      rounds<i.value, i.value>(old_stream, from);
      rounds<i.value, i.value>(new_stream, to);
    };

    // GHASH of the group before, under the new key.
    round(Index<2>{});
    factor_body(factors_, new_.body);
    round(Index<3>{});
    Hash new_hash;
    new_hash.low = in_register(sum_low(factors_, to));
    round(Index<4>{});
    new_hash.middle = in_register(sum_middle(factors_, to));
    round(Index<5>{});
    new_hash.high = in_register(sum_high(factors_, to));
    round(Index<6>{});
    // GHASH of this group, under the old key.
    factors_.items[0] = Factor(load_aad<true>(batch_, first, kLanes));
    Factors<S> factors;
    factors.items[0] = factors_.items[0];
    factor_body(factors, old.body);
    const Quad new_middle = reduce_low(new_hash);
    round(Index<7>{});
    Hash old_hash;
    old_hash.low = in_register(sum_low(factors, from));
    round(Index<8>{});
    old_hash.middle = in_register(sum_middle(factors, from));
    round(Index<9>{});
    old_hash.high = in_register(sum_high(factors, from));
    new_.tag = in_register(
        _mm512_xor_si512(new_.tag, reverse_bytes(reduce_middle(new_middle, new_hash.high))));
    round(Index<10>{});
    const Quad old_middle = reduce_low(old_hash);
    round(Index<11>{});
    if (first != 0) store_new(first - kLanes);
    round(Index<12>{});
    const Quad old_tag = reverse_bytes(reduce_middle(old_middle, old_hash.high));
    round(Index<13>{});
    load_current(first + kLanes < end ? first + kLanes : first);
    end_stream(old_stream, from);
    end_stream(new_stream, to);

    intact_ = find_intact(old.iv, old.tag, old_tag, old_stream.blocks[0]);
    store_verdicts<true>(batch_.verdicts + first, kLanes, intact_);
    new_.iv = iv;
    translate(new_.body, old.body, old_stream, new_stream);
    new_.tag = new_stream.blocks[0];
  }

  const GcmSchedule& from_;
  const GcmSchedule& to_;
  const GcmBatch& batch_;
  Invocations& invocations_;
  const bool past_cache_;
  __mmask8 intact_ = 0;      // of the group to be finished
  Wraps<S> old_ = {};        // of the group that AES is next for
  Wraps<S> new_ = {};        // of the group to be finished; `tag` is still only the mask
  Factors<S> factors_ = {};  // of the group to be finished; only the additional data's
};

template <typename S, bool kFull>
REWRAP_INLINE void rewrap_group(const GcmSchedule& from, const GcmSchedule& to,
                                const GcmBatch& batch, Invocations& invocations, size_t first,
                                size_t num) {
  prefetch<S>(batch, first);
  Wraps<S> old_wraps;
  load_wraps(old_wraps, RowsIn<kFull>{batch.in + first * S::kRecordLen, S::kRecordLen, num});
  Factors<S> factors;
  factors.items[0] = Factor(load_aad<kFull>(batch, first, num));
  factor_body(factors, old_wraps.body);
  const Quad old_tag = in_register(hash_of(factors, from));
  Stream<1 + S::kBlocks> old_stream;
  begin_stream(old_stream, from, old_wraps.iv);
  rounds<2, 13>(old_stream, from);
  end_stream(old_stream, from);
  const __mmask8 intact = find_intact(old_wraps.iv, old_wraps.tag, old_tag, old_stream.blocks[0]);
  store_verdicts<kFull>(batch.verdicts + first, num, intact);

  Wraps<S> new_wraps;
  new_wraps.iv = invocations.next();
  Stream<1 + S::kBlocks> new_stream;
  begin_stream(new_stream, to, new_wraps.iv);
  rounds<2, 13>(new_stream, to);
  end_stream(new_stream, to);
  translate(new_wraps.body, old_wraps.body, old_stream, new_stream);
  factor_body(factors, new_wraps.body);
  new_wraps.tag = _mm512_xor_si512(hash_of(factors, to), new_stream.blocks[0]);
  uint8_t* out = batch.out + first * S::kRecordLen;
  store_wraps(new_wraps, RowsOut<kFull>{out, S::kRecordLen, num}, intact, false);
}

template <typename S>
void rewrap_keys(const GcmSchedule& from, const GcmSchedule& to, const GcmBatch& batch_in_memory) {
  const GcmBatch batch = batch_in_memory;
  Invocations invocations(batch);
  size_t first = 0;
  if constexpr (S::kBlocks <= 2) {
    const bool past_cache = S::kIsLine && batch.out != batch.in &&
                            reinterpret_cast<uintptr_t>(batch.out) % 64 == 0 &&
                            batch.num_keys * S::kRecordLen >= kPastCacheFrom;
    first = batch.num_keys / kLanes * kLanes;
    if (first != 0) RewrapPipeline<S>(from, to, batch, invocations, past_cache).run(first);
    if (past_cache) _mm_sfence();
  }
  for_each_group(first, batch.num_keys, [&](auto full, size_t at, size_t num) REWRAP_INLINE_LAMBDA {
    rewrap_group<S, full.value>(reload(from), reload(to), batch, invocations, at, num);
  });
}

template <typename S>
void wrap_keys(const GcmSchedule& schedule, const GcmBatch& batch_in_memory) {
  const GcmBatch batch = batch_in_memory;
  Invocations invocations(batch);
  for_each_group(0, batch.num_keys, [&](auto full, size_t first, size_t num) REWRAP_INLINE_LAMBDA {
    constexpr bool kFull = full.value;
    const GcmSchedule& to = reload(schedule);
    Wraps<S> wraps;
    load_body(wraps.body, RowsIn<kFull>{batch.in + first * S::kKeyLen, S::kKeyLen, num}, 0);
    Factors<S> factors;
    factors.items[0] = Factor(load_aad<kFull>(batch, first, num));
    wraps.iv = invocations.next();
    Stream<1 + S::kBlocks> stream;
    begin_stream(stream, to, wraps.iv);
    rounds<2, 13>(stream, to);
    end_stream(stream, to);
    apply(wraps.body, stream);
    factor_body(factors, wraps.body);
    wraps.tag = _mm512_xor_si512(hash_of(factors, to), stream.blocks[0]);
    uint8_t* out = batch.out + first * S::kRecordLen;
    store_wraps(wraps, RowsOut<kFull>{out, S::kRecordLen, num}, kAllIntact, false);
    store_verdicts<kFull>(batch.verdicts + first, num, kAllIntact);
  });
}

// open_keys is unwrap and check: the latter needs no key stream, only the tag's mask.
template <typename S, bool kUnwrap>
void open_keys(const GcmSchedule& schedule, const GcmBatch& batch_in_memory) {
  const GcmBatch batch = batch_in_memory;
  for_each_group(0, batch.num_keys, [&](auto full, size_t first, size_t num) REWRAP_INLINE_LAMBDA {
    constexpr bool kFull = full.value;
    const GcmSchedule& from = reload(schedule);
    prefetch<S>(batch, first);
    Wraps<S> wraps;
    load_wraps(wraps, RowsIn<kFull>{batch.in + first * S::kRecordLen, S::kRecordLen, num});
    Factors<S> factors;
    factors.items[0] = Factor(load_aad<kFull>(batch, first, num));
    factor_body(factors, wraps.body);
    Stream<kUnwrap ? 1 + S::kBlocks : 1> stream;
    begin_stream(stream, from, wraps.iv);
    rounds<2, 13>(stream, from);
    end_stream(stream, from);
    const __mmask8 intact =
        find_intact(wraps.iv, wraps.tag, hash_of(factors, from), stream.blocks[0]);
    store_verdicts<kFull>(batch.verdicts + first, num, intact);
    if constexpr (kUnwrap) {
      apply(wraps.body, stream);
      clear_damaged(wraps.body, intact);
      store_body(wraps.body, RowsOut<kFull>{batch.out + first * S::kKeyLen, S::kKeyLen, num}, 0);
    }
  });
}

// ---- set-up ----

// In the schedule every lane holds the same block, so that set-up is the same arithmetic.

REWRAP_INLINE void store(GcmQuad& quad, Quad x) { _mm512_store_si512(quad.bytes, x); }

REWRAP_INLINE Quad broadcast(__m128i block) { return _mm512_broadcast_i32x4(block); }

// spread is the running sum of the four words of a round key (FIPS 197 §5.2).
REWRAP_INLINE __m128i spread(__m128i key) {
  key = _mm_xor_si128(key, _mm_slli_si128(key, 4));
  return _mm_xor_si128(key, _mm_slli_si128(key, 8));
}

// Round keys 2 and up come in pairs of two recipes, each from the two before.
template <int kRoundConstant>
REWRAP_INLINE __m128i next_even_key(__m128i even, __m128i odd) {
  const __m128i word = _mm_aeskeygenassist_si128(odd, kRoundConstant);
  return _mm_xor_si128(spread(even), _mm_shuffle_epi32(word, 0xff));
}

REWRAP_INLINE __m128i next_odd_key(__m128i even, __m128i odd) {
  const __m128i word = _mm_aeskeygenassist_si128(even, 0);
  return _mm_xor_si128(spread(odd), _mm_shuffle_epi32(word, 0xaa));
}

REWRAP_INLINE Quad counter(int value) {
  return _mm512_maskz_set1_epi32(0x8888,
                                 static_cast<int>(__builtin_bswap32(static_cast<unsigned>(value))));
}

REWRAP_INLINE void set_up_keys(GcmSchedule& schedule, const uint8_t* kek) {
  __m128i even = load_block(kek);
  __m128i odd = load_block(kek + kGcmBlockLen);
  store(schedule.first_key, _mm512_xor_si512(broadcast(even), counter(1)));
  store(schedule.round_keys[0], broadcast(odd));
  unrolled<1, kRounds / 2>([&](auto i) REWRAP_INLINE_LAMBDA {
    even = next_even_key<1 << (i.value - 1)>(even, odd);
    store(schedule.round_keys[2 * i.value - 1], broadcast(even));
    odd = next_odd_key(even, odd);
    store(schedule.round_keys[2 * i.value], broadcast(odd));
  });
  store(schedule.data_key, broadcast(next_even_key<1 << (kRounds / 2 - 1)>(even, odd)));

  const Quad key = load(schedule.round_keys[0]);
  const Quad first = _mm512_aesenc_epi128(load(schedule.first_key), key);
  for (int i = 0; i < static_cast<int>(kGcmMaxBlocks); ++i) {
    const Quad change = _mm512_xor_si512(counter(1), counter(2 + i));
    const Quad whitened = _mm512_xor_si512(load(schedule.first_key), change);
    store(schedule.counter_deltas[i], _mm512_xor_si512(first, _mm512_aesenc_epi128(whitened, key)));
  }
}

// times_x multiplies by x where bytes are reversed: a shift to the left, and the polynomial added
// if a bit fell out.
REWRAP_INLINE Quad times_x(Quad a) {
  const Quad carries = swap_halves(_mm512_srli_epi64(a, 63));
  const Quad sign = _mm512_shuffle_epi32(_mm512_srai_epi64(a, 63), _MM_PERM_DCDC);
  const Quad polynomial = _mm512_maskz_set1_epi64(0xaa, static_cast<long long>(0xc200000000000000));
  return xor3(_mm512_slli_epi64(a, 1), carries, _mm512_and_si512(sign, polynomial));
}

// product gives a * b / x.
REWRAP_INLINE Quad product(Quad a, Quad b) {
  const Quad folded_a = _mm512_xor_si512(a, swap_halves(a));
  const Quad folded_b = _mm512_xor_si512(b, swap_halves(b));
  return reduce({_mm512_clmulepi64_epi128(a, b, 0x00),
                 _mm512_clmulepi64_epi128(folded_a, folded_b, 0x00),
                 _mm512_clmulepi64_epi128(a, b, 0x11)});
}

void set_up(GcmSchedule* schedule, const uint8_t* kek, const GcmShape& shape) {
  set_up_keys(*schedule, kek);
  // H = AES(0). The first key has counter 1 in it: take it out again.
  Quad h = _mm512_xor_si512(load(schedule->first_key), counter(1));
  unrolled<0, kRounds - 1>([&](auto i) REWRAP_INLINE_LAMBDA {
    h = _mm512_aesenc_epi128(h, load(schedule->round_keys[i.value]));
  });
  h = times_x(reverse_bytes(_mm512_aesenclast_epi128(h, load(schedule->data_key))));

  // The last ciphertext block stands before the block of lengths: its power is 2.
  const size_t num_blocks = (shape.key_len + kGcmBlockLen - 1) / kGcmBlockLen;
  Quad power = h;
  for (size_t i = 1 + num_blocks; i-- > 0;) {
    power = product(power, h);
    store(schedule->powers[i], power);
    store(schedule->folded_powers[i], _mm512_xor_si512(power, swap_halves(power)));
  }

  // What all records share: the prefix, and the lengths in bits.
  Quad prefix = _mm512_setzero_si512();
  for (size_t at = 0; at < shape.prefix_len; at += kGcmBlockLen) {
    const Quad block = reverse_bytes(broadcast(load_block(shape.prefix + at)));
    prefix = product(_mm512_xor_si512(prefix, block), h);
  }
  const size_t aad_bits = 8 * (shape.prefix_len + kGcmBlockLen);
  const size_t key_bits = 8 * shape.key_len;
  const Quad lengths =
      broadcast(_mm_set_epi64x(static_cast<long long>(aad_bits), static_cast<long long>(key_bits)));
  const Quad shared =
      _mm512_xor_si512(product(prefix, load(schedule->powers[0])), product(lengths, h));
  store(schedule->tag_key, _mm512_xor_si512(load(schedule->data_key), reverse_bytes(shared)));
  clear_registers();
}

// ---- the table ----

// with_shape calls body with the Shape of a key length.
template <typename Run>
REWRAP_INLINE void with_shape(size_t key_len, Run&& run) {
  switch (key_len) {
    case 16:
      return run(Shape<16>{});
    case 24:
      return run(Shape<24>{});
    case 32:
      return run(Shape<32>{});
    case 48:
      return run(Shape<48>{});
    case 64:
      return run(Shape<64>{});
    default:
      __builtin_trap();  // the caller promised
  }
}

void rewrap(const GcmSchedule& from, const GcmSchedule& to, const GcmBatch& batch) {
  with_shape(batch.key_len, [&](auto shape) { rewrap_keys<decltype(shape)>(from, to, batch); });
  clear_registers();
}

void wrap(const GcmSchedule& to, const GcmBatch& batch) {
  with_shape(batch.key_len, [&](auto shape) { wrap_keys<decltype(shape)>(to, batch); });
  clear_registers();
}

void unwrap(const GcmSchedule& from, const GcmBatch& batch) {
  with_shape(batch.key_len, [&](auto shape) { open_keys<decltype(shape), true>(from, batch); });
  clear_registers();
}

void check(const GcmSchedule& from, const GcmBatch& batch) {
  with_shape(batch.key_len, [&](auto shape) { open_keys<decltype(shape), false>(from, batch); });
  clear_registers();
}

}  // namespace

const GcmKernels kVaes512Gcm = {set_up, rewrap, wrap, unwrap, check};

}  // namespace rewrap::aesni
