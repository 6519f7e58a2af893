// Delegation of a transaction, all but its commit.
#include "tests/rekey/faulty_store.h"

#include <utility>

namespace rewrap {
namespace {

class FaultyTransaction final : public Transaction {
 public:
  FaultyTransaction(std::unique_ptr<Transaction> inner, FaultyStore* store)
      : inner_(std::move(inner)), store_(store) {}

  Status refresh() override { return inner_->refresh(); }
  Result<ByteView> keyset(std::string_view name) override { return inner_->keyset(name); }
  Result<ByteView> kek_version(KeysetNumber k, KekVersion v) override {
    return inner_->kek_version(k, v);
  }
  Result<ByteView> ids(KeysetNumber k, SegmentNumber s) override { return inner_->ids(k, s); }
  Result<ByteView> wraps(KeysetNumber k, SegmentNumber s) override { return inner_->wraps(k, s); }
  Result<DekLocation> find(KeysetNumber k, const DekId& id) override { return inner_->find(k, id); }
  Result<ByteView> quarantined(KeysetNumber k, const DekId& id) override {
    return inner_->quarantined(k, id);
  }
  Status for_each_keyset(const std::function<Status(ByteView)>& visit) override {
    return inner_->for_each_keyset(visit);
  }
  Status for_each_kek_version(KeysetNumber k,
                              const std::function<Status(KekVersion, ByteView)>& visit) override {
    return inner_->for_each_kek_version(k, visit);
  }
  Status for_each_segment(KeysetNumber k,
                          const std::function<Status(SegmentNumber, ByteView)>& visit) override {
    return inner_->for_each_segment(k, visit);
  }
  Status for_each_location(KeysetNumber k,
                           const std::function<Status(const DekId&, DekLocation)>& visit) override {
    return inner_->for_each_location(k, visit);
  }
  Status for_each_quarantined(KeysetNumber k,
                              const std::function<Status(const DekId&, ByteView)>& visit) override {
    return inner_->for_each_quarantined(k, visit);
  }
  Result<KeysetNumber> next_keyset_number() override { return inner_->next_keyset_number(); }
  Status put_keyset(std::string_view name, ByteView v) override {
    return inner_->put_keyset(name, v);
  }
  Status put_kek_version(KeysetNumber k, KekVersion version, ByteView v) override {
    return inner_->put_kek_version(k, version, v);
  }
  Status put_ids(KeysetNumber k, SegmentNumber s, ByteView v) override {
    return inner_->put_ids(k, s, v);
  }
  Status put_wraps(KeysetNumber k, SegmentNumber s, ByteView v) override {
    return inner_->put_wraps(k, s, v);
  }
  Status put_location(KeysetNumber k, const DekId& id, DekLocation at) override {
    return inner_->put_location(k, id, at);
  }
  Status put_quarantined(KeysetNumber k, const DekId& id, ByteView v) override {
    return inner_->put_quarantined(k, id, v);
  }
  Status drop_location(KeysetNumber k, const DekId& id) override {
    return inner_->drop_location(k, id);
  }
  Status drop_quarantined(KeysetNumber k, const DekId& id) override {
    return inner_->drop_quarantined(k, id);
  }

  Status commit() override {
    if (!store_->fails_now()) return inner_->commit();
    inner_.reset();
    if (store_->fault() == FaultyStore::Fault::kLies) return {};
    return Status(Errc::kExhausted, "the disk is full, says the test");
  }

 private:
  std::unique_ptr<Transaction> inner_;
  FaultyStore* store_;
};

}  // namespace

Result<std::unique_ptr<Transaction>> FaultyStore::begin() {
  REWRAP_ASSIGN(auto transaction, inner_->begin());
  return std::unique_ptr<Transaction>(
      std::make_unique<FaultyTransaction>(std::move(transaction), this));
}

}  // namespace rewrap
