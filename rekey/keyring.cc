// Opening and creating KEK versions through roots; authenticated access to the keyset record.
#include "rekey/keyring.h"

#include <algorithm>
#include <set>
#include <string_view>
#include <utility>

#include "engine/make_transform.h"
#include "hsm/random.h"

namespace rewrap {
namespace {

// The MAC key is wrapped under its own KEK, so that whoever can use the KEK can check the store, in
// every custody.
Result<Bytes> wrap_mac_key(const Kek& kek, ByteView mac_key) {
  REWRAP_ASSIGN(const Implementation* implementation, choose_implementation(""));
  const WrapSide side{WrapAlgorithm::kKw, &kek};
  REWRAP_ASSIGN(auto transform,
                make_transform(*implementation, {kMacKeyLen, std::nullopt, side, false}));
  Bytes wrap(transform->out_len());
  std::array<std::uint8_t, 1> verdict{};
  REWRAP_TRY(transform->run(mac_key, wrap, verdict));
  return wrap;
}

Result<SecretBuffer> unwrap_mac_key(const Kek& kek, ByteView wrap) {
  REWRAP_ASSIGN(const Implementation* implementation, choose_implementation(""));
  const WrapSide side{WrapAlgorithm::kKw, &kek};
  REWRAP_ASSIGN(auto transform,
                make_transform(*implementation, {kMacKeyLen, side, std::nullopt, false}));
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

Result<NewKek> make_kek(Root* root, Custody custody, ByteView context) {
  if (custody == Custody::kHost) {
    REWRAP_ASSIGN(ProtectedKek made, root->create(kKekLen, context));
    REWRAP_ASSIGN(Kek kek, Kek::create(std::move(made.kek)));
    return NewKek{std::move(made.protector), std::move(kek)};
  }
  const TokenCustody inside =
      custody == Custody::kInToken ? TokenCustody::kInToken : TokenCustody::kKekInToken;
  REWRAP_ASSIGN(ProtectedTokenKek made, root->create_in_token(inside, kKekLen, context));
  return NewKek{std::move(made.protector), Kek::in_token(std::move(made.kek))};
}

// login_of names what the PIN of a root is for: the token, whichever of its keys a PKCS#11 URI
// (RFC 7512) names; else the root itself.
std::string login_of(const std::string& uri) {
  constexpr std::string_view kScheme = "pkcs11:";
  if (!uri.starts_with(kScheme)) return uri;
  const std::size_t path_end = std::min(uri.find('?'), uri.size());
  std::string login(kScheme);
  for (std::size_t at = kScheme.size(); at < path_end;) {
    const std::size_t end = std::min(uri.find(';', at), path_end);
    const std::string_view attribute = std::string_view(uri).substr(at, end - at);
    const bool names_key = attribute.starts_with("object=") || attribute.starts_with("id=") ||
                           attribute.starts_with("type=");
    if (!names_key) login.append(attribute).push_back(';');
    at = end + 1;
  }
  return login.append(uri, path_end);
}

bool is_counted(const Protector& protector) { return !counter_of(protector).empty(); }

// in_order_of_trial puts first what is bound to a counter.
std::vector<const Protector*> in_order_of_trial(const KekVersionRecord& record) {
  std::vector<const Protector*> order;
  for (const Protector& protector : record.protectors) order.push_back(&protector);
  std::stable_partition(order.begin(), order.end(),
                        [](const Protector* protector) { return is_counted(*protector); });
  return order;
}

}  // namespace

Result<Root*> Keyring::root(const std::string& uri) {
  auto at = roots_.find(uri);
  if (at != roots_.end()) return at->second.get();
  const auto failed = failed_roots_.find(uri);
  const auto login = failed_logins_.find(login_of(uri));
  root_failed_ = true;
  if (failed != failed_roots_.end()) return failed->second;
  if (login != failed_logins_.end()) return login->second;
  Result<std::unique_ptr<Root>> opened = opener_(uri, options_);
  root_failed_ = !opened.ok();
  if (!opened.ok()) {
    failed_roots_.emplace(uri, opened.status());
    if (opened.status().code() == Errc::kDenied)
      failed_logins_.emplace(login_of(uri), opened.status());
    return opened.status();
  }
  return roots_.emplace(uri, std::move(opened).value()).first->second.get();
}

const OpenVersion* Keyring::find(KekVersion version) const {
  const auto at = open_.find(version);
  return at == open_.end() ? nullptr : &at->second;
}

Result<Kek> Keyring::open_kek(const Protector& protector, ByteView context) {
  REWRAP_ASSIGN(Root * root, this->root(protector.root_uri));
  if (protector.mechanism == Mechanism::kTokenKey) {
    REWRAP_ASSIGN(auto token, root->open_in_token(protector, context));
    return Kek::in_token(std::move(token));
  }
  Result<SecretBuffer> key = root->open(protector, context);
  if (key.status().code() == Errc::kConflict) {
    // It was stored by a run that ended before it could make it valid. Nothing else may be lost by
    // that now: what it kills was replaced in the same transaction.
    REWRAP_TRY(root->activate(protector));
    key = root->open(protector, context);
  }
  if (!key.ok()) return key.status();
  return Kek::create(std::move(key).value());
}

Result<Kek> Keyring::try_protector(const KeysetRecord& keyset, KekVersion version,
                                   const Protector& protector) {
  Result<Kek> kek = open_kek(protector, protector_context(keyset.uuid, version));
  root_failed_ = !kek.ok();
  tried_[{version, encode_protector(protector)}] = kek.ok();
  return kek;
}

Result<Kek> Keyring::open_any(const KeysetRecord& keyset, KekVersion version,
                              const KekVersionRecord& record) {
  Status first_failure;
  std::vector<BrokenProtector> passed_over;
  bool counter_failed = false;
  for (const Protector* protector : in_order_of_trial(record)) {
    if (counter_failed && !may_recover_ && !is_counted(*protector)) {
      return first_failure.with_hint(
          "mend that; or, to open by a protector that does not know whether this store is the "
          "newest, add --recover");
    }
    Result<Kek> kek = try_protector(keyset, version, *protector);
    if (kek.ok()) {
      broken_.insert(broken_.end(), passed_over.begin(), passed_over.end());
      return kek;
    }
    counter_failed = counter_failed || is_counted(*protector);
    const bool is_old_copy = kek.status().code() == Errc::kRefused && is_counted(*protector);
    if (is_old_copy && !may_recover_) return kek.status();
    if (first_failure.ok()) first_failure = kek.status();
    passed_over.push_back({version, protector->root_uri, kek.status()});
  }
  if (!first_failure.ok()) return first_failure;
  return Status(Errc::kCorruption, "a KEK version has no protector",
                "restore the store's directory from a backup");
}

Result<const OpenVersion*> Keyring::open(Snapshot& snapshot, const KeysetRecord& keyset,
                                         KekVersion version) {
  if (const OpenVersion* opened = find(version)) return opened;
  REWRAP_ASSIGN(const ByteView stored, snapshot.kek_version(keyset.number, version));
  REWRAP_ASSIGN(const KekVersionRecord record, decode_kek_version(stored));
  if (record.state == KekState::kDestroyed) {
    return Status(Errc::kNotFound, "this KEK version was decommissioned; its key is gone");
  }
  REWRAP_ASSIGN(Kek kek, open_any(keyset, version, record));
  if (custody_of(kek) != keyset.custody) {
    return Status(Errc::kCorruption, "a KEK version is in another custody than its keyset",
                  "restore the store's directory from a backup");
  }
  REWRAP_ASSIGN(SecretBuffer mac_key, unwrap_mac_key(kek, record.mac_key_wrap));
  return &open_.emplace(version, OpenVersion{std::move(kek), std::move(mac_key)}).first->second;
}

Status Keyring::prove(const KeysetRecord& keyset, KekVersion version, const Protector& protector) {
  REWRAP_ASSIGN(const Kek kek, try_protector(keyset, version, protector));
  const OpenVersion* opened = find(version);
  const bool in_token = kek.token() != nullptr || (opened && opened->kek.token() != nullptr);
  if (opened == nullptr || in_token) return {};
  if (secrets_equal(kek.expose_secret(), opened->kek.expose_secret())) return {};
  root_failed_ = true;
  return {Errc::kCorruption, "the protector gives another KEK than the one in use",
          "rewrap reprotect makes a new one under its root"};
}

// What a crash left behind of a set of protectors that the counter has killed is no damage: the set
// that took its place stands before it, and opens.
void Keyring::check_version(const KeysetRecord& keyset, KekVersion version,
                            const KekVersionRecord& record) {
  std::set<std::string> live_counters;
  for (const Protector& protector : record.protectors) {
    const auto known = tried_.find({version, encode_protector(protector)});
    const Status status = known == tried_.end() ? prove(keyset, version, protector) : Status();
    const bool opens = known == tried_.end() ? status.ok() : known->second;
    if (opens && is_counted(protector)) live_counters.insert(protector.key_ref);
    const bool is_leftover =
        status.code() == Errc::kRefused && live_counters.contains(protector.key_ref);
    if (!status.ok() && !is_leftover) add_broken(version, protector, status);
  }
}

Status Keyring::check_protectors(Snapshot& snapshot, const KeysetRecord& keyset) {
  std::map<KekVersion, KekVersionRecord> usable;
  REWRAP_TRY(snapshot.for_each_kek_version(
      keyset.number, [&](KekVersion version, ByteView stored) -> Status {
        REWRAP_ASSIGN(KekVersionRecord record, decode_kek_version(stored));
        if (record.state == KekState::kUsable) usable.emplace(version, std::move(record));
        return {};
      }));
  for (const auto& [version, record] : usable) check_version(keyset, version, record);
  root_failed_ = false;  // it ended nothing
  return {};
}

Result<KekVersionRecord> Keyring::create(const KeysetRecord& keyset, KekVersion version,
                                         const std::string& root_uri) {
  REWRAP_ASSIGN(Root * root, this->root(root_uri));
  Result<NewKek> made = make_kek(root, keyset.custody, protector_context(keyset.uuid, version));
  root_failed_ = !made.ok();
  if (!made.ok()) return made.status();
  return keep(keyset, version, std::move(made).value());
}

Result<KekVersionRecord> Keyring::adopt(const KeysetRecord& keyset, KekVersion version,
                                        const std::string& root_uri, const SealedFiles& sealed) {
  if (keyset.custody != Custody::kHost)
    return Status(Errc::kInternal, "only a KEK for the host can come sealed");
  auto opened = import_sealed(root_uri, sealed, protector_context(keyset.uuid, version), options_);
  root_failed_ = !opened.ok();
  if (!opened.ok()) return opened.status();
  if (opened->kek.size() != kKekLen) {
    return Status(Errc::kInvalidArgument, "the sealed KEK does not have 32 bytes",
                  "the KEKs of keysets are AES-256 keys");
  }
  REWRAP_ASSIGN(Kek kek, Kek::create(std::move(opened->kek)));
  return keep(keyset, version, {std::move(opened->protector), std::move(kek)});
}

// keep gives the KEK its MAC key and leaves it open.
Result<KekVersionRecord> Keyring::keep(const KeysetRecord& keyset, KekVersion version,
                                       NewKek made) {
  KekVersionRecord record;
  record.created_at = now_seconds();
  record.protectors.push_back(std::move(made.protector));
  NewVersion unfinished(this, keyset, version, record);
  REWRAP_ASSIGN(SecretBuffer mac_key, SecretBuffer::create(kMacKeyLen));
  REWRAP_TRY(random_bytes(mac_key.expose_secret()));
  REWRAP_ASSIGN(record.mac_key_wrap, wrap_mac_key(made.kek, mac_key.expose_secret()));
  open_.insert_or_assign(version, OpenVersion{std::move(made.kek), std::move(mac_key)});
  unfinished.keep();
  return record;
}

Result<Protector> Keyring::protect(const KeysetRecord& keyset, KekVersion version,
                                   const std::string& root_uri) {
  const OpenVersion* opened = find(version);
  if (opened == nullptr || opened->kek.token() != nullptr)
    return Status(Errc::kInternal, "only a KEK that is open on the host can be protected anew");
  REWRAP_ASSIGN(Root * root, this->root(root_uri));
  REWRAP_ASSIGN(const SecretBuffer kek, SecretBuffer::copy_of(opened->kek.expose_secret()));
  Result<Protector> made = root->protect(kek, protector_context(keyset.uuid, version));
  root_failed_ = !made.ok();
  return made;
}

Status Keyring::activate(const Protector& protector) {
  REWRAP_ASSIGN(Root * root, this->root(protector.root_uri));
  Status status = root->activate(protector);
  root_failed_ = !status.ok();
  return status;
}

Result<bool> Keyring::made_counter(const Protector& protector) {
  REWRAP_ASSIGN(const Root* root, this->root(protector.root_uri));
  return root->made_counter();
}

Status Keyring::destroy(const KeysetRecord& keyset, KekVersion version,
                        const KekVersionRecord& record) {
  const Bytes context = protector_context(keyset.uuid, version);
  for (const Protector& protector : record.protectors) {
    // A root that keeps nothing need not be there any more: it may be the reason for the rekey.
    if (!root_keeps_state(protector.mechanism)) continue;
    REWRAP_ASSIGN(Root * root, this->root(protector.root_uri));
    Status status = root->open_in_token(protector, context).status();
    if (status.ok()) status = root->destroy(protector);
    root_failed_ = !status.ok();
    if (status.code() != Errc::kNotFound) REWRAP_TRY(status);
  }
  return {};
}

NewVersion::~NewVersion() {
  // The failure that led here is the one to tell.
  if (keyring_ != nullptr) static_cast<void>(keyring_->destroy(keyset_, version_, record_));
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
