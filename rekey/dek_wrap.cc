// The reservation of IVs.
#include "rekey/dek_wrap.h"

#include "engine/base/codec.h"

namespace rewrap {

Bytes whole_aad(WrapAlgorithm algorithm, const DekId& keyset_uuid, const DekId& id) {
  if (algorithm != WrapAlgorithm::kGcm) return {};
  Encoder out;
  out.raw(keyset_uuid);
  out.raw(id);
  return out.take();
}

Result<std::unique_ptr<IvSource>> reserve_ivs(Store* store, const KeysetRecord& keyset,
                                              const Keyring& keyring, std::uint64_t count) {
  if (keyset.algorithm != WrapAlgorithm::kGcm) return std::unique_ptr<IvSource>();
  REWRAP_ASSIGN(auto transaction, store->begin());
  REWRAP_ASSIGN(KeysetRecord now, reload_keyset(*transaction, keyset.name, keyring));
  if (now.current_version != keyset.current_version) {
    return Status(Errc::kConflict, "the keyset has moved to a new KEK version in the meantime",
                  "run the same command again");
  }
  const std::uint64_t first = now.gcm_wraps;
  if (count > kMaxGcmWraps - first) {
    return Status(Errc::kExhausted,
                  "this KEK version has made all the GCM wraps that it may (2^32)",
                  "run rewrap rekey: a new KEK version starts afresh");
  }
  now.gcm_wraps += count;
  REWRAP_TRY(store_keyset(transaction.get(), now, keyring));
  REWRAP_TRY(transaction->commit());
  return std::make_unique<IvSource>(now.current_version, first, now.gcm_wraps);
}

}  // namespace rewrap
