// AWS KMS configurations: created, changed, tried out, used.
#include "api/service/aws_kms.h"

#include <algorithm>
#include <memory>

#include "api/service/aws_kms_store.h"
#include "api/service/context.h"
#include "rekey/reprotect.h"
#include "rekey/segment_walk.h"

namespace rewrap {
namespace {

constexpr std::size_t kSvmDekLen = 64;  // ONTAP's volume keys: XTS-AES-256
constexpr std::size_t kMaxTextLen = 1024;

Failure no_aws_kms(const Status& status) {
  return {status.code() == Errc::kNotFound ? Reason::kNoAwsKms : reason_of(status), status};
}

// What AWS says to a trial.
Failure aws_failure(const Status& status) {
  if (status.code() == Errc::kDenied) return {Reason::kCredentialsRejected, status};
  if (status.code() == Errc::kUnavailable) return {Reason::kRootUnreachable, status};
  return {Reason::kRootBlocked, status};
}

Failure another_job(const Job& job) {
  const bool is_rekey = job.kind == JobKind::kRekey;
  return {is_rekey ? Reason::kRekeyRunning : Reason::kSwitching,
          Status(Errc::kConflict, "a job that changes the keys of this keyset has not ended",
                 "wait for it, or cancel it")};
}

std::string uri_of(const AwsKmsConfiguration& shown, const std::string& key_id) {
  return aws_kms_uri({key_id, shown.region, shown.encryption_context});
}

Failure no_service_key() {
  return {Reason::kNoServiceKey, Status(Errc::kDenied, "no service key guards stored secrets",
                                        "name a root for it in the configuration of the service")};
}

template <typename T>
bool set(T* to, std::optional<T>* from) {
  if (!*from) return false;
  *to = *std::move(*from);
  return true;
}
template <typename T>
bool set(std::optional<T>* to, std::optional<T>* from) {
  if (!*from) return false;
  *to = *from;
  return true;
}

// merge puts given settings into a row; false if none was given.
bool merge(AwsKmsSettings settings, AwsKmsRow* row) {
  AwsKmsConfiguration& shown = row->shown;
  bool changed = set(&shown.region, &settings.region);
  changed |= set(&shown.access_key_id, &settings.access_key_id);
  changed |= set(&row->secret_access_key, &settings.secret_access_key);
  changed |= set(&shown.service, &settings.service);
  changed |= set(&shown.default_domain, &settings.default_domain);
  changed |= set(&shown.host, &settings.host);
  changed |= set(&shown.port, &settings.port);
  changed |= set(&shown.polling_period, &settings.polling_period);
  changed |= set(&shown.timeout, &settings.timeout);
  changed |= set(&shown.verify, &settings.verify);
  changed |= set(&shown.verify_host, &settings.verify_host);
  changed |= set(&shown.verify_ip, &settings.verify_ip);
  changed |= set(&shown.proxy_type, &settings.proxy_type);
  changed |= set(&shown.proxy_host, &settings.proxy_host);
  changed |= set(&shown.proxy_port, &settings.proxy_port);
  changed |= set(&shown.proxy_username, &settings.proxy_username);
  changed |= set(&row->proxy_password, &settings.proxy_password);
  changed |= set(&shown.encryption_context, &settings.encryption_context);
  return changed;
}

std::optional<Failure> check_settings(const AwsKmsSettings& settings) {
  if (settings.secret_access_key && settings.secret_access_key->empty()) {
    return Failure{Reason::kEmptySecret,
                   Status(Errc::kInvalidArgument, "the secret access key is empty")};
  }
  if (settings.access_key_id && settings.access_key_id->empty()) {
    return Failure{Reason::kEmptyAccessKey,
                   Status(Errc::kInvalidArgument, "the access key id is empty")};
  }
  if (settings.skip_verify && !settings.access_key_id) {
    return Failure{Reason::kSkipVerifyAlone,
                   Status(Errc::kInvalidArgument, "skip_verify goes with new credentials only")};
  }
  return std::nullopt;
}

// A URI or a header is made of these: one with a space or a control character would say more than
// it should.
bool is_plain(const std::string& text) {
  return text.size() <= kMaxTextLen &&
         text.find_first_not_of(
             "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
             "-._:/=+@[]") == std::string::npos;
}

std::optional<Failure> check_row(const AwsKmsRow& row) {
  const AwsKmsConfiguration& shown = row.shown;
  for (const std::string* text :
       {&shown.region, &shown.key_id, &shown.access_key_id, &shown.service, &shown.default_domain,
        &shown.host, &shown.proxy_host}) {
    if (!is_plain(*text)) {
      return Failure{
          Reason::kInvalidInput,
          Status(Errc::kInvalidArgument, "a setting has a character that cannot be in it",
                 "names of keys, regions and hosts have letters, digits and -._:/")};
    }
  }
  if (shown.region.empty() || shown.key_id.empty()) {
    return Failure{Reason::kInvalidInput,
                   Status(Errc::kInvalidArgument, "a region and a key id are needed")};
  }
  if (shown.access_key_id.empty()) {
    return Failure{Reason::kEmptyAccessKey,
                   Status(Errc::kInvalidArgument, "the access key id is missing")};
  }
  if (row.secret_access_key.empty()) {
    return Failure{Reason::kEmptySecret,
                   Status(Errc::kInvalidArgument, "the secret access key is missing")};
  }
  const auto context = parse_encryption_context(shown.encryption_context);
  if (!context.ok()) return Failure{Reason::kInvalidInput, context.status()};
  if (uri_of(shown, shown.key_id).size() > kMaxRootUriLen) {
    return Failure{
        Reason::kInvalidInput,
        Status(Errc::kInvalidArgument, "the key's id and the encryption context are too long")};
  }
  return std::nullopt;
}

// trial_keyring reaches AWS by a row that is not stored yet, and all else as ever.
Keyring trial_keyring(ServiceContext* context, const std::shared_ptr<const AwsKmsRow>& row) {
  return context->roots->keyring(row->shown.keyset_uuid, nullptr,
                                 [row](const std::string& uri) { return copy_target(*row, uri); });
}

// try_aws makes and opens a throwaway key.
Status try_aws(ServiceContext* context, const AwsKmsRow& row) {
  REWRAP_ASSIGN(AwsTarget target, copy_target(row, uri_of(row.shown, row.shown.key_id)));
  REWRAP_ASSIGN(const auto root, context->roots->open_aws(std::move(target)));
  return root->create(kKekLen, as_bytes("rewrap reachability")).status();
}

// try_keks opens every KEK that DEKs need, by a row that is not stored yet. That a new key can be made
// by it says nothing about those.
Status try_keks(ServiceContext* context, const std::shared_ptr<const AwsKmsRow>& row) {
  Keyring keyring = trial_keyring(context, row);
  REWRAP_ASSIGN(auto snapshot, context->store->snapshot());
  REWRAP_ASSIGN(const KeysetRecord keyset, load_keyset(*snapshot, row->shown.keyset, &keyring));
  return open_versions_in_use(*snapshot, keyset, &keyring).status();
}

bool only_aws_opens(const KekVersionRecord& record) {
  return record.state == KekState::kUsable &&
         std::all_of(record.protectors.begin(), record.protectors.end(),
                     [](const Protector& protector) { return is_aws_kms_uri(protector.root_uri); });
}

// is_needed says whether a keyset has DEKs, those in quarantine included, and a KEK version that only
// AWS KMS gives back: also an old one, since what was exported or backed up may be under it.
Result<bool> is_needed(Store* store, const std::string& name) {
  REWRAP_ASSIGN(auto snapshot, store->snapshot());
  REWRAP_ASSIGN(const KeysetRecord keyset, peek_keyset(*snapshot, name));
  bool has_deks = keyset.live_deks != 0;
  REWRAP_TRY(snapshot->for_each_quarantined(keyset.number, [&](const DekId&, ByteView) -> Status {
    has_deks = true;
    return {};
  }));
  bool needs_aws = false;
  REWRAP_TRY(
      snapshot->for_each_kek_version(keyset.number, [&](KekVersion, ByteView stored) -> Status {
        REWRAP_ASSIGN(const KekVersionRecord record, decode_kek_version(stored));
        needs_aws = needs_aws || only_aws_opens(record);
        return {};
      }));
  return has_deks && needs_aws;
}

// kIgnore is for a configuration that was not there when the keyset came to need AWS KMS.
enum class Needs { kHonour, kIgnore };

// forget_unused deletes a configuration, unless KEKs need it. In the transaction no job can begin, and
// one that has ended shows in the store.
Answer<Done> forget_unused(ServiceContext* context, const AwsKmsConfiguration& shown, Needs needs) {
  std::optional<Failure> refused;
  const Status status = context->db->write([&](Database& database) -> Status {
    REWRAP_ASSIGN(const std::vector<Job> active, active_jobs(&database));
    for (const Job& job : active) {
      if (job.keyset_uuid != shown.keyset_uuid || !changes_keys(job.kind)) continue;
      refused = another_job(job);
      return refused->status;
    }
    const Result<bool> needed = is_needed(context->store.get(), shown.keyset);
    if (!needed.ok() && needed.status().code() != Errc::kNotFound) return needed.status();
    if (needed.ok() && needed.value() && needs == Needs::kHonour) {
      refused = Failure{Reason::kStillInUse,
                        Status(Errc::kRefused, "only this key gives a KEK of the keyset back",
                               "move the keyset to another root first: rewrap reprotect")};
      return refused->status;
    }
    return database.run("DELETE FROM aws_kms WHERE uuid = ?", shown.uuid);
  });
  if (refused) return *refused;
  if (!status.ok()) return status;
  return Done{};
}

// The rules that do not need AWS.
std::optional<Failure> check_keyset(ServiceContext* context, const std::string& name) {
  if (!context->options.admin_keyset.empty() && name == context->options.admin_keyset) {
    return Failure{Reason::kAdminKeyset,
                   Status(Errc::kRefused, "the admin keyset cannot be under AWS KMS")};
  }
  const Answer<KeysetInfo> keyset = context->keysets.get(name);
  if (keyset.reason() == Reason::kNoSuchKeyset) return std::nullopt;  // it is made
  if (!keyset.ok()) return keyset.failure();
  if (context->aws_kms.get_for_keyset(name).ok()) {
    return Failure{Reason::kAlreadyConfigured,
                   Status(Errc::kAlreadyExists, "the keyset has an AWS KMS configuration already")};
  }
  if (keyset->running && changes_keys(keyset->running->kind)) return another_job(*keyset->running);
  const Answer<std::uint64_t> in_admin = context->keysets.count_in_admin(name);
  if (!in_admin.ok()) return in_admin.failure();
  if (in_admin.value() == 0) return std::nullopt;
  return Failure{Reason::kDeksInAdminKeyset,
                 Status(Errc::kRefused, "DEKs of this keyset still sit in the admin keyset",
                        "move them to this keyset first")};
}

// take_keyset gives a row the keyset of that name, which is made under the row's key if it is not there.
Status take_keyset(ServiceContext* context, const std::string& name,
                   const std::shared_ptr<AwsKmsRow>& row, bool* is_new) {
  const Answer<KeysetRecord> there = keyset_record(context, name);
  *is_new = there.reason() == Reason::kNoSuchKeyset;
  if (!there.ok() && !*is_new) return there.status();
  KeysetRecord keyset;
  if (*is_new) {
    Keyring keyring = trial_keyring(context, row);
    REWRAP_ASSIGN(keyset, create_keyset(context->store.get(),
                                        {name, uri_of(row->shown, row->shown.key_id),
                                         WrapAlgorithm::kKw, kSvmDekLen, Custody::kHost},
                                        &keyring));
  } else {
    keyset = there.value();
  }
  row->shown.keyset = keyset.name;
  row->shown.keyset_uuid = keyset.uuid;
  return {};
}

// move_keyset puts a keyset under the key of its configuration, which is stored.
Status move_keyset(ServiceContext* context, const AwsKmsConfiguration& shown) {
  Keyring keyring = context->roots->keyring(shown.keyset_uuid);
  return reprotect(context->store.get(), shown.keyset, &keyring,
                   {uri_of(shown, shown.key_id), false})
      .status();
}

}  // namespace

Answer<std::vector<AwsKmsConfiguration>> AwsKms::list() {
  std::vector<AwsKmsConfiguration> list;
  const Status status = context_->db->read([&](Database& database) -> Status {
    REWRAP_ASSIGN(list, list_aws_kms(&database));
    return {};
  });
  if (!status.ok()) return status;
  return list;
}

Answer<AwsKmsConfiguration> AwsKms::get(const Uuid& uuid) {
  AwsKmsConfiguration found;
  const Status status = context_->db->read([&](Database& database) -> Status {
    REWRAP_ASSIGN(found, find_aws_kms(&database, uuid));
    return {};
  });
  if (!status.ok()) return no_aws_kms(status);
  return found;
}

Answer<AwsKmsConfiguration> AwsKms::get_for_keyset(const std::string& keyset) {
  REWRAP_ANSWER(const KeysetRecord record, keyset_record(context_, keyset));
  AwsKmsConfiguration found;
  const Status status = context_->db->read([&](Database& database) -> Status {
    REWRAP_ASSIGN(found, find_aws_kms_of(&database, record.uuid));
    return {};
  });
  if (!status.ok()) return no_aws_kms(status);
  return found;
}

Answer<AwsKmsConfiguration> AwsKms::create(const std::string& keyset, const std::string& key_id,
                                           AwsKmsSettings settings, const Caller& caller) {
  if (context_->box == nullptr) return no_service_key();
  settings.skip_verify.reset();
  if (const auto failure = check_settings(settings)) return *failure;
  auto row = std::make_shared<AwsKmsRow>();
  row->shown.key_id = key_id;
  merge(std::move(settings), row.get());
  if (const auto failure = check_row(*row)) return *failure;
  const std::lock_guard lock(context_->aws_kms_changes);
  if (const auto failure = check_keyset(context_, keyset)) return *failure;
  Result<Uuid> uuid = random_uuid();
  if (!uuid.ok()) return uuid.status();
  row->shown.uuid = uuid.value();
  row->shown.created_at = now_seconds();
  Status status =
      audit(context_, caller, "aws_kms.create", "keyset " + keyset, "requested", "key " + key_id);
  if (!status.ok()) return status;
  if (status = try_aws(context_, *row); !status.ok()) return aws_failure(status);
  bool is_new = false;
  if (status = take_keyset(context_, keyset, row, &is_new); !status.ok())
    return aws_failure(status);
  const Result<bool> was_needed = is_needed(context_->store.get(), keyset);
  if (!was_needed.ok()) return was_needed.status();
  // What reaches the key is durable before a KEK with DEKs under it depends on it.
  status = context_->db->write(
      [&](Database& database) { return insert_aws_kms(&database, context_->box.get(), *row); });
  if (!status.ok()) return status;
  if (!is_new) status = move_keyset(context_, row->shown);
  if (status.ok()) return get(row->shown.uuid);
  // It goes again, but for a keyset that was moved all the same: that needs it now.
  const Answer<Done> forgotten =
      forget_unused(context_, row->shown, was_needed.value() ? Needs::kIgnore : Needs::kHonour);
  if (forgotten.reason() == Reason::kStillInUse) return get(row->shown.uuid);
  if (status.code() == Errc::kConflict) return Failure{Reason::kSwitching, status};
  return aws_failure(status);
}

Answer<AwsKmsConfiguration> AwsKms::modify(const Uuid& uuid, AwsKmsSettings settings,
                                           const Caller& caller) {
  if (const auto failure = check_settings(settings)) return *failure;
  const bool verify = !settings.skip_verify.value_or(false);
  const std::lock_guard lock(context_->aws_kms_changes);
  auto row = std::make_shared<AwsKmsRow>();
  Status status = context_->db->read([&](Database& database) -> Status {
    REWRAP_ASSIGN(*row, read_secrets(&database, context_->box.get(), uuid));
    return {};
  });
  if (!status.ok()) return no_aws_kms(status);
  const bool changed = merge(std::move(settings), row.get());
  if (!changed) {
    return Failure{Reason::kNothingToChange,
                   Status(Errc::kInvalidArgument, "no setting was given to be changed")};
  }
  if (const auto failure = check_row(*row)) return *failure;
  status = audit(context_, caller, "aws_kms.modify", "keyset " + row->shown.keyset, "requested");
  if (!status.ok()) return status;
  if (verify) {
    if (status = try_aws(context_, *row); status.ok()) status = try_keks(context_, row);
    if (!status.ok()) return aws_failure(status);
  }
  status = context_->db->write(
      [&](Database& database) { return update_aws_kms(&database, context_->box.get(), *row); });
  if (!status.ok()) return no_aws_kms(status);
  return get(uuid);
}

Answer<Done> AwsKms::remove(const Uuid& uuid, const Caller& caller) {
  const std::lock_guard lock(context_->aws_kms_changes);
  REWRAP_ANSWER(const AwsKmsConfiguration shown, get(uuid));
  const Status status =
      audit(context_, caller, "aws_kms.remove", "keyset " + shown.keyset, "requested");
  if (!status.ok()) return status;
  return forget_unused(context_, shown, Needs::kHonour);
}

Answer<JobStart> AwsKms::rekey_internal(const Uuid& uuid, const Caller& caller) {
  REWRAP_ANSWER(const AwsKmsConfiguration shown, get(uuid));
  RekeyRequest request;
  request.keyset = shown.keyset;
  request.refuse_empty = true;
  request.check_nodes = true;
  return context_->jobs.start_rekey(request, caller);
}

Answer<JobStart> AwsKms::rekey_external(const Uuid& uuid, const std::string& key_id,
                                        const Caller& caller) {
  REWRAP_ANSWER(const AwsKmsConfiguration shown, get(uuid));
  if (key_id.empty() || !is_plain(key_id)) {
    return Failure{Reason::kInvalidInput,
                   Status(Errc::kInvalidArgument, "the id of the new key is missing, or is none")};
  }
  JobPlan plan;
  plan.root_uri = uri_of(shown, key_id);
  plan.aws_kms = uuid;
  plan.aws_key_id = key_id;
  return start_reprotect_job(context_, shown.keyset, plan, caller);
}

Answer<JobStart> AwsKms::restore(const Uuid& uuid, const Caller& caller) {
  REWRAP_ANSWER(const AwsKmsConfiguration shown, get(uuid));
  return context_->jobs.start_restore(shown.keyset, caller);
}

Answer<AwsKmsState> AwsKms::state(const Uuid& uuid) {
  AwsKmsRow row;
  Status status = context_->db->read([&](Database& database) -> Status {
    REWRAP_ASSIGN(row, read_secrets(&database, context_->box.get(), uuid));
    return {};
  });
  if (!status.ok()) return no_aws_kms(status);
  AwsKmsState state;
  status = try_aws(context_, row);
  state.amazon.reachable = status.ok();
  if (!status.ok()) {
    state.amazon.reason = aws_failure(status).reason;
    state.amazon.message = status.describe();
  }
  REWRAP_ANSWER(const std::vector<Node> nodes, context_->nodes.list());
  bool all_online = true;
  for (const Node& node : nodes) {
    NodeReachability reached{node.name, node.uuid, {node.is_online, Reason::kNone, ""}};
    if (!node.is_online) {
      reached.reachability.reason = Reason::kNodeMissing;
      reached.reachability.message = "the node has missed its heartbeat";
      state.message += (state.message.empty() ? "not online: " : ", ") + node.name;
      all_online = false;
    }
    state.nodes.push_back(std::move(reached));
  }
  const Answer<Done> opens = context_->keysets.check_root(row.shown.keyset);
  if (!opens.ok()) state.message = opens.status().describe();
  state.protected_everywhere = opens.ok() && all_online;
  return state;
}

}  // namespace rewrap
