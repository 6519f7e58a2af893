// /security/aws-kms.
#include <array>
#include <utility>

#include "api/ontap/choices.h"
#include "api/ontap/handlers.h"
#include "api/ontap/reply.h"
#include "api/ontap/resources.h"

namespace rewrap::ontap {
namespace {

namespace json = boost::json;

const char* const kCollection = "/api/security/aws-kms/";

// Settings from body fields, which check_body has found to be of the right type.
template <std::optional<std::string> AwsKmsSettings::*Member>
bool set_text(const BodyField& field, AwsKmsSettings* settings) {
  settings->*Member = std::string(field.view());
  return true;
}
template <auto Member>
bool set_number(const BodyField& field, AwsKmsSettings* settings) {
  using Number = typename std::remove_reference_t<decltype(settings->*Member)>::value_type;
  settings->*Member = static_cast<Number>(field.integer);
  return true;
}
template <std::optional<bool> AwsKmsSettings::*Member>
bool set_flag(const BodyField& field, AwsKmsSettings* settings) {
  settings->*Member = field.flag;
  return true;
}
template <std::optional<SecretBuffer> AwsKmsSettings::*Member>
bool set_secret(const BodyField& field, AwsKmsSettings* settings) {
  auto secret = secret_of(field);
  if (!secret.ok()) return false;
  settings->*Member = std::move(secret).value();
  return true;
}
bool set_proxy_type(const BodyField& field, AwsKmsSettings* settings) {
  settings->proxy_type = field.view() == "https" ? ProxyType::kHttps : ProxyType::kHttp;
  return true;
}

struct Setter {
  std::string_view path;
  bool (*set)(const BodyField& field, AwsKmsSettings* settings);
};
constexpr std::array kSetters = {
    Setter{"region", set_text<&AwsKmsSettings::region>},
    Setter{"access_key_id", set_text<&AwsKmsSettings::access_key_id>},
    Setter{"secret_access_key", set_secret<&AwsKmsSettings::secret_access_key>},
    Setter{"service", set_text<&AwsKmsSettings::service>},
    Setter{"default_domain", set_text<&AwsKmsSettings::default_domain>},
    Setter{"host", set_text<&AwsKmsSettings::host>},
    Setter{"port", set_number<&AwsKmsSettings::port>},
    Setter{"polling_period", set_number<&AwsKmsSettings::polling_period>},
    Setter{"timeout", set_number<&AwsKmsSettings::timeout>},
    Setter{"verify", set_flag<&AwsKmsSettings::verify>},
    Setter{"verify_host", set_flag<&AwsKmsSettings::verify_host>},
    Setter{"verify_ip", set_flag<&AwsKmsSettings::verify_ip>},
    Setter{"skip_verify", set_flag<&AwsKmsSettings::skip_verify>},
    Setter{"proxy_type", set_proxy_type},
    Setter{"proxy_host", set_text<&AwsKmsSettings::proxy_host>},
    Setter{"proxy_port", set_number<&AwsKmsSettings::proxy_port>},
    Setter{"proxy_username", set_text<&AwsKmsSettings::proxy_username>},
    Setter{"proxy_password", set_secret<&AwsKmsSettings::proxy_password>},
    Setter{"encryption_context", set_text<&AwsKmsSettings::encryption_context>},
};

Checked<AwsKmsSettings> settings_of(const Body& body) {
  AwsKmsSettings settings;
  for (const BodyField& field : body.fields())
    for (const Setter& setter : kSetters)
      if (setter.path == field.path && !setter.set(field, &settings))
        return error_for(Operation::kModify,
                         {Reason::kTooMany, Status(Errc::kExhausted, "no memory can be locked")});
  return settings;
}

// Svm is what a request says about its SVM: in the headers of a tunnel, or in the body.
struct Svm {
  std::string name;
  std::optional<Uuid> uuid;
  [[nodiscard]] bool empty() const { return name.empty() && !uuid; }
};

Error different_svms() {
  return simple_error(400, 2621706, "The values given name different SVMs.", "svm");
}

// add_name and add_uuid join a value to what is known already.
std::optional<Error> add_name(std::string_view name, Svm* svm) {
  if (name.empty()) return std::nullopt;
  if (!svm->name.empty() && svm->name != name) return different_svms();
  svm->name = name;
  return std::nullopt;
}
std::optional<Error> add_uuid(std::string_view text, std::string_view field, Svm* svm) {
  if (text.empty()) return std::nullopt;
  Uuid uuid{};
  if (!parse_uuid(text, &uuid)) return invalid_value(text, field, "UUID");
  if (svm->uuid && *svm->uuid != uuid) return different_svms();
  svm->uuid = uuid;
  return std::nullopt;
}

Checked<Svm> tunnel_of(const Call& call) {
  Svm svm;
  if (auto error = add_name(call.request->header("X-Dot-SVM-Name").value_or(""), &svm))
    return *error;
  if (auto error =
          add_uuid(call.request->header("X-Dot-SVM-UUID").value_or(""), "X-Dot-SVM-UUID", &svm))
    return *error;
  return svm;
}

bool is_of(const Svm& svm, const AwsKmsConfiguration& configuration) {
  return (svm.name.empty() || svm.name == configuration.keyset) &&
         (!svm.uuid || *svm.uuid == configuration.keyset_uuid);
}

// svm_name gives the keyset that a POST is for.
Checked<std::string> svm_name(const Call& call) {
  REWRAP_ASSIGN(Svm svm, tunnel_of(call));
  if (auto error = add_name(call.body.text_of("svm.name"), &svm)) return *error;
  if (auto error = add_uuid(call.body.text_of("svm.uuid"), "svm.uuid", &svm)) return *error;
  if (svm.empty()) return missing_value("svm");
  if (svm.uuid) {
    const auto keyset = call.backend->find_keyset(*svm.uuid);
    if (!keyset.ok() && keyset.reason() == Reason::kNoSuchKeyset)
      return simple_error(400, 8586226, "There is no SVM of that UUID.", "svm.uuid");
    if (!keyset.ok()) return error_for(Operation::kCreate, keyset.failure());
    if (!svm.name.empty() && svm.name != keyset->name) return different_svms();
    return keyset->name;
  }
  if (kCreateMakesSvm) return svm.name;
  const auto keyset = call.backend->keyset(svm.name);
  if (!keyset.ok()) return error_for(Operation::kCreate, keyset.failure());
  return keyset->name;
}

// configuration_of finds what the path names, within the SVM of a tunnel if there is one.
Checked<AwsKmsConfiguration> configuration_of(const Call& call, Operation operation) {
  REWRAP_ASSIGN(const Svm svm, tunnel_of(call));
  auto configuration = call.backend->aws_kms(call.uuid);
  if (!configuration.ok()) return error_for(operation, configuration.failure());
  if (!is_of(svm, configuration.value()))
    return error_for(operation,
                     {Reason::kNoAwsKms, Status(Errc::kNotFound, "not of the SVM in the header")});
  return std::move(configuration).value();
}

// record_of asks AWS for the advanced properties where the request needs them.
Checked<json::object> record_of(const Call& call, const AwsKmsConfiguration& configuration) {
  const Selection needed = needed_fields(call.query);
  if (!needed.wants("state") && !needed.wants("amazon_reachability") &&
      !needed.wants("ekmip_reachability"))
    return aws_kms_record(configuration, nullptr);
  const auto state = call.backend->aws_kms_state(configuration.uuid);
  if (!state.ok()) return error_for(Operation::kGet, state.failure());
  return aws_kms_record(configuration, &state.value());
}

// try_again lets a rekey that waits for its root or disk go on: asking anew is a client's way to say that
// this was mended. One that was paused by request stays so.
void try_again(const Call& call, const JobStart& start) {
  if (start.is_new || start.job.state != JobState::kPaused ||
      start.job.error.reason == Reason::kNone)
    return;
  (void)call.backend->resume(start.job.uuid, call.caller);  // fails if it goes on already
}

// started makes the reply of the three actions.
Reply started(const Call& call, const AwsKmsConfiguration& configuration, JobStart start,
              bool has_location) {
  StartedJob job{std::move(start.job), "", {}};
  if (has_location) job.location = kCollection + format_uuid(configuration.uuid);
  job.record = call.query.selection.project(aws_kms_record(configuration, nullptr), call.hal);
  Reply reply;
  reply.job = std::move(job);
  return reply;
}

}  // namespace

Checked<Reply> list_aws_kms(Call& call) {
  REWRAP_ASSIGN(const Svm svm, tunnel_of(call));
  const auto configurations = call.backend->aws_kms_list();
  if (!configurations.ok()) return error_for(Operation::kGet, configurations.failure());
  std::vector<json::object> records;
  for (const AwsKmsConfiguration& configuration : configurations.value()) {
    if (!is_of(svm, configuration)) continue;
    REWRAP_ASSIGN(auto record, record_of(call, configuration));
    records.push_back(std::move(record));
  }
  return collection_reply(call, std::move(records));
}

Checked<Reply> get_aws_kms(Call& call) {
  REWRAP_ASSIGN(const auto configuration, configuration_of(call, Operation::kGet));
  REWRAP_ASSIGN(const auto record, record_of(call, configuration));
  return instance_reply(call, record);
}

Checked<Reply> create_aws_kms(Call& call) {
  REWRAP_ASSIGN(const std::string svm, svm_name(call));
  REWRAP_ASSIGN(auto settings, settings_of(call.body));
  const auto made = call.backend->create_aws_kms(svm, call.body.text_of("key_id"),
                                                 std::move(settings), call.caller);
  if (!made.ok()) return error_for(Operation::kCreate, made.failure());
  Reply reply;
  reply.status = 201;
  reply.headers.push_back({"Location", kCollection + format_uuid(made->uuid)});
  if (call.query.return_records) {
    const json::object record = aws_kms_record(made.value(), nullptr);
    reply.body["num_records"] = 1;
    reply.body["records"] = json::array{call.query.selection.project(record, call.hal)};
  }
  return reply;
}

Checked<Reply> patch_aws_kms(Call& call) {
  REWRAP_ASSIGN(const auto configuration, configuration_of(call, Operation::kModify));
  REWRAP_ASSIGN(auto settings, settings_of(call.body));
  const auto changed =
      call.backend->modify_aws_kms(configuration.uuid, std::move(settings), call.caller);
  if (!changed.ok()) return error_for(Operation::kModify, changed.failure());
  return Reply{};
}

Checked<Reply> delete_aws_kms(Call& call) {
  REWRAP_ASSIGN(const auto configuration, configuration_of(call, Operation::kDelete));
  const auto removed = call.backend->remove_aws_kms(configuration.uuid, call.caller);
  if (!removed.ok()) return error_for(Operation::kDelete, removed.failure());
  return Reply{};
}

Checked<Reply> rekey_internal(Call& call) {
  REWRAP_ASSIGN(auto configuration, configuration_of(call, Operation::kRekeyInternal));
  auto start = call.backend->rekey_internal(configuration.uuid, call.caller);
  if (!start.ok()) return error_for(Operation::kRekeyInternal, start.failure());
  try_again(call, start.value());
  return started(call, configuration, std::move(start).value(), kActionLocation);
}

Checked<Reply> rekey_external(Call& call) {
  REWRAP_ASSIGN(auto configuration, configuration_of(call, Operation::kRekeyExternal));
  const std::string key_id = call.body.text_of("key_id");
  auto start = call.backend->rekey_external(configuration.uuid, key_id, call.caller);
  if (!start.ok()) return error_for(Operation::kRekeyExternal, start.failure());
  configuration.key_id = key_id;  // what is shown once the job has succeeded
  return started(call, configuration, std::move(start).value(), kActionLocation);
}

Checked<Reply> restore_keys(Call& call) {
  REWRAP_ASSIGN(auto configuration, configuration_of(call, Operation::kRestore));
  auto start = call.backend->restore(configuration.uuid, call.caller);
  if (!start.ok()) return error_for(Operation::kRestore, start.failure());
  return started(call, configuration, std::move(start).value(), kActionLocation);
}

}  // namespace rewrap::ontap
