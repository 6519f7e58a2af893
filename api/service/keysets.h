// Keysets as front ends see them, and ONTAP's view of them: an SVM is a keyset. Any thread.
#ifndef REWRAP_API_SERVICE_KEYSETS_H_
#define REWRAP_API_SERVICE_KEYSETS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "api/service/answer.h"
#include "api/service/job.h"
#include "api/service/jobs.h"
#include "rekey/census.h"
#include "rekey/keyset.h"

namespace rewrap {

// Where the root key is, in Element's words.
enum class KeyManagement : std::uint8_t {
  kInternal = 1,  // a root that is part of this machine: TPM, PKCS#11, file
  kExternal = 2,  // a KMIP provider
};

// One of the ways in which a root gives a KEK version back. Nothing in it is secret.
struct KeyProtector {
  std::string root_uri;
  std::string mechanism;  // mechanism_name()
  std::string key_ref;    // which root key, in the root's own terms
};

// A KEK version as it is known outside. What it was stays known after it is destroyed.
struct KeyInfo {
  Uuid uuid{};  // key_uuid()
  KekVersion version = 0;
  KekState state = KekState::kUsable;
  std::uint64_t created_at = 0;
  std::uint64_t destroyed_at = 0;
  KeyManagement management = KeyManagement::kInternal;
  std::optional<std::int64_t> provider_id;  // only if external
  // Any one of them opens it. Of a destroyed one: those whose root has yet to remove its key.
  std::vector<KeyProtector> protectors;
};

struct KeysetInfo {
  Uuid uuid{};
  std::string name;
  WrapAlgorithm algorithm = WrapAlgorithm::kKw;
  std::size_t dek_len = 0;
  Custody custody = Custody::kHost;
  std::uint64_t created_at = 0;
  KekVersion current_version = 0;
  KekVersion rekey_target = 0;  // not 0: a rekey is unfinished
  std::uint64_t deks = 0;       // without those in quarantine
  KekVersion verified_version = 0;
  std::uint64_t verified_at = 0;
  bool is_admin = false;       // the admin keyset
  std::optional<Job> running;  // the job that works on it, queued and paused ones included
};

// ONTAP's key-stores.state, as far as it exists here.
enum class KeystoreState : std::uint8_t {
  kActive = 1,
  kMixed = 2,      // a rekey is unfinished and nobody works on it
  kRekeying = 3,   // a rekey runs
  kBlocked = 4,    // the current KEK does not open
  kSwitching = 5,  // it is being moved to another root
};
const char* keystore_state_name(KeystoreState state);  // "active", "svm_kek_rekey", ...

class Keysets {
 public:
  explicit Keysets(ServiceContext* context) : context_(context) {}

  Answer<std::vector<KeysetInfo>> list();
  // Reasons: kNoSuchKeyset
  Answer<KeysetInfo> get(const std::string& name);
  Answer<KeysetInfo> find(const Uuid& uuid);

  // keys gives all KEK versions, key one. Reasons: kNoSuchKeyset, kNoSuchKey
  Answer<std::vector<KeyInfo>> keys(const std::string& name);
  Answer<KeyInfo> key(const std::string& name, KekVersion version);

  // census counts DEKs by KEK version from the segments' headers; takes about 1 s for 100 million.
  Answer<Census> census(const std::string& name);

  // create makes a keyset with KEK version 1. Asks the root.
  // Reasons: kNameTaken, kInvalidInput, kRootBlocked
  Answer<KeysetInfo> create(const NewKeyset& request, const Caller& caller);

  // generate makes `count` random DEKs (1 to kMaxGenerate) of `dek_len` bytes (0: the keyset's own)
  // and gives their ids; blocks until they are durable. Asks the root.
  static constexpr std::uint64_t kMaxGenerate = 1'000'000;
  Answer<std::vector<DekId>> generate(const std::string& name, std::uint64_t count,
                                      std::size_t dek_len, const Caller& caller);

  // get_dek gives a wrapped DEK as found. Reasons: kNoSuchKeyset, kNoSuchKey; kDamagedDeks if it is
  // in quarantine
  Answer<WrappedDek> get_dek(const std::string& name, const DekId& id);

  // list_deks gives a page of DEKs without their wraps; see rekey/keyset.h. Reasons: kNoSuchKeyset
  Answer<DekPage> list_deks(const std::string& name, DekPosition from, std::size_t max);

  // quarantine gives the damaged DEKs, wraps and all, in order of id. Reasons: kNoSuchKeyset
  Answer<std::vector<QuarantinedDek>> quarantine(const std::string& name);

  // check_root opens the current KEK and forgets it. Asks the root: seconds if it is unreachable.
  // Reasons: kRootBlocked, with the root's own status
  Answer<Done> check_root(const std::string& name);

  // state puts it all together; kBlocked only if `ask_root`, which see.
  Answer<KeystoreState> state(const std::string& name, bool ask_root);

  // DEKs that belong to an SVM (a keyset) but sit in the admin keyset: tag records them, untag takes
  // them back once they have been moved. While a tagged DEK is found in the admin keyset, rekeys of
  // the SVM are refused (kDeksInAdminKeyset). count_in_admin counts those.
  // Reasons: kNoSuchKeyset, kNoSuchKey (one of them is not in the admin keyset), kAdminKeyset
  Answer<Done> tag_admin_deks(const std::string& svm, const std::vector<DekId>& ids);
  Answer<Done> untag_admin_deks(const std::string& svm, const std::vector<DekId>& ids);
  Answer<std::uint64_t> count_in_admin(const std::string& svm);

 private:
  ServiceContext* context_;
};

}  // namespace rewrap

#endif  // REWRAP_API_SERVICE_KEYSETS_H_
