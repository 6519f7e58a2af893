// Fused AES-256-GCM over batches of wrapped keys (SP 800-38D): the kernels' table and their state.
// Lengths are bytes. The state is only read while a kernel runs: any number of threads may share
// it.
//
// A record is IV 12, zero 4, ciphertext (as long as the key), tag 16. The additional data of a key
// is a prefix, the same for all keys, and one block of its own.
#ifndef REWRAP_AESNI_GCM_H_
#define REWRAP_AESNI_GCM_H_

#include <stddef.h>
#include <stdint.h>

namespace rewrap::aesni {

inline constexpr size_t kGcmKekLen = 32;
inline constexpr size_t kGcmBlockLen = 16;
inline constexpr size_t kGcmMaxBlocks = 4;  // ciphertext blocks of the longest key

// GcmQuad is one block for each of the four records that a register holds.
struct GcmQuad {
  alignas(64) uint8_t bytes[4 * kGcmBlockLen];
};

// GcmSchedule is all that one KEK and one key length make of GCM: secret, and to be wiped by its
// owner. Each quad holds four times the same block.
struct GcmSchedule {
  // AES. The blocks of one record differ only in the counter byte, so after the first round they
  // differ by a constant of the key: one first round serves all of them.
  GcmQuad first_key;                      // round key 0 ^ counter 1
  GcmQuad round_keys[13];                 // of rounds 1 to 13
  GcmQuad data_key;                       // of round 14
  GcmQuad tag_key;                        // the same ^ the hash of what all records share
  GcmQuad counter_deltas[kGcmMaxBlocks];  // counter 2 + i against counter 1, after round 1
  // GHASH. [0] is for the key's own additional data, [1 + i] for ciphertext block i.
  GcmQuad powers[1 + kGcmMaxBlocks];         // powers of H, times x
  GcmQuad folded_powers[1 + kGcmMaxBlocks];  // their halves added (Karatsuba)
};

// GcmShape is what set_up has to know beside the KEK.
struct GcmShape {
  size_t key_len;         // 16, 24, 32, 48 or 64
  const uint8_t* prefix;  // of the additional data
  size_t prefix_len;      // a multiple of 16, may be 0
};

// GcmBatch is the work of one call: `num_keys` records, back to back.
struct GcmBatch {
  size_t key_len;
  size_t num_keys;
  const uint8_t* in;
  uint8_t* out;  // may be `in` where both lengths are equal; no other overlap
  uint8_t* verdicts;
  const uint8_t* aad;  // of key i: 16 bytes at i * aad_stride
  size_t aad_stride;
  uint32_t iv_fixed_field;       // new IVs are this (big endian, 4 bytes)
  uint64_t iv_first_invocation;  // and this + i (big endian, 8 bytes)
};

// GcmKernels is one instruction set's implementation. For each key the verdict is 0, or 1 and its
// output is all zero; time does not depend on data nor on verdicts.
struct GcmKernels {
  void (*set_up)(GcmSchedule* schedule, const uint8_t* kek, const GcmShape& shape);
  // rewrap never forms the key: new ciphertext = old ciphertext ^ old key stream ^ new key stream.
  void (*rewrap)(const GcmSchedule& from, const GcmSchedule& to, const GcmBatch& batch);
  void (*wrap)(const GcmSchedule& to, const GcmBatch& batch);      // in: keys
  void (*unwrap)(const GcmSchedule& from, const GcmBatch& batch);  // out: keys
  void (*check)(const GcmSchedule& from, const GcmBatch& batch);   // no out, no key stream
};

// Four records to a register: needs AVX-512 F, BW, DQ and VL, VAES and VPCLMULQDQ.
extern const GcmKernels kVaes512Gcm;

}  // namespace rewrap::aesni

#endif  // REWRAP_AESNI_GCM_H_
