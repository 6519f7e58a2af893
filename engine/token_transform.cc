// Import and export through a wrapping key: by value, by bulk ECB in the token, or key by key with
// C_UnwrapKey.
#include "engine/token_transform.h"

#include <optional>
#include <utility>

#include "engine/in_token.h"
#include "engine/make_transform.h"
#include "engine/step_sliced.h"
#include "engine/two_step.h"

namespace rewrap {
namespace {

// Opens each wrap with C_UnwrapKey. Slow (a few calls per DEK), but needs no more from the token
// than the UNWRAP attribute.
class UnwrapKeyTransform final : public Transform {
 public:
  UnwrapKeyTransform(WrappingKey* key, std::size_t dek_len) : key_(key), dek_len_(dek_len) {}

  [[nodiscard]] std::size_t in_len() const override { return dek_len_ + kSemiblockLen; }
  [[nodiscard]] std::size_t out_len() const override { return dek_len_; }

 private:
  Status transform(const Batch& batch) override {
    for (std::size_t k = 0; k < batch.verdicts.size(); ++k) {
      const ByteSpan dek = batch.out.subspan(k * dek_len_, dek_len_);
      const Status status = key_->unwrap_key(batch.in.subspan(k * in_len(), in_len()), dek);
      if (!status.ok() && status.code() != Errc::kIntegrity) return status;
      batch.verdicts[k] = status.ok() ? kIntact : kDamaged;
      if (!status.ok()) wipe(dek);
    }
    return {};
  }

  WrappingKey* key_;
  std::size_t dek_len_;
};

// then_wrap wraps what `unwrap` opens.
Result<std::unique_ptr<Transform>> then_wrap(const Implementation& implementation,
                                             std::unique_ptr<Transform> unwrap, WrapSide to) {
  auto ivs = std::make_unique<RunIvs>(to.gcm.ivs);
  to.gcm.ivs = ivs->for_wrapper();
  REWRAP_ASSIGN(auto wrap,
                make_transform(implementation, {unwrap->out_len(), std::nullopt, to, false}));
  return make_two_step(std::move(unwrap), std::move(wrap), std::move(ivs));
}

// sliced is a side of ours.
Result<SlicedSide> sliced(const WrapSide& side) {
  REWRAP_ASSIGN(auto cipher, make_ecb(*side.kek));
  return SlicedSide{side.algorithm, std::move(cipher)};
}

constexpr Literal kNoGcmInToken("GCM wraps cannot be made or opened by this KEK inside its token");

Result<std::unique_ptr<Transform>> import_by_ecb(const Implementation& implementation,
                                                 WrappingKey* key, WrapAlgorithm from,
                                                 const WrapSide& to, std::size_t dek_len) {
  SlicedSide opened{from, make_token_ecb(key)};
  if (to.algorithm == WrapAlgorithm::kGcm || is_in_token(*to.kek)) {
    REWRAP_ASSIGN(auto unwrap, make_step_sliced(dek_len, std::move(opened), std::nullopt, false));
    return then_wrap(implementation, std::move(unwrap), to);
  }
  REWRAP_ASSIGN(SlicedSide wrapped, sliced(to));
  return make_step_sliced(dek_len, std::move(opened), std::move(wrapped), false);
}

}  // namespace

Result<std::unique_ptr<Transform>> make_import_transform(const Implementation& implementation,
                                                         WrappingKey* key, const Kek* key_value,
                                                         WrapAlgorithm from, WrapSide to,
                                                         std::size_t dek_len) {
  if (key->access() == WrappingAccess::kValue) {
    return make_transform(implementation, {dek_len, WrapSide{from, key_value}, to, false});
  }
  if (from == WrapAlgorithm::kGcm) {
    return Status(Errc::kUnsupported, kNoGcmInToken,
                  "for A...GCMKW lines the KEK must be extractable, or in a file");
  }
  if (key->access() == WrappingAccess::kBulkEcb)
    return import_by_ecb(implementation, key, from, to, dek_len);
  if (from != WrapAlgorithm::kKw) {
    return Status(
        Errc::kUnsupported,
        "the token lets this KEK be used for C_UnwrapKey only, which opens RFC 3394 wraps",
        "for KWP wraps the KEK needs CKA_DECRYPT, or must be extractable");
  }
  return then_wrap(implementation, std::make_unique<UnwrapKeyTransform>(key, dek_len), to);
}

Result<std::unique_ptr<Transform>> make_export_transform(const Implementation& implementation,
                                                         WrappingKey* key, const Kek* key_value,
                                                         WrapSide from, WrapAlgorithm to,
                                                         std::size_t dek_len) {
  if (to == WrapAlgorithm::kGcm) {
    return Status(Errc::kUnsupported, "no IVs are kept for GCM wraps under somebody else's KEK",
                  "wrap by RFC 3394 or RFC 5649");
  }
  if (is_in_token(*from.kek)) {
    return Status(Errc::kRefused, "in custody in-token the DEKs never leave their token",
                  "export without --to-kek: as they are, wrapped under the token's own KEK");
  }
  if (key->access() == WrappingAccess::kValue) {
    return make_transform(implementation, {dek_len, from, WrapSide{to, key_value}, false});
  }
  if (key->access() != WrappingAccess::kBulkEcb) {
    return Status(Errc::kUnsupported, "the token lets this KEK be used for C_UnwrapKey only",
                  "export needs a KEK with CKA_ENCRYPT, or an extractable one");
  }
  SlicedSide wrapped{to, make_token_ecb(key)};
  if (from.algorithm == WrapAlgorithm::kGcm) {
    REWRAP_ASSIGN(auto unwrap,
                  make_transform(implementation, {dek_len, from, std::nullopt, false}));
    REWRAP_ASSIGN(auto wrap, make_step_sliced(dek_len, std::nullopt, std::move(wrapped), false));
    return make_two_step(std::move(unwrap), std::move(wrap), nullptr);
  }
  REWRAP_ASSIGN(SlicedSide opened, sliced(from));
  return make_step_sliced(dek_len, std::move(opened), std::move(wrapped), false);
}

}  // namespace rewrap
