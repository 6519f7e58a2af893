// The choice among implementations, and proof that the self-test notices broken ones.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <set>
#include <string>

#include "engine/implementation.h"
#include "tests/hsm/expect_code.h"
#include "tests/unit/implementation_param.h"

namespace rewrap {
namespace {

TEST(Choice, NamesAreDistinctAndTheLastRunsAnywhere) {
  std::set<std::string> names;
  for (const Implementation& implementation : implementations()) {
    names.insert(implementation.name);
    EXPECT_STRNE(implementation.description, "");
    EXPECT_STRNE(implementation.needs, "");
  }
  EXPECT_EQ(names.size(), implementations().size());
  EXPECT_TRUE(implementations().back().runs_on(CpuFeatures{}));
}

TEST(Choice, NoNameGivesTheBestThatRunsHere) {
  const auto chosen = choose_implementation("");
  ASSERT_OK(chosen);
  const auto best =
      std::find_if(implementations().begin(), implementations().end(), test::runs_here);
  ASSERT_NE(best, implementations().end());
  EXPECT_STREQ(chosen.value()->name, best->name);
}

TEST(Choice, AForcedNameGivesThatOneOrNothing) {
  for (const Implementation& implementation : implementations()) {
    const auto chosen = choose_implementation(implementation.name);
    if (!test::runs_here(implementation)) {
      EXPECT_CODE(chosen, Errc::kUnsupported);
      continue;
    }
    ASSERT_OK(chosen);
    EXPECT_STREQ(chosen.value()->name, implementation.name);
  }
}

TEST(Choice, AnUnknownNameIsNotFound) {
  const std::string best = implementations().front().name;
  for (const std::string& name : {std::string("no-such"), best + "x", best.substr(1),
                                  std::string(" "), std::string(1, '\0')}) {
    const auto chosen = choose_implementation(name);
    EXPECT_CODE(chosen, Errc::kNotFound);
    EXPECT_STRNE(chosen.status().hint(), "");
  }
}

class SelfTest : public test::ImplementationTest {};
TEST_P(SelfTest, Passes) { EXPECT_OK(self_test(implementation())); }
REWRAP_FOR_EACH_IMPLEMENTATION(SelfTest);

// Fault changes what a good transform gave.
using Fault = void (*)(std::size_t out_len, ByteSpan out, ByteSpan verdicts);

// Faulty is a good transform with one fault; it must not pass the self-test.
class Faulty final : public Transform {
 public:
  Faulty(std::unique_ptr<Transform> good, Fault fault) : good_(std::move(good)), fault_(fault) {}
  [[nodiscard]] std::size_t in_len() const override { return good_->in_len(); }
  [[nodiscard]] std::size_t out_len() const override { return good_->out_len(); }

 private:
  Status transform(const Batch& batch) override {
    REWRAP_TRY(good_->run(batch));
    fault_(good_->out_len(), batch.out, batch.verdicts);
    return {};
  }

  std::unique_ptr<Transform> good_;
  Fault fault_;
};

bool wraps(const TransformSpec& spec) { return spec.to && !spec.from; }
bool unwraps(const TransformSpec& spec) { return spec.from && !spec.to; }
bool rewraps(const TransformSpec& spec) { return spec.from && spec.to; }
bool any(const TransformSpec& /*spec*/) { return true; }

// faulty gives an implementation that has `kFault` where `kWhere` holds.
template <bool (*kWhere)(const TransformSpec&), auto kFault>
Implementation faulty() {
  return {"faulty", "broken on purpose", "any CPU", [](const CpuFeatures&) { return true; },
          [](const TransformSpec& spec) -> Result<std::unique_ptr<Transform>> {
            REWRAP_ASSIGN(auto good, implementations().back().make(spec));
            if (!kWhere(spec)) return good;
            return std::unique_ptr<Transform>(std::make_unique<Faulty>(std::move(good), kFault));
          }};
}

void no_fault(std::size_t /*out_len*/, ByteSpan /*out*/, ByteSpan /*verdicts*/) {}
void ignores_damage(std::size_t /*out_len*/, ByteSpan /*out*/, ByteSpan verdicts) {
  std::fill(verdicts.begin(), verdicts.end(), kIntact);
}
void refuses_all(std::size_t /*out_len*/, ByteSpan /*out*/, ByteSpan verdicts) {
  std::fill(verdicts.begin(), verdicts.end(), kDamaged);
}
void flips_one_bit_of_the_first(std::size_t /*out_len*/, ByteSpan out, ByteSpan /*verdicts*/) {
  if (!out.empty()) test::flip_bit(out, 0);
}
void flips_one_bit_of_the_last(std::size_t /*out_len*/, ByteSpan out, ByteSpan /*verdicts*/) {
  if (!out.empty()) test::flip_bit(out, 8 * out.size() - 1);
}
// One bit of a damaged key comes out, as if its output had not been zeroed.
void leaks_damaged(std::size_t out_len, ByteSpan out, ByteSpan verdicts) {
  for (std::size_t k = 0; k < verdicts.size(); ++k) {
    if (verdicts[k] == kDamaged && out_len > 0) test::flip_bit(out, 8 * ((k + 1) * out_len) - 1);
  }
}

TEST(SelfTestControl, AnUnbrokenCopyPasses) { EXPECT_OK((self_test(faulty<any, no_fault>()))); }

TEST(SelfTestControl, DamageThatIsIgnoredIsNoticed) {
  EXPECT_CODE((self_test(faulty<unwraps, ignores_damage>())), Errc::kInternal);
  EXPECT_CODE((self_test(faulty<rewraps, ignores_damage>())), Errc::kInternal);
}

TEST(SelfTestControl, RefusalOfGoodWrapsIsNoticed) {
  EXPECT_CODE((self_test(faulty<unwraps, refuses_all>())), Errc::kInternal);
  EXPECT_CODE((self_test(faulty<rewraps, refuses_all>())), Errc::kInternal);
}

TEST(SelfTestControl, OneWrongBitIsNoticed) {
  EXPECT_CODE((self_test(faulty<wraps, flips_one_bit_of_the_first>())), Errc::kInternal);
  EXPECT_CODE((self_test(faulty<wraps, flips_one_bit_of_the_last>())), Errc::kInternal);
  EXPECT_CODE((self_test(faulty<unwraps, flips_one_bit_of_the_first>())), Errc::kInternal);
  EXPECT_CODE((self_test(faulty<unwraps, flips_one_bit_of_the_last>())), Errc::kInternal);
  EXPECT_CODE((self_test(faulty<rewraps, flips_one_bit_of_the_first>())), Errc::kInternal);
  EXPECT_CODE((self_test(faulty<rewraps, flips_one_bit_of_the_last>())), Errc::kInternal);
}

TEST(SelfTestControl, BytesOfADamagedKeyAreNoticed) {
  EXPECT_CODE((self_test(faulty<unwraps, leaks_damaged>())), Errc::kInternal);
  EXPECT_CODE((self_test(faulty<rewraps, leaks_damaged>())), Errc::kInternal);
}

bool checks_only(const TransformSpec& spec) { return spec.check_only; }

TEST(SelfTestControl, ACheckThatIgnoresDamageIsNoticed) {
  EXPECT_CODE((self_test(faulty<checks_only, ignores_damage>())), Errc::kInternal);
}

bool is_kwp(const TransformSpec& spec) {
  return spec.from && spec.from->algorithm == WrapAlgorithm::kKwp;
}

TEST(SelfTestControl, DamageThatIsIgnoredInKwpOnlyIsNoticed) {
  EXPECT_CODE((self_test(faulty<is_kwp, ignores_damage>())), Errc::kInternal);
}

bool opens_gcm(const TransformSpec& spec) {
  return spec.from && !spec.to && spec.from->algorithm == WrapAlgorithm::kGcm;
}
bool rewraps_gcm(const TransformSpec& spec) {
  return spec.from && spec.to && spec.to->algorithm == WrapAlgorithm::kGcm;
}
bool wraps_gcm(const TransformSpec& spec) {
  return spec.to && !spec.from && spec.to->algorithm == WrapAlgorithm::kGcm;
}
// The invocation number of the second key comes again with the third.
void repeats_an_iv(std::size_t out_len, ByteSpan out, ByteSpan verdicts) {
  if (verdicts.size() < 3) return;
  copy_bytes(out.subspan(2 * out_len), out.subspan(out_len, kGcmIvLen));
}
// Only the last lane of a large batch.
void ignores_damage_in_a_far_lane(std::size_t /*out_len*/, ByteSpan /*out*/, ByteSpan verdicts) {
  if (verdicts.size() > 294) verdicts[294] = kIntact;
}

TEST(SelfTestControl, FaultsInGcmOnlyAreNoticed) {
  EXPECT_CODE((self_test(faulty<opens_gcm, ignores_damage>())), Errc::kInternal);
  EXPECT_CODE((self_test(faulty<opens_gcm, ignores_damage_in_a_far_lane>())), Errc::kInternal);
  EXPECT_CODE((self_test(faulty<opens_gcm, leaks_damaged>())), Errc::kInternal);
  EXPECT_CODE((self_test(faulty<rewraps_gcm, leaks_damaged>())), Errc::kInternal);
  EXPECT_CODE((self_test(faulty<rewraps_gcm, flips_one_bit_of_the_last>())), Errc::kInternal);
  EXPECT_CODE((self_test(faulty<wraps_gcm, flips_one_bit_of_the_first>())), Errc::kInternal);
  EXPECT_CODE((self_test(faulty<wraps_gcm, repeats_an_iv>())), Errc::kInternal);
}

TEST(SelfTestControl, AnImplementationThatCannotBeMadePassesItsReasonOn) {
  const Implementation none{"none", "", "", [](const CpuFeatures&) { return true; },
                            [](const TransformSpec&) -> Result<std::unique_ptr<Transform>> {
                              return Status(Errc::kExhausted, "no locked memory");
                            }};
  EXPECT_CODE(self_test(none), Errc::kExhausted);
}

}  // namespace
}  // namespace rewrap
