// A store that stands in front of another and fails one commit of choice, as a full or failing disk
// does.
#ifndef REWRAP_TESTS_REKEY_FAULTY_STORE_H_
#define REWRAP_TESTS_REKEY_FAULTY_STORE_H_

#include <memory>
#include <string>

#include "rekey/store.h"

namespace rewrap {

class FaultyStore final : public Store {
 public:
  // Fault is what commit number `fail_at` (from 1) does; the others pass. It leaves nothing either
  // way.
  enum class Fault {
    kFails,  // with kExhausted
    kLies,   // says that all is well, as a disk does that lost power later
  };
  FaultyStore(Store* inner, int fail_at, Fault fault = Fault::kFails)
      : inner_(inner), fail_at_(fail_at), fault_(fault) {}

  Result<std::unique_ptr<Snapshot>> snapshot() override { return inner_->snapshot(); }
  Result<std::unique_ptr<Transaction>> begin() override;
  [[nodiscard]] const std::string& directory() const override { return inner_->directory(); }

  [[nodiscard]] bool has_failed() const { return num_commits_ >= fail_at_; }
  [[nodiscard]] Fault fault() const { return fault_; }
  // fails_now counts a commit and says whether it is the one.
  bool fails_now() { return ++num_commits_ == fail_at_; }

 private:
  Store* inner_;
  int fail_at_;
  Fault fault_;
  int num_commits_ = 0;
};

}  // namespace rewrap

#endif  // REWRAP_TESTS_REKEY_FAULTY_STORE_H_
