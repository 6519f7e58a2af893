// Keysets, their keys, and the DEKs of an SVM that sit elsewhere.
#include "api/service/keysets.h"

#include "api/service/context.h"
#include "api/service/key_book.h"
#include "engine/wrap_algorithm.h"

namespace rewrap {
namespace {

KeysetInfo describe(const ServiceContext& context, const KeysetRecord& record) {
  KeysetInfo info;
  info.uuid = record.uuid;
  info.name = record.name;
  info.algorithm = record.algorithm;
  info.dek_len = record.dek_len;
  info.custody = record.custody;
  info.created_at = record.created_at;
  info.current_version = record.current_version;
  info.rekey_target = record.rekey_target;
  info.deks = record.live_deks;
  info.verified_version = record.verified_version;
  info.verified_at = record.verified_at;
  info.is_admin =
      !context.options.admin_keyset.empty() && record.name == context.options.admin_keyset;
  return info;
}

Status add_running(ServiceContext* context, KeysetInfo* info) {
  REWRAP_TRY(context->db->read([&](Database& database) -> Status {
    REWRAP_ASSIGN(info->running, active_job(&database, info->uuid));
    return {};
  }));
  if (info->running) context->runner->refresh(&*info->running);
  return {};
}

// What a root says when its key is disabled, gone, denied or out of reach: all of them mean that
// nothing can be wrapped or unwrapped now.
Failure blocked(const Status& status) { return {Reason::kRootBlocked, status}; }

Failure no_such_keyset(const Status& status) {
  return {status.code() == Errc::kNotFound ? Reason::kNoSuchKeyset : reason_of(status), status};
}

}  // namespace

const char* keystore_state_name(KeystoreState state) {
  switch (state) {
    case KeystoreState::kActive:
      return "active";
    case KeystoreState::kMixed:
      return "mixed";
    case KeystoreState::kRekeying:
      return "svm_kek_rekey";
    case KeystoreState::kBlocked:
      return "blocked";
    case KeystoreState::kSwitching:
      return "switching";
  }
  return "unknown";
}

Answer<std::vector<KeysetInfo>> Keysets::list() {
  const Result<std::vector<KeysetRecord>> records = list_keysets(context_->store.get());
  if (!records.ok()) return records.status();
  std::vector<KeysetInfo> list;
  for (const KeysetRecord& record : records.value()) {
    list.push_back(describe(*context_, record));
    if (const Status status = add_running(context_, &list.back()); !status.ok()) return status;
  }
  return list;
}

Answer<KeysetInfo> Keysets::get(const std::string& name) {
  REWRAP_ANSWER(const KeysetRecord record, keyset_record(context_, name));
  KeysetInfo info = describe(*context_, record);
  if (const Status status = add_running(context_, &info); !status.ok()) return status;
  return info;
}

Answer<KeysetInfo> Keysets::find(const Uuid& uuid) {
  const Result<std::vector<KeysetRecord>> records = list_keysets(context_->store.get());
  if (!records.ok()) return records.status();
  for (const KeysetRecord& record : records.value()) {
    if (record.uuid == uuid) return get(record.name);
  }
  return Failure{Reason::kNoSuchKeyset, Status(Errc::kNotFound, "there is no such keyset")};
}

Answer<std::vector<KeyInfo>> Keysets::keys(const std::string& name) {
  REWRAP_ANSWER(const KeysetRecord record, keyset_record(context_, name));
  return read_keys(context_->store.get(), context_->db.get(), record);
}

Answer<KeyInfo> Keysets::key(const std::string& name, KekVersion version) {
  REWRAP_ANSWER(const std::vector<KeyInfo> all, keys(name));
  for (const KeyInfo& key : all) {
    if (key.version == version) return key;
  }
  return Failure{Reason::kNoSuchKey, Status(Errc::kNotFound, "there is no such KEK version")};
}

Answer<Census> Keysets::census(const std::string& name) {
  REWRAP_ANSWER([[maybe_unused]] const KeysetRecord record, keyset_record(context_, name));
  const auto count = [&]() -> Result<Census> {
    REWRAP_ASSIGN(auto snapshot, context_->store->snapshot());
    return take_census(*snapshot, name);
  };
  Result<Census> census = count();
  if (!census.ok()) return no_such_keyset(census.status());
  return census;
}

Answer<KeysetInfo> Keysets::create(const NewKeyset& request, const Caller& caller) {
  if (const Status status =
          audit(context_, caller, "keyset.create", "keyset " + request.name, "requested");
      !status.ok()) {
    return status;
  }
  Keyring keyring = context_->roots->keyring({});
  const Result<KeysetRecord> made = create_keyset(context_->store.get(), request, &keyring);
  if (made.ok()) return get(request.name);
  if (keyring.root_failed()) return blocked(made.status());
  return made.status();
}

Answer<std::vector<DekId>> Keysets::generate(const std::string& name, std::uint64_t count,
                                             std::size_t dek_len, const Caller& caller) {
  REWRAP_ANSWER(const KeysetRecord record, keyset_record(context_, name));
  if (count == 0 || count > kMaxGenerate) {
    return Status(Errc::kInvalidArgument, "1 to 1,000,000 DEKs are generated at a time");
  }
  if (const Status status = audit(context_, caller, "dek.generate", "keyset " + name, "requested",
                                  std::to_string(count));
      !status.ok()) {
    return status;
  }
  Keyring keyring = context_->roots->keyring(record.uuid);
  Result<std::vector<DekId>> ids =
      generate_deks(context_->store.get(), name, &keyring, count,
                    dek_len == 0 ? record.dek_len : dek_len, *context_->implementation, {});
  if (!ids.ok() && keyring.root_failed()) return blocked(ids.status());
  return ids;
}

Answer<WrappedDek> Keysets::get_dek(const std::string& name, const DekId& id) {
  REWRAP_ANSWER([[maybe_unused]] const KeysetRecord record, keyset_record(context_, name));
  Result<WrappedDek> dek = rewrap::get_dek(context_->store.get(), name, id, nullptr);
  if (dek.status().code() == Errc::kNotFound) return Failure{Reason::kNoSuchKey, dek.status()};
  if (dek.status().code() == Errc::kIntegrity) return Failure{Reason::kDamagedDeks, dek.status()};
  return dek;
}

Answer<DekPage> Keysets::list_deks(const std::string& name, DekPosition from, std::size_t max) {
  REWRAP_ANSWER([[maybe_unused]] const KeysetRecord record, keyset_record(context_, name));
  return rewrap::list_deks(context_->store.get(), name, from, max);
}

Answer<std::vector<QuarantinedDek>> Keysets::quarantine(const std::string& name) {
  REWRAP_ANSWER([[maybe_unused]] const KeysetRecord record, keyset_record(context_, name));
  return list_quarantine(context_->store.get(), name);
}

Answer<Done> Keysets::check_root(const std::string& name) {
  REWRAP_ANSWER(const KeysetRecord record, keyset_record(context_, name));
  Keyring keyring = context_->roots->keyring(record.uuid);
  const auto open = [&]() -> Status {
    REWRAP_ASSIGN(auto snapshot, context_->store->snapshot());
    return load_keyset(*snapshot, name, &keyring).status();
  };
  const Status status = open();
  if (status.ok()) return Done{};
  if (keyring.root_failed()) return blocked(status);
  return no_such_keyset(status);
}

Answer<KeystoreState> Keysets::state(const std::string& name, bool ask_root) {
  REWRAP_ANSWER(const KeysetInfo info, get(name));
  if (info.running && info.running->kind == JobKind::kReprotect) return KeystoreState::kSwitching;
  if (ask_root) {
    const Answer<Done> opens = check_root(name);
    if (opens.reason() == Reason::kRootBlocked) return KeystoreState::kBlocked;
    if (!opens.ok()) return opens.failure();
  }
  if (info.running && info.running->kind == JobKind::kRekey) return KeystoreState::kRekeying;
  return info.rekey_target != 0 ? KeystoreState::kMixed : KeystoreState::kActive;
}

Answer<Done> Keysets::tag_admin_deks(const std::string& svm, const std::vector<DekId>& ids) {
  REWRAP_ANSWER(const KeysetRecord record, keyset_record(context_, svm));
  const std::string& admin_name = context_->options.admin_keyset;
  if (admin_name.empty() || svm == admin_name) {
    return Failure{Reason::kAdminKeyset,
                   Status(Errc::kInvalidArgument, "DEKs of the admin keyset belong to another one",
                          "configure an admin keyset, and name the keyset that owns the DEKs")};
  }
  REWRAP_ANSWER(const KeysetRecord admin, keyset_record(context_, admin_name));
  Status status;
  {
    auto snapshot = context_->store->snapshot();
    if (!snapshot.ok()) return snapshot.status();
    for (const DekId& id : ids) {
      status = snapshot.value()->find(admin.number, id).status();
      if (status.code() == Errc::kNotFound) return Failure{Reason::kNoSuchKey, status};
      if (!status.ok()) return status;
    }
  }
  status = context_->db->write([&](Database& database) -> Status {
    for (const DekId& id : ids) {
      REWRAP_TRY(database.run("INSERT OR REPLACE INTO admin_deks(dek, keyset_uuid) VALUES(?, ?)",
                              id, record.uuid));
    }
    return {};
  });
  if (!status.ok()) return status;
  return Done{};
}

Answer<Done> Keysets::untag_admin_deks(const std::string& svm, const std::vector<DekId>& ids) {
  REWRAP_ANSWER(const KeysetRecord record, keyset_record(context_, svm));
  const Status status = context_->db->write([&](Database& database) -> Status {
    for (const DekId& id : ids) {
      REWRAP_TRY(database.run("DELETE FROM admin_deks WHERE dek = ? AND keyset_uuid = ?", id,
                              record.uuid));
    }
    return {};
  });
  if (!status.ok()) return status;
  return Done{};
}

Answer<std::uint64_t> Keysets::count_in_admin(const std::string& svm) {
  REWRAP_ANSWER(const KeysetRecord record, keyset_record(context_, svm));
  std::vector<DekId> tagged;
  Status status = context_->db->read([&](Database& database) -> Status {
    REWRAP_ASSIGN(Query query,
                  database.query("SELECT dek FROM admin_deks WHERE keyset_uuid = ?", record.uuid));
    for (;;) {
      REWRAP_ASSIGN(const bool found, query.next());
      if (!found) return {};
      tagged.push_back(query.uuid());
    }
  });
  if (!status.ok()) return status;
  if (tagged.empty()) return std::uint64_t{0};
  // Without the admin keyset nothing can sit in it.
  const Answer<KeysetRecord> admin = keyset_record(context_, context_->options.admin_keyset);
  if (admin.reason() == Reason::kNoSuchKeyset) return std::uint64_t{0};
  if (!admin.ok()) return admin.failure();
  auto snapshot = context_->store->snapshot();
  if (!snapshot.ok()) return snapshot.status();
  std::uint64_t count = 0;
  for (const DekId& id : tagged) {
    status = snapshot.value()->find(admin->number, id).status();
    if (!status.ok() && status.code() != Errc::kNotFound) return status;
    count += status.ok() ? 1U : 0U;
  }
  return count;
}

}  // namespace rewrap
