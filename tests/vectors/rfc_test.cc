// The examples of RFC 3394 section 4 and RFC 5649 section 6, typed in, and what must not pass if a
// runner is any good.
#include <gtest/gtest-spi.h>
#include <gtest/gtest.h>

#include <iostream>

#include "tests/unit/implementation_param.h"
#include "tests/vectors/vector_run.h"

namespace rewrap {
namespace {

using test::from_hex;
using test::VectorCase;

struct Example {
  const char* where;
  WrapAlgorithm algorithm;
  const char* kek;
  const char* key;
  const char* wrapped;
};

constexpr Example kExamples[] = {
    {"RFC 3394 4.1", WrapAlgorithm::kKw, "000102030405060708090A0B0C0D0E0F",
     "00112233445566778899AABBCCDDEEFF", "1FA68B0A8112B447AEF34BD8FB5A7B829D3E862371D2CFE5"},
    {"RFC 3394 4.2", WrapAlgorithm::kKw, "000102030405060708090A0B0C0D0E0F1011121314151617",
     "00112233445566778899AABBCCDDEEFF", "96778B25AE6CA435F92B5B97C050AED2468AB8A17AD84E5D"},
    {"RFC 3394 4.3", WrapAlgorithm::kKw,
     "000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F",
     "00112233445566778899AABBCCDDEEFF", "64E8C3F9CE0F5BA263E9777905818A2A93C8191E7D6E8AE7"},
    {"RFC 3394 4.4", WrapAlgorithm::kKw, "000102030405060708090A0B0C0D0E0F1011121314151617",
     "00112233445566778899AABBCCDDEEFF0001020304050607",
     "031D33264E15D33268F24EC260743EDCE1C6C7DDEE725A936BA814915C6762D2"},
    {"RFC 3394 4.5", WrapAlgorithm::kKw,
     "000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F",
     "00112233445566778899AABBCCDDEEFF0001020304050607",
     "A8F9BC1612C68B3FF6E6F4FBE30E71E4769C8B80A32CB8958CD5D17D6B254DA1"},
    {"RFC 3394 4.6", WrapAlgorithm::kKw,
     "000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F",
     "00112233445566778899AABBCCDDEEFF000102030405060708090A0B0C0D0E0F",
     "28C9F404C4B810F4CBCCB35CFB87F8263F5786E2D80ED326CBC7F0E71A99F43BFB988B9B7A02DD21"},
    {"RFC 5649 6, 20 bytes", WrapAlgorithm::kKwp,
     "5840DF6E29B02AF1AB493B705BF16EA1AE8338F4DCC176A8", "C37B7E6492584340BED12207808941155068F738",
     "138BDEAA9B8FA7FC61F97742E72248EE5AE6AE5360D1AE6A5F54F373FA543B6A"},
    {"RFC 5649 6, 7 bytes", WrapAlgorithm::kKwp, "5840DF6E29B02AF1AB493B705BF16EA1AE8338F4DCC176A8",
     "466F7250617369", "AFBEB0F07DFBF5419200F2CCB50BB24F"},
};

VectorCase vector_of(const Example& example) {
  return {example.where, from_hex(example.kek), from_hex(example.key), from_hex(example.wrapped),
          false};
}

class RfcTest : public test::ImplementationTest {};

TEST_P(RfcTest, EveryExampleBothWays) {
  test::Counts wrapped;
  test::Counts opened;
  for (const Example& example : kExamples) {
    expect_wrap(implementation().make, example.algorithm, vector_of(example), &wrapped);
    expect_unwrap(implementation().make, example.algorithm, vector_of(example), &opened);
  }
  std::cout << "RFC 3394 and RFC 5649: " << wrapped.good << " wrapped, " << opened.good
            << " opened, by " << implementation().name << "\n";
  EXPECT_EQ(wrapped.good, std::size(kExamples));
  EXPECT_EQ(opened.good, std::size(kExamples));
}

REWRAP_FOR_EACH_IMPLEMENTATION(RfcTest);

// The runner's own control: a vector with one wrong digit, and one that wrongly says FAIL, are test
// failures.
const Implementation& any_implementation() { return implementations().back(); }

void run_wrap_with_a_wrong_digit() {
  VectorCase vector = vector_of(kExamples[0]);
  vector.wrapped.back() ^= 1;
  test::Counts counts;
  expect_wrap(any_implementation().make, WrapAlgorithm::kKw, vector, &counts);
}
void run_unwrap_with_a_wrong_digit() {
  VectorCase vector = vector_of(kExamples[6]);
  vector.key.back() ^= 1;
  test::Counts counts;
  expect_unwrap(any_implementation().make, WrapAlgorithm::kKwp, vector, &counts);
}
void run_good_wrap_as_one_that_must_fail() {
  VectorCase vector = vector_of(kExamples[7]);
  vector.must_fail = true;
  test::Counts counts;
  expect_unwrap(any_implementation().make, WrapAlgorithm::kKwp, vector, &counts);
}

TEST(VectorRunControl, WrongVectorsAreNoticed) {
  EXPECT_FATAL_FAILURE(run_wrap_with_a_wrong_digit(), "RFC 3394 4.1");
  EXPECT_FATAL_FAILURE(run_unwrap_with_a_wrong_digit(), "RFC 5649 6, 20 bytes");
  EXPECT_FATAL_FAILURE(run_good_wrap_as_one_that_must_fail(), "RFC 5649 6, 7 bytes");
}

void read_a_file_that_is_not_there() { test::read_vector_file("no_such_file.txt"); }

TEST(VectorRunControl, AMissingFileIsNoticed) {
  EXPECT_NONFATAL_FAILURE(read_a_file_that_is_not_there(), "no_such_file.txt");
}

}  // namespace
}  // namespace rewrap
