// A root that stands in for one that is reached over the network: a file root under another URI.
#ifndef REWRAP_TESTS_API_STAND_IN_ROOT_H_
#define REWRAP_TESTS_API_STAND_IN_ROOT_H_

#include <memory>
#include <string>

#include "hsm/root.h"

namespace rewrap {

class StandInRoot final : public Root {
 public:
  // `binding` is bound to each KEK, as AWS does with an encryption context.
  StandInRoot(std::string uri, std::unique_ptr<Root> inner, std::string binding = {})
      : uri_(std::move(uri)), inner_(std::move(inner)), binding_(std::move(binding)) {}

  Result<ProtectedKek> create(std::size_t kek_len, ByteView context) override {
    REWRAP_ASSIGN(ProtectedKek made, inner_->create(kek_len, bound(context)));
    made.protector.root_uri = uri_;
    return made;
  }
  Result<SecretBuffer> open(const Protector& protector, ByteView context) override {
    return inner_->open(protector, bound(context));
  }
  Result<Protector> protect(const SecretBuffer& kek, ByteView context) override {
    REWRAP_ASSIGN(Protector made, inner_->protect(kek, bound(context)));
    made.root_uri = uri_;
    return made;
  }
  Status destroy(const Protector& protector) override { return inner_->destroy(protector); }
  Status random(ByteSpan out) override { return inner_->random(out); }
  Result<RootReport> probe() override { return inner_->probe(); }

 private:
  [[nodiscard]] Bytes bound(ByteView context) const {
    Bytes all(context.begin(), context.end());
    all.insert(all.end(), binding_.begin(), binding_.end());
    return all;
  }

  std::string uri_;
  std::unique_ptr<Root> inner_;
  std::string binding_;
};

}  // namespace rewrap

#endif  // REWRAP_TESTS_API_STAND_IN_ROOT_H_
