// Negative control of the self-test: kernels that are broken in what only they serve must not pass.
#include <gtest/gtest.h>

#include <algorithm>
#include <utility>

#include "aesni/gcm.h"
#include "aesni/kernels.h"
#include "engine/fused_gcm.h"
#include "engine/fused_kw.h"
#include "engine/implementation.h"
#include "tests/hsm/expect_code.h"
#include "tests/unit/test_keys.h"

namespace rewrap {
namespace {

using aesni::GcmBatch;
using aesni::GcmKernels;
using aesni::GcmSchedule;
using aesni::KwKernel;
using aesni::KwSide;
using aesni::KwState;

// The tables that the implementations below use; a test changes them.
GcmKernels& gcm_kernels() {
  static GcmKernels kernels = aesni::kVaes512Gcm;
  return kernels;
}
KwKernel& kw_kernel() {
  static KwKernel kernel = aesni::kAesniKw;
  return kernel;
}

// gcm_self_test tests an implementation that is OpenSSL, but for what the fused GCM kernels serve:
// that goes to them as `change` leaves them.
template <typename Change>
Status gcm_self_test(Change change) {
  gcm_kernels() = aesni::kVaes512Gcm;
  change(&gcm_kernels());
  return self_test({"changed", "GCM kernels changed on purpose", "as vaes512",
                    [](const CpuFeatures&) { return true; },
                    [](const TransformSpec& spec) -> Result<std::unique_ptr<Transform>> {
                      REWRAP_ASSIGN(auto library, implementations().back().make(spec));
                      if (!has_gcm(spec) || !is_fused_gcm(spec)) return library;
                      return make_fused_gcm(gcm_kernels(), spec, std::move(library));
                    }});
}

// kw_self_test does the same for key wrap.
template <typename Change>
Status kw_self_test(Change change) {
  kw_kernel() = aesni::kAesniKw;
  change(&kw_kernel());
  return self_test({"changed", "key wrap kernels changed on purpose", "as aesni",
                    [](const CpuFeatures&) { return true; },
                    [](const TransformSpec& spec) -> Result<std::unique_ptr<Transform>> {
                      if (is_fused_kw(spec)) return make_fused_kw(kw_kernel(), spec);
                      return implementations().back().make(spec);
                    }});
}

class SelfTestOfGcmKernels : public testing::Test {
 protected:
  void SetUp() override {
    if (!test::runs_here_by_name("vaes512")) GTEST_SKIP() << "this CPU cannot run vaes512";
  }
};

void idle(const GcmSchedule& /*schedule*/, const GcmBatch& batch) {
  std::fill_n(batch.verdicts, batch.num_keys, kIntact);
}
void idle_rewrap(const GcmSchedule& /*from*/, const GcmSchedule& to, const GcmBatch& batch) {
  idle(to, batch);
}
void rewrap_under_the_old_kek(const GcmSchedule& from, const GcmSchedule& /*to*/,
                              const GcmBatch& batch) {
  aesni::kVaes512Gcm.rewrap(from, from, batch);
}
// The first key's additional data serves for all of them.
GcmBatch with_one_aad(GcmBatch batch) {
  batch.aad_stride = 0;
  return batch;
}

TEST_F(SelfTestOfGcmKernels, UnbrokenKernelsPass) {
  EXPECT_OK(gcm_self_test([](GcmKernels*) {}));
}

TEST_F(SelfTestOfGcmKernels, KernelsThatDoNothingAreNoticed) {
  EXPECT_CODE(gcm_self_test([](GcmKernels* kernels) {
                *kernels = {kernels->set_up, idle_rewrap, idle, idle, idle};
              }),
              Errc::kInternal);
}

TEST_F(SelfTestOfGcmKernels, OneBrokenKernelIsNoticed) {
  EXPECT_CODE(gcm_self_test([](GcmKernels* kernels) { kernels->rewrap = idle_rewrap; }),
              Errc::kInternal);
  EXPECT_CODE(gcm_self_test([](GcmKernels* kernels) { kernels->wrap = idle; }), Errc::kInternal);
  EXPECT_CODE(gcm_self_test([](GcmKernels* kernels) { kernels->unwrap = idle; }), Errc::kInternal);
  EXPECT_CODE(gcm_self_test([](GcmKernels* kernels) { kernels->check = idle; }), Errc::kInternal);
}

TEST_F(SelfTestOfGcmKernels, ARewrapUnderTheOldKekIsNoticed) {
  EXPECT_CODE(
      gcm_self_test([](GcmKernels* kernels) { kernels->rewrap = rewrap_under_the_old_kek; }),
      Errc::kInternal);
}

// All agree with each other, so that no round trip tells.
TEST_F(SelfTestOfGcmKernels, AdditionalDataOfAnotherKeyIsNoticed) {
  EXPECT_CODE(gcm_self_test([](GcmKernels* kernels) {
                kernels->wrap = [](const GcmSchedule& to, const GcmBatch& batch) {
                  aesni::kVaes512Gcm.wrap(to, with_one_aad(batch));
                };
                kernels->unwrap = [](const GcmSchedule& from, const GcmBatch& batch) {
                  aesni::kVaes512Gcm.unwrap(from, with_one_aad(batch));
                };
                kernels->check = [](const GcmSchedule& from, const GcmBatch& batch) {
                  aesni::kVaes512Gcm.check(from, with_one_aad(batch));
                };
                kernels->rewrap = [](const GcmSchedule& from, const GcmSchedule& to,
                                     const GcmBatch& batch) {
                  aesni::kVaes512Gcm.rewrap(from, to, with_one_aad(batch));
                };
              }),
              Errc::kInternal);
}

class SelfTestOfKwKernels : public testing::Test {
 protected:
  void SetUp() override {
    if (!test::runs_here_by_name("aesni")) GTEST_SKIP() << "this CPU cannot run aesni";
  }
};

// rewrap_wrong_at re-wraps well but for one bit of the last key, if keys have so many semiblocks;
// 0 is any number.
template <std::size_t kSemiblocks>
void rewrap_wrong_at(KwState* state, const uint8_t* in, uint8_t* out, uint8_t* verdicts,
                     size_t num_keys) {
  aesni::kAesniKw.rewrap(state, in, out, verdicts, num_keys);
  if (kSemiblocks != 0 && state->num_semiblocks != kSemiblocks) return;
  out[num_keys * kSemiblockLen * (state->num_semiblocks + 1) - 1] ^= 0x80;
}

template <std::size_t kSemiblocks>
void wrap_wrong_at(KwState* state, const uint8_t* in, uint8_t* out, size_t num_keys) {
  aesni::kAesniKw.wrap(state, in, out, num_keys);
  if (state->num_semiblocks == kSemiblocks) out[0] ^= 0x80;
}

template <std::size_t kSemiblocks>
void check_nothing_at(KwState* state, const uint8_t* in, uint8_t* verdicts, size_t num_keys) {
  aesni::kAesniKw.check(state, in, verdicts, num_keys);
  if (state->num_semiblocks == kSemiblocks) std::fill_n(verdicts, num_keys, kIntact);
}

TEST_F(SelfTestOfKwKernels, UnbrokenKernelsPass) {
  EXPECT_OK(kw_self_test([](KwKernel*) {}));
}

TEST_F(SelfTestOfKwKernels, ABrokenRewrapIsNoticed) {
  EXPECT_CODE(kw_self_test([](KwKernel* kernel) { kernel->rewrap = rewrap_wrong_at<0>; }),
              Errc::kInternal);
}

TEST_F(SelfTestOfKwKernels, OneBrokenLengthIsNoticed) {
  EXPECT_CODE(kw_self_test([](KwKernel* kernel) { kernel->rewrap = rewrap_wrong_at<6>; }),
              Errc::kInternal);
  EXPECT_CODE(kw_self_test([](KwKernel* kernel) { kernel->rewrap = rewrap_wrong_at<8>; }),
              Errc::kInternal);
  EXPECT_CODE(kw_self_test([](KwKernel* kernel) { kernel->wrap = wrap_wrong_at<6>; }),
              Errc::kInternal);
  EXPECT_CODE(kw_self_test([](KwKernel* kernel) { kernel->wrap = wrap_wrong_at<8>; }),
              Errc::kInternal);
  EXPECT_CODE(kw_self_test([](KwKernel* kernel) { kernel->check = check_nothing_at<6>; }),
              Errc::kInternal);
  EXPECT_CODE(kw_self_test([](KwKernel* kernel) { kernel->check = check_nothing_at<8>; }),
              Errc::kInternal);
}

// A re-wrap between equal KEKs does not tell.
TEST_F(SelfTestOfKwKernels, ARewrapUnderTheOldKekIsNoticed) {
  EXPECT_CODE(kw_self_test([](KwKernel* kernel) {
                kernel->set_up = [](KwState* state, size_t num_semiblocks, const KwSide* from,
                                    const KwSide* to) {
                  aesni::kAesniKw.set_up(state, num_semiblocks, from,
                                         from != nullptr && to != nullptr ? from : to);
                };
              }),
              Errc::kInternal);
}

// with_icv_of_kw takes KWP for KW.
KwSide with_icv_of_kw(const KwSide* side) {
  if (side == nullptr) return {};
  return {side->key, side->key_len, integrity_check_value(WrapAlgorithm::kKw, kSemiblockLen)};
}

TEST_F(SelfTestOfKwKernels, KwpWithTheCheckValueOfKwIsNoticed) {
  EXPECT_CODE(kw_self_test([](KwKernel* kernel) {
                kernel->set_up = [](KwState* state, size_t num_semiblocks, const KwSide* from,
                                    const KwSide* to) {
                  const KwSide kw_from = with_icv_of_kw(from);
                  const KwSide kw_to = with_icv_of_kw(to);
                  aesni::kAesniKw.set_up(state, num_semiblocks, from != nullptr ? &kw_from : from,
                                         to != nullptr ? &kw_to : to);
                };
              }),
              Errc::kInternal);
}

}  // namespace
}  // namespace rewrap
