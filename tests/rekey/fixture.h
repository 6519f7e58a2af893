// A store in a private directory, with a keyset under a file root, for tests of rekey/.
#ifndef REWRAP_TESTS_REKEY_FIXTURE_H_
#define REWRAP_TESTS_REKEY_FIXTURE_H_

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "rekey/census.h"
#include "rekey/keyset.h"
#include "rekey/rekey.h"
#include "rekey/verify.h"

namespace rewrap {

// TempDirectory is removed with all that is in it.
class TempDirectory {
 public:
  TempDirectory();
  ~TempDirectory();
  TempDirectory(const TempDirectory&) = delete;
  TempDirectory& operator=(const TempDirectory&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

class RekeyFixture : public ::testing::Test {
 protected:
  void SetUp() override;
  // algorithm is that of the keyset.
  [[nodiscard]] virtual WrapAlgorithm algorithm() const { return WrapAlgorithm::kKw; }

  // A keyring as a new process would have it: nothing open.
  static std::unique_ptr<Keyring> new_keyring();
  static RootOptions root_options();
  static const Implementation& implementation();

  std::vector<DekId> generate(std::uint64_t count, std::size_t dek_len = 32);
  // add_damaged stores a DEK whose wrap does not open, with everything around it in order.
  DekId add_damaged();
  Result<RekeyReport> rekey_with(Store* store, unsigned num_threads = 2);
  RekeyReport rekey_all();
  VerifyReport verify_all();
  Census census();
  // open_all unwraps every DEK by id, through a new keyring: what "no DEK is lost" means.
  std::map<DekId, Bytes> open_all(const std::vector<DekId>& ids);

  TempDirectory directory_;
  std::string root_uri_;
  std::unique_ptr<Store> store_;
  static constexpr const char* kName = "disks";
};

// AlgorithmFixture is for what holds for every algorithm; suites are instantiated by
// REWRAP_FOR_EACH_ALGORITHM.
class AlgorithmFixture : public RekeyFixture, public testing::WithParamInterface<WrapAlgorithm> {
 protected:
  [[nodiscard]] WrapAlgorithm algorithm() const override { return GetParam(); }
};
#define REWRAP_FOR_EACH_ALGORITHM(suite)                                             \
  INSTANTIATE_TEST_SUITE_P(Algorithms, suite,                                        \
                           testing::Values(WrapAlgorithm::kKw, WrapAlgorithm::kGcm), \
                           [](const auto& test) { return algorithm_name(test.param); })

// ok_value ends the test program with the status if there is no value: for set-up that cannot fail.
template <typename T>
T ok_value(Result<T> result) {
  if (!result.ok()) {
    ADD_FAILURE() << result.status().describe();
    std::abort();
  }
  return std::move(result).value();
}

}  // namespace rewrap

#endif  // REWRAP_TESTS_REKEY_FIXTURE_H_
