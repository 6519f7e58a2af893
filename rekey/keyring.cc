// Opening and creating KEK versions through roots; authenticated access to the keyset record.
#include "rekey/keyring.h"

#include <utility>

#include "engine/implementation.h"

namespace rewrap {
namespace {

// The MAC key is wrapped under its own KEK, so that whoever can use the KEK can check the store, in
// every custody.
Result<Bytes> wrap_mac_key(const Kek& kek, ByteView mac_key) {
  REWRAP_ASSIGN(const Implementation* implementation, choose_implementation(""));
  const WrapSide side{WrapAlgorithm::kKw, &kek};
  REWRAP_ASSIGN(auto transform, implementation->make({kMacKeyLen, std::nullopt, side, false}));
  Bytes wrap(transform->out_len());
  std::array<std::uint8_t, 1> verdict{};
  REWRAP_TRY(transform->run(mac_key, wrap, verdict));
  return wrap;
}

Result<SecretBuffer> unwrap_mac_key(const Kek& kek, ByteView wrap) {
  REWRAP_ASSIGN(const Implementation* implementation, choose_implementation(""));
  const WrapSide side{WrapAlgorithm::kKw, &kek};
  REWRAP_ASSIGN(auto transform, implementation->make({kMacKeyLen, side, std::nullopt, false}));
  REWRAP_ASSIGN(SecretBuffer mac_key, SecretBuffer::create(kMacKeyLen));
  std::array<std::uint8_t, 1> verdict{kDamaged};
  if (wrap.size() == transform->in_len())
    REWRAP_TRY(transform->run(wrap, mac_key.expose_secret(), verdict));
  if (verdict[0] != kIntact) {
    return Status(Errc::kCorruption, "the MAC key of a KEK version does not open under its KEK",
                  "restore the store's directory from a backup");
  }
  return mac_key;
}

}  // namespace

Result<Root*> Keyring::root(const std::string& uri) {
  auto at = roots_.find(uri);
  if (at == roots_.end()) {
    Result<std::unique_ptr<Root>> opened = open_root(uri, options_);
    root_failed_ = !opened.ok();
    if (!opened.ok()) return opened.status();
    at = roots_.emplace(uri, std::move(opened).value()).first;
  }
  return at->second.get();
}

const OpenVersion* Keyring::find(KekVersion version) const {
  const auto at = open_.find(version);
  return at == open_.end() ? nullptr : &at->second;
}

Result<const OpenVersion*> Keyring::open(Snapshot& snapshot, const KeysetRecord& keyset,
                                         KekVersion version) {
  if (const OpenVersion* opened = find(version)) return opened;
  REWRAP_ASSIGN(const ByteView stored, snapshot.kek_version(keyset.number, version));
  REWRAP_ASSIGN(const KekVersionRecord record, decode_kek_version(stored));
  if (record.state == KekState::kDestroyed) {
    return Status(Errc::kNotFound, "this KEK version was decommissioned; its key is gone");
  }
  const Bytes context = protector_context(keyset.uuid, version);
  Status first_failure(Errc::kCorruption, "a KEK version has no protector",
                       "restore the store's directory from a backup");
  for (std::size_t i = 0; i < record.protectors.size(); ++i) {
    const Protector& protector = record.protectors[i];
    Result<Root*> root = this->root(protector.root_uri);
    Result<SecretBuffer> key =
        root.ok() ? root.value()->open(protector, context) : Result<SecretBuffer>(root.status());
    root_failed_ = !key.ok();
    if (!key.ok()) {
      if (i == 0) first_failure = key.status();
      continue;
    }
    REWRAP_ASSIGN(Kek kek, Kek::create(std::move(key).value()));
    REWRAP_ASSIGN(SecretBuffer mac_key, unwrap_mac_key(kek, record.mac_key_wrap));
    return &open_.emplace(version, OpenVersion{std::move(kek), std::move(mac_key)}).first->second;
  }
  return first_failure;
}

Result<KekVersionRecord> Keyring::create(const DekId& keyset_uuid, KekVersion version,
                                         const std::string& root_uri) {
  REWRAP_ASSIGN(Root * root, this->root(root_uri));
  Result<ProtectedKek> made = root->create(kKekLen, protector_context(keyset_uuid, version));
  root_failed_ = !made.ok();
  if (!made.ok()) return made.status();
  REWRAP_ASSIGN(Kek kek, Kek::create(std::move(made->kek)));
  REWRAP_ASSIGN(SecretBuffer mac_key, SecretBuffer::create(kMacKeyLen));
  REWRAP_TRY(random_bytes(mac_key.expose_secret()));
  KekVersionRecord record;
  record.created_at = now_seconds();
  REWRAP_ASSIGN(record.mac_key_wrap, wrap_mac_key(kek, mac_key.expose_secret()));
  record.protectors.push_back(std::move(made->protector));
  open_.insert_or_assign(version, OpenVersion{std::move(kek), std::move(mac_key)});
  return record;
}

Status Keyring::destroy(const KekVersionRecord& record) {
  for (const Protector& protector : record.protectors) {
    // A root that keeps nothing need not be there any more: it may be the reason for the rekey.
    if (!root_keeps_state(protector.mechanism)) continue;
    REWRAP_ASSIGN(Root * root, this->root(protector.root_uri));
    const Status status = root->destroy(protector);
    root_failed_ = !status.ok();
    REWRAP_TRY(status);
  }
  return {};
}

Result<KeysetRecord> peek_keyset(Snapshot& snapshot, const std::string& name) {
  Result<ByteView> stored = snapshot.keyset(name);
  if (stored.status().code() == Errc::kNotFound) {
    return Status(Errc::kNotFound, "there is no keyset of that name",
                  "rewrap keyset list shows those there are");
  }
  if (!stored.ok()) return stored.status();
  return read_keyset(stored.value());
}

Result<KeysetRecord> load_keyset(Snapshot& snapshot, const std::string& name, Keyring* keyring) {
  REWRAP_ASSIGN(const KeysetRecord unchecked, peek_keyset(snapshot, name));
  REWRAP_ASSIGN(const OpenVersion* current,
                keyring->open(snapshot, unchecked, unchecked.current_version));
  (void)current;
  return reload_keyset(snapshot, name, *keyring);
}

Result<KeysetRecord> reload_keyset(Snapshot& snapshot, const std::string& name,
                                   const Keyring& keyring) {
  REWRAP_ASSIGN(const ByteView stored, snapshot.keyset(name));
  REWRAP_ASSIGN(const KeysetRecord unchecked, read_keyset(stored));
  const OpenVersion* current = keyring.find(unchecked.current_version);
  if (current == nullptr) {
    return Status(Errc::kConflict, "the keyset has moved to a new KEK version in the meantime",
                  "run the same command again");
  }
  REWRAP_ASSIGN(Mac mac, current->make_mac());
  return open_keyset(stored, &mac);
}

Status store_keyset(Transaction* transaction, const KeysetRecord& keyset, const Keyring& keyring) {
  const OpenVersion* current = keyring.find(keyset.current_version);
  if (current == nullptr)
    return Status(Errc::kInternal, "the keyset's current KEK version is not open");
  REWRAP_ASSIGN(Mac mac, current->make_mac());
  REWRAP_ASSIGN(const Bytes sealed, seal_keyset(keyset, &mac));
  return transaction->put_keyset(keyset.name, sealed);
}

}  // namespace rewrap
