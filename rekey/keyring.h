// The keyring: the KEK versions of one keyset that a job has opened, and the roots it opened them
// with. Belongs to one thread while versions are opened; afterwards the opened versions may be read
// from any number of threads.
#ifndef REWRAP_REKEY_KEYRING_H_
#define REWRAP_REKEY_KEYRING_H_

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/kek.h"
#include "engine/mac.h"
#include "hsm/root.h"
#include "hsm/tpm2/blob_file.h"
#include "rekey/records.h"
#include "rekey/store.h"

namespace rewrap {

struct OpenVersion {
  Kek kek;
  SecretBuffer mac_key;

  // make_mac gives a MAC of this version for one thread.
  [[nodiscard]] Result<Mac> make_mac() const { return Mac::create(mac_key.expose_secret()); }
};

// RootOpener is open_root (hsm/root.h), or a test's own.
using RootOpener = std::function<Result<std::unique_ptr<Root>>(const std::string& uri,
                                                               const RootOptions& options)>;

// What a root has made: the KEK, here or in its token, and how to get it back.
struct NewKek {
  Protector protector;
  Kek kek;
};

// BrokenProtector is one that did not give its KEK back. That ended nothing, since the KEK was not
// needed or another protector gave it; but it is one fewer when it will be needed.
struct BrokenProtector {
  KekVersion version = 0;
  std::string root_uri;
  Status what;
};

class Keyring {
 public:
  explicit Keyring(RootOptions options, RootOpener opener = open_root)
      : options_(std::move(options)), opener_(std::move(opener)) {}

  // open gives a version, by way of whichever of its protectors works; the first failure is told if
  // none does, and those that were passed over are in broken(). Protectors bound to a counter
  // (counter_of) are asked first. If none of them opens the others are not asked, since they would
  // open an old copy of the store as well; and kRefused, which says that it is one, ends it at once.
  // allow_recovery lifts that.
  // Errors: kNotFound if there is no such version or it was destroyed; the root's own (see root.h);
  // kCorruption.
  Result<const OpenVersion*> open(Snapshot& snapshot, const KeysetRecord& keyset,
                                  KekVersion version);

  // allow_recovery lets protectors without a counter open what those with one do not: for an operator
  // who knows that this store is the one to go on with.
  void allow_recovery() { may_recover_ = true; }

  // check_protectors tries every protector of every usable version that was not tried yet, and adds
  // those that fail to broken(). Each must give the KEK that is in use, where that is open.
  // Errors: the store's only.
  Status check_protectors(Snapshot& snapshot, const KeysetRecord& keyset);

  // prove opens a protector of `version` and compares what it gives with the KEK in use, if that is
  // open and on the host. Errors: as open; kCorruption if it is another KEK.
  Status prove(const KeysetRecord& keyset, KekVersion version, const Protector& protector);

  void add_broken(KekVersion version, const Protector& protector, const Status& what) {
    broken_.push_back({version, protector.root_uri, what});
  }
  [[nodiscard]] const std::vector<BrokenProtector>& broken() const { return broken_; }

  // create makes KEK version `version` under the root `root_uri`, in the keyset's custody, and
  // keeps it open. The record is to be stored by the caller; see NewVersion.
  Result<KekVersionRecord> create(const KeysetRecord& keyset, KekVersion version,
                                  const std::string& root_uri);

  // adopt does the same with a KEK of kKekLen bytes that was sealed elsewhere (import_sealed), under
  // the TPM's key that `root_uri` names. Only for keysets in custody host.
  Result<KekVersionRecord> adopt(const KeysetRecord& keyset, KekVersion version,
                                 const std::string& root_uri, const SealedFiles& sealed);

  // protect makes one more protector for a version that is open and whose KEK is on the host, under
  // the root `root_uri`.
  Result<Protector> protect(const KeysetRecord& keyset, KekVersion version,
                            const std::string& root_uri);

  // activate makes a protector valid once it is durably stored (Root::activate).
  Status activate(const Protector& protector);

  // made_counter says whether the counter of a protector was made for it (Root::made_counter).
  Result<bool> made_counter(const Protector& protector);

  // find gives a version that is open, else null.
  [[nodiscard]] const OpenVersion* find(KekVersion version) const;

  // destroy removes what roots keep for a version (root_keeps_state). Only for versions that no
  // durable record calls usable. Each key must first prove, by its check value, that it is this
  // version's: a forged record must not be able to have another key destroyed. What is gone already
  // is no error. Errors: as open.
  Status destroy(const KeysetRecord& keyset, KekVersion version, const KekVersionRecord& record);

  // release_roots closes all roots. Called before bulk work, so that a failing token cannot hurt
  // it. A KEK that stays in its token keeps the connection that it needs.
  void release_roots() { roots_.clear(); }

  // root_failed says whether the last failure was a root's: the exit code of commands depends on
  // it.
  [[nodiscard]] bool root_failed() const { return root_failed_; }

 private:
  // root opens a root, once: what has failed is not tried again, since each try may cost a PIN's.
  Result<Root*> root(const std::string& uri);
  Result<KekVersionRecord> keep(const KeysetRecord& keyset, KekVersion version, NewKek made);
  Result<Kek> open_kek(const Protector& protector, ByteView context);
  Result<Kek> try_protector(const KeysetRecord& keyset, KekVersion version,
                            const Protector& protector);
  Result<Kek> open_any(const KeysetRecord& keyset, KekVersion version,
                       const KekVersionRecord& record);
  void check_version(const KeysetRecord& keyset, KekVersion version,
                     const KekVersionRecord& record);

  RootOptions options_;
  RootOpener opener_;
  std::map<std::string, std::unique_ptr<Root>> roots_;
  std::map<std::string, Status> failed_roots_;   // by URI
  std::map<std::string, Status> failed_logins_;  // by what the PIN is for
  std::map<KekVersion, OpenVersion> open_;
  std::map<std::pair<KekVersion, Bytes>, bool> tried_;  // encoded protectors: does it open?
  std::vector<BrokenProtector> broken_;
  bool may_recover_ = false;
  bool root_failed_ = false;
};

// NewVersion takes a KEK version that was made but not stored back from its root, so that a failure
// in between leaves no key behind in a token. Once a commit that names it has begun nobody knows
// whether it is on the disk: keep it from then on, since a key too many is harmless and a key too
// few is not.
class NewVersion {
 public:
  NewVersion(Keyring* keyring, const KeysetRecord& keyset, KekVersion version,
             const KekVersionRecord& record)
      : keyring_(keyring), keyset_(keyset), version_(version), record_(record) {}
  ~NewVersion();
  NewVersion(const NewVersion&) = delete;
  NewVersion& operator=(const NewVersion&) = delete;
  void keep() { keyring_ = nullptr; }

 private:
  Keyring* keyring_;
  const KeysetRecord& keyset_;
  KekVersion version_;
  const KekVersionRecord& record_;
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
