// AWS KMS configurations: created, changed, tried out, used.
#include "api/service/aws_kms.h"

#include <memory>

#include "api/service/aws_kms_store.h"
#include "api/service/context.h"
#include "rekey/reprotect.h"

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
  return std::nullopt;
}

// trial_keyring reaches AWS by a row that is not stored yet, and all else as ever.
Keyring trial_keyring(ServiceContext* context, const std::shared_ptr<const AwsKmsRow>& row) {
  return context->roots->keyring(row->shown.keyset_uuid, nullptr,
                                 [row](const std::string& uri) { return copy_target(*row, uri); });
}

// try_aws makes and opens a throwaway key.
Status try_aws(ServiceContext* context, const AwsKmsRow& row) {
  REWRAP_ASSIGN(AwsTarget target,
                copy_target(row, aws_kms_uri(row.shown.key_id, row.shown.region)));
  REWRAP_ASSIGN(const auto root, context->roots->open_aws(std::move(target)));
  return root->create(kKekLen, as_bytes("rewrap reachability")).status();
}

Result<std::vector<Protector>> current_protectors(ServiceContext* context,
                                                  const KeysetRecord& keyset) {
  REWRAP_ASSIGN(auto snapshot, context->store->snapshot());
  REWRAP_ASSIGN(const ByteView stored,
                snapshot->kek_version(keyset.number, keyset.current_version));
  REWRAP_ASSIGN(KekVersionRecord record, decode_kek_version(stored));
  return std::move(record.protectors);
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
  if (keyset->running && keyset->running->kind == JobKind::kRekey) {
    return Failure{Reason::kRekeyRunning,
                   Status(Errc::kConflict, "a rekey of this keyset has not ended")};
  }
  const Answer<std::uint64_t> in_admin = context->keysets.count_in_admin(name);
  if (!in_admin.ok()) return in_admin.failure();
  if (in_admin.value() == 0) return std::nullopt;
  return Failure{Reason::kDeksInAdminKeyset,
                 Status(Errc::kRefused, "DEKs of this keyset still sit in the admin keyset",
                        "move them to this keyset first")};
}

// move_keyset puts the keyset under the row's key: a new one is made there, an old one moved.
Result<KeysetRecord> move_keyset(ServiceContext* context, const std::string& name,
                                 const std::shared_ptr<AwsKmsRow>& row) {
  const std::string uri = aws_kms_uri(row->shown.key_id, row->shown.region);
  const Answer<KeysetRecord> there = keyset_record(context, name);
  if (there.reason() == Reason::kNoSuchKeyset) {
    Keyring keyring = trial_keyring(context, row);
    return create_keyset(context->store.get(),
                         {name, uri, WrapAlgorithm::kKw, kSvmDekLen, Custody::kHost}, &keyring);
  }
  if (!there.ok()) return there.status();
  row->shown.keyset_uuid = there->uuid;
  Keyring keyring = trial_keyring(context, row);
  REWRAP_TRY(reprotect(context->store.get(), name, &keyring, {uri, false}).status());
  return there.value();
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
  if (const auto failure = check_keyset(context_, keyset)) return *failure;
  Result<Uuid> uuid = random_uuid();
  if (!uuid.ok()) return uuid.status();
  row->shown.uuid = uuid.value();
  row->shown.created_at = now_seconds();
  Status status =
      audit(context_, caller, "aws_kms.create", "keyset " + keyset, "requested", "key " + key_id);
  if (!status.ok()) return status;
  if (status = try_aws(context_, *row); !status.ok()) return aws_failure(status);
  // If the machine stops between these two, the keyset is under AWS KMS without a configuration;
  // the same request again makes that good.
  const Result<KeysetRecord> moved = move_keyset(context_, keyset, row);
  if (!moved.ok()) return aws_failure(moved.status());
  row->shown.keyset = moved->name;
  row->shown.keyset_uuid = moved->uuid;
  status = context_->db->write(
      [&](Database& database) { return save_aws_kms(&database, context_->box.get(), *row); });
  if (!status.ok()) return status;
  return get(row->shown.uuid);
}

Answer<AwsKmsConfiguration> AwsKms::modify(const Uuid& uuid, AwsKmsSettings settings,
                                           const Caller& caller) {
  if (const auto failure = check_settings(settings)) return *failure;
  const bool verify = !settings.skip_verify.value_or(false);
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
    if (status = try_aws(context_, *row); !status.ok()) return aws_failure(status);
  }
  status = context_->db->write(
      [&](Database& database) { return save_aws_kms(&database, context_->box.get(), *row); });
  if (!status.ok()) return status;
  return get(uuid);
}

Answer<Done> AwsKms::remove(const Uuid& uuid, const Caller& caller) {
  REWRAP_ANSWER(const AwsKmsConfiguration shown, get(uuid));
  const Answer<KeysetInfo> keyset = context_->keysets.get(shown.keyset);
  if (keyset.ok() && keyset->running && keyset->running->kind == JobKind::kRekey) {
    return Failure{Reason::kRekeyRunning,
                   Status(Errc::kConflict, "a rekey of this keyset has not ended")};
  }
  if (keyset.ok() && keyset->deks != 0) {
    REWRAP_ANSWER(const KeysetRecord record, keyset_record(context_, shown.keyset));
    const auto protectors = current_protectors(context_, record);
    if (!protectors.ok()) return protectors.status();
    bool elsewhere = false;
    for (const Protector& protector : protectors.value())
      elsewhere = elsewhere || !is_aws_kms_uri(protector.root_uri);
    if (!elsewhere) {
      return Failure{Reason::kStillInUse,
                     Status(Errc::kRefused, "only this key gives the keyset's KEK back",
                            "move the keyset to another root first: rewrap reprotect")};
    }
  }
  Status status = audit(context_, caller, "aws_kms.remove", "keyset " + shown.keyset, "requested");
  if (!status.ok()) return status;
  status = context_->db->write(
      [&](Database& database) { return database.run("DELETE FROM aws_kms WHERE uuid = ?", uuid); });
  if (!status.ok()) return status;
  return Done{};
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
  plan.root_uri = aws_kms_uri(key_id, shown.region);
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
