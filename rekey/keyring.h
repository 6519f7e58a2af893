// The keyring: the KEK versions of one keyset that a job has opened, and the roots it opened them
// with. Belongs to one thread while versions are opened; afterwards the opened versions may be read
// from any number of threads.
#ifndef REWRAP_REKEY_KEYRING_H_
#define REWRAP_REKEY_KEYRING_H_

#include <map>
#include <memory>
#include <string>

#include "engine/kek.h"
#include "engine/mac.h"
#include "hsm/root.h"
#include "rekey/records.h"
#include "rekey/store.h"

namespace rewrap {

struct OpenVersion {
  Kek kek;
  SecretBuffer mac_key;

  // make_mac gives a MAC of this version for one thread.
  [[nodiscard]] Result<Mac> make_mac() const { return Mac::create(mac_key.expose_secret()); }
};

class Keyring {
 public:
  explicit Keyring(RootOptions options) : options_(std::move(options)) {}

  // open gives a version, by way of whichever of its protectors works; the first failure is told if
  // none does. Errors: kNotFound if there is no such version or it was destroyed; the root's own
  // (see root.h); kCorruption.
  Result<const OpenVersion*> open(Snapshot& snapshot, const KeysetRecord& keyset,
                                  KekVersion version);

  // create makes KEK version `version` under the root `root_uri` and keeps it open. The record is
  // to be stored by the caller.
  Result<KekVersionRecord> create(const DekId& keyset_uuid, KekVersion version,
                                  const std::string& root_uri);

  // find gives a version that is open, else null.
  [[nodiscard]] const OpenVersion* find(KekVersion version) const;

  // destroy tells the roots of a version's protectors that it is going.
  Status destroy(const KekVersionRecord& record);

  // release_roots logs out and closes all roots. Called before bulk work, so that a failing token
  // cannot hurt it.
  void release_roots() { roots_.clear(); }

  // root_failed says whether the last failure was a root's: the exit code of commands depends on
  // it.
  [[nodiscard]] bool root_failed() const { return root_failed_; }

 private:
  Result<Root*> root(const std::string& uri);

  RootOptions options_;
  std::map<std::string, std::unique_ptr<Root>> roots_;
  std::map<KekVersion, OpenVersion> open_;
  bool root_failed_ = false;
};

// load_keyset reads a keyset, opens its current KEK version and authenticates the record with it.
// Errors: kNotFound if there is no keyset of that name; as Keyring::open; kCorruption.
Result<KeysetRecord> load_keyset(Snapshot& snapshot, const std::string& name, Keyring* keyring);

// reload_keyset reads and authenticates it again, with versions that are open already: what a
// transaction starts with. Errors: kConflict if the current version has changed and is not open.
Result<KeysetRecord> reload_keyset(Snapshot& snapshot, const std::string& name,
                                   const Keyring& keyring);

// store_keyset seals the record under its current version, which must be open, and puts it.
Status store_keyset(Transaction* transaction, const KeysetRecord& keyset, const Keyring& keyring);

// peek_keyset reads a keyset without any key and thus unauthenticated: for status and census.
Result<KeysetRecord> peek_keyset(Snapshot& snapshot, const std::string& name);

}  // namespace rewrap

#endif  // REWRAP_REKEY_KEYRING_H_
