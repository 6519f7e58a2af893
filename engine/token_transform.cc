// Import and export through a wrapping key: by value, by bulk ECB in the token, or key by key with
// C_UnwrapKey.
#include "engine/token_transform.h"

#include <algorithm>
#include <array>
#include <utility>

#include "engine/step_sliced.h"

namespace rewrap {
namespace {

// Opens each wrap with C_UnwrapKey and wraps the batch on the host. Slow (a few calls per DEK), but
// needs no more from the token than the UNWRAP attribute.
class UnwrapKeyTransform final : public Transform {
 public:
  UnwrapKeyTransform(WrappingKey* key, std::unique_ptr<Transform> wrapper, SecretBuffer scratch)
      : key_(key), wrapper_(std::move(wrapper)), scratch_(std::move(scratch)) {}

  static constexpr std::size_t kBatch = 256;

  [[nodiscard]] std::size_t in_len() const override { return dek_len() + kSemiblockLen; }
  [[nodiscard]] std::size_t out_len() const override { return wrapper_->out_len(); }

 private:
  Status transform(const Batch& batch) override {
    const std::size_t num_keys = batch.verdicts.size();
    Status status;
    for (std::size_t done = 0; status.ok() && done < num_keys;) {
      const std::size_t num = std::min(kBatch, num_keys - done);
      status = run_batch(batch.in.subspan(done * in_len(), num * in_len()),
                         batch.out.subspan(done * out_len(), num * out_len()),
                         batch.verdicts.subspan(done, num));
      done += num;
    }
    wipe(scratch_.expose_secret());
    return status;
  }

  [[nodiscard]] std::size_t dek_len() const { return wrapper_->in_len(); }

  Status run_batch(ByteView in, ByteSpan out, ByteSpan verdicts) {
    const ByteSpan deks = scratch_.expose_secret().first(verdicts.size() * dek_len());
    REWRAP_TRY(wrap_opened(in, deks, out, verdicts));
    for (std::size_t k = 0; k < verdicts.size(); ++k) {
      if (verdicts[k] == kDamaged) wipe(out.subspan(k * out_len(), out_len()));
    }
    return {};
  }

  Status wrap_opened(ByteView in, ByteSpan deks, ByteSpan out, ByteSpan verdicts) {
    std::array<std::uint8_t, kBatch> opened{};
    for (std::size_t k = 0; k < verdicts.size(); ++k) {
      const ByteSpan dek = deks.subspan(k * dek_len(), dek_len());
      const Status status = key_->unwrap_key(in.subspan(k * in_len(), in_len()), dek);
      if (!status.ok() && status.code() != Errc::kIntegrity) return status;
      opened[k] = status.ok() ? kIntact : kDamaged;
      if (!status.ok()) wipe(dek);
    }
    REWRAP_TRY(wrapper_->run(deks, out, verdicts));
    copy_bytes(verdicts, ByteView(opened).first(verdicts.size()));
    return {};
  }

  WrappingKey* key_;
  std::unique_ptr<Transform> wrapper_;  // key bytes in, wraps under the keyset's KEK out
  SecretBuffer scratch_;
};

}  // namespace

Result<std::unique_ptr<Transform>> make_import_transform(const Implementation& implementation,
                                                         WrappingKey* key, const Kek* key_value,
                                                         WrapAlgorithm from, WrapSide to,
                                                         std::size_t dek_len) {
  if (key->access() == WrappingAccess::kValue) {
    return implementation.make({dek_len, WrapSide{from, key_value}, to, false});
  }
  if (key->access() == WrappingAccess::kBulkEcb) {
    REWRAP_ASSIGN(auto cipher, make_openssl_ecb(*to.kek));
    return make_step_sliced(dek_len, SlicedSide{from, make_token_ecb(key)},
                            SlicedSide{to.algorithm, std::move(cipher)}, false);
  }
  if (from != WrapAlgorithm::kKw) {
    return Status(
        Errc::kUnsupported,
        "the token lets this KEK be used for C_UnwrapKey only, which opens RFC 3394 wraps",
        "for KWP wraps the KEK needs CKA_DECRYPT, or must be extractable");
  }
  REWRAP_ASSIGN(auto wrapper, implementation.make({dek_len, std::nullopt, to, false}));
  REWRAP_ASSIGN(SecretBuffer scratch, SecretBuffer::create(UnwrapKeyTransform::kBatch * dek_len));
  return std::unique_ptr<Transform>(
      std::make_unique<UnwrapKeyTransform>(key, std::move(wrapper), std::move(scratch)));
}

Result<std::unique_ptr<Transform>> make_export_transform(const Implementation& implementation,
                                                         WrappingKey* key, const Kek* key_value,
                                                         WrapSide from, WrapAlgorithm to,
                                                         std::size_t dek_len) {
  if (key->access() == WrappingAccess::kValue) {
    return implementation.make({dek_len, from, WrapSide{to, key_value}, false});
  }
  if (key->access() == WrappingAccess::kBulkEcb) {
    REWRAP_ASSIGN(auto cipher, make_openssl_ecb(*from.kek));
    return make_step_sliced(dek_len, SlicedSide{from.algorithm, std::move(cipher)},
                            SlicedSide{to, make_token_ecb(key)}, false);
  }
  return Status(Errc::kUnsupported, "the token lets this KEK be used for C_UnwrapKey only",
                "export needs a KEK with CKA_ENCRYPT, or an extractable one");
}

}  // namespace rewrap
