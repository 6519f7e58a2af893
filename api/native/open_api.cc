// Paths come from the routes; schemas of answers from records, one with nothing in it and one with
// everything, as the handlers write them; what the members mean, from the table here.
#include "api/native/open_api.h"

#include <algorithm>
#include <array>
#include <boost/json/array.hpp>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "api/native/resources.h"
#include "api/native/routes.h"

namespace rewrap::native {
namespace {

namespace json = boost::json;

const char* type_name(FieldType type) {
  switch (type) {
    case FieldType::kString:
      return "string";
    case FieldType::kInteger:
      return "integer";
    case FieldType::kNumber:
      return "number";
    case FieldType::kBoolean:
      return "boolean";
  }
  return "null";
}

json::object reference(std::string_view schema) {
  return {{"$ref", "#/components/schemas/" + std::string(schema)}};
}

json::object content(json::object schema) {
  return {{"application/json", {{"schema", std::move(schema)}}}};
}

json::object body_schema(std::span<const Field> fields) {
  json::object properties;
  json::array required;
  for (const Field& field : fields) {
    properties[field.name] = {{"type", type_name(field.type)}, {"description", field.help}};
    if (field.required) required.emplace_back(field.name);
  }
  json::object schema{
      {"type", "object"}, {"properties", std::move(properties)}, {"additionalProperties", false}};
  if (!required.empty()) schema["required"] = std::move(required);
  return schema;
}

json::array parameters(const Route& route) {
  json::array list;
  for (std::string_view rest = route.pattern; rest.find('{') != std::string_view::npos;) {
    rest.remove_prefix(rest.find('{') + 1);
    list.push_back({{"name", rest.substr(0, rest.find('}'))},
                    {"in", "path"},
                    {"required", true},
                    {"schema", {{"type", "string"}}}});
  }
  for (const Field& field : route.query) {
    list.push_back({{"name", field.name},
                    {"in", "query"},
                    {"description", field.help},
                    {"schema", {{"type", type_name(field.type)}}}});
  }
  return list;
}

bool has_required(std::span<const Field> fields) {
  return std::any_of(fields.begin(), fields.end(),
                     [](const Field& field) { return field.required; });
}

json::object operation(const Route& route) {
  json::object object{{"operationId", route.id}, {"summary", route.summary}};
  if (json::array list = parameters(route); !list.empty()) object["parameters"] = std::move(list);
  if (!route.body.empty()) {
    object["requestBody"] = {{"required", has_required(route.body)},
                             {"content", content(body_schema(route.body))}};
  }
  object["responses"] = {
      {std::to_string(route.success),
       {{"description", route.summary}, {"content", content(reference(route.schema))}}},
      {"default", {{"description", "An error."}, {"content", content(reference("Error"))}}}};
  return object;
}

std::string lower(std::string_view method) {
  std::string out;
  for (const char c : method) out.push_back(static_cast<char>(c | 0x20));
  return out;
}

json::object paths() {
  json::object all;
  for (const Route& route : routes()) {
    const std::string path = "/v1" + std::string(route.pattern);
    if (!all.contains(path)) all[path] = json::object();
    all[path].as_object()[lower(route.method)] = operation(route);
  }
  return all;
}

// What members mean: of one schema ("Job.done"), or of all that have one of that name.
struct Note {
  std::string_view member;
  std::string_view help;
};

constexpr std::array kNotes = std::to_array<Note>({
    {"name", "Its name."},
    {"uuid", "The same for good."},
    {"created", "Seconds since 1970."},
    {"wrap", "How DEKs are wrapped: RFC 3394, RFC 5649 or AES-GCM."},
    {"dek_size", "Bytes of a DEK."},
    {"kek_version", "The KEK version that it is wrapped under."},
    {"version", "From 1; never used again."},
    {"quarantined", "Damaged DEKs that were put aside."},
    {"is_admin", "Whether it is ONTAP's admin SVM."},

    {"Job.handle", "Element's asyncHandle."},
    {"Job.kind", "What it does."},
    {"Job.state", "incomplete: damaged DEKs were left aside, or the gate refused."},
    {"Job.phase", "What it is at; none unless it runs or is paused."},
    {"Job.requested", "What was asked of it that has not happened yet."},
    {"Job.keyset", "The keyset that it works on."},
    {"Job.from_version", "The KEK version that was current; 0 until it is known."},
    {"Job.to_version", "The new KEK version; 0 until it is made."},
    {"Job.done", "DEKs done."},
    {"Job.total", "DEKs to be done."},
    {"Job.deks_per_second", "Lately."},
    {"Job.seconds_left", "0 if nobody knows."},
    {"Job.rate", "At most so many DEKs per second; 0: no limit."},
    {"Job.decommission", "Whether a rekey destroys the old KEK version at its end."},
    {"Job.damaged_segments", "Segments that were left under their old KEK version."},
    {"Job.origin", "The front end that was asked."},
    {"Job.user", "Who asked for it."},
    {"Job.description", "What was asked."},
    {"Job.started", "When it first ran, in seconds since 1970."},
    {"Job.updated", "When it was last recorded, in seconds since 1970."},
    {"Job.ended", "Seconds since 1970."},
    {"Job.error", "Why it failed, is incomplete, was cancelled, or is paused."},
    {"Job.reason", "A word for programs."},
    {"Job.message", "What happened, for people."},
    {"Job.hint", "What to do; may be empty."},
    {"JobStart.job", "The job."},
    {"JobStart.is_new", "false: a rekey of this keyset was under way already, and this is it."},

    {"Keyset.custody", "Where the KEK is while DEKs are re-wrapped."},
    {"Keyset.current_version", "The KEK version that new DEKs come under."},
    {"Keyset.rekey_target", "The KEK version that an unfinished rekey moves to."},
    {"Keyset.deks", "DEKs, without those in quarantine."},
    {"Keyset.verified_version", "The KEK version of the last clean verify; 0 if there was none."},
    {"Keyset.verified", "When that was, in seconds since 1970."},
    {"Keyset.job", "The job that works on it, queued and paused ones included."},

    {"state", "A destroyed KEK version opens nothing any more."},
    {"Key.management", "Where the root key is: in this machine, or at a KMIP provider."},
    {"Key.provider", "The KMIP provider."},
    {"Key.destroyed", "Seconds since 1970."},
    {"Key.protectors", "Any one of them gives the KEK back."},
    {"Key.root", "URI of the root; never with a PIN."},
    {"Key.mechanism", "How the root guards the KEK."},
    {"Key.root_key", "Which key of the root, in its own terms."},

    {"Census.versions", "In order of version."},
    {"Census.deks", "DEKs under this KEK version."},
    {"Census.segments", "Segments under this KEK version."},
    {"Census.root_keys", "The root keys by which it opens, in the roots' own terms."},
    {"Census.foreign_quarantined", "Damaged at import, under no KEK version of this keyset."},
    {"Census.unreadable_segments", "Segments that are missing or whose header cannot be read."},

    {"id", "The DEK's id."},
    {"Dek.alg", "As in RFC 7518."},
    {"QuarantinedDek.reason", "When the damage was found."},
    {"QuarantinedDek.kek_version", "Null: damaged at import, under a foreign KEK."},
    {"QuarantinedDek.since", "Seconds since 1970."},
    {"Node.is_local", "Whether it is the process that answers."},
    {"Node.is_online", "Whether it was heard of in the last 30 seconds."},
    {"Node.registered", "Seconds since 1970."},
    {"Node.last_heartbeat", "Seconds since 1970."},
    {"Account.role", "Decides what it may do."},
    {"Account.permissions", "What it may do."},
    {"Error.error", "What went wrong."},
    {"Error.reason", "A word for programs; http: the status says it all."},
    {"Error.message", "What happened, for people."},
    {"Error.hint", "What to do."},
});

std::string_view help_of(std::string_view schema, std::string_view member) {
  const std::string full = std::string(schema) + "." + std::string(member);
  const auto named = [](std::string_view name) {
    return std::find_if(kNotes.begin(), kNotes.end(),
                        [&](const Note& note) { return note.member == name; });
  };
  if (const auto* found = named(full); found != kNotes.end()) return found->help;
  const auto* found = named(member);
  return found == kNotes.end() ? std::string_view() : found->help;
}

using Examples = std::vector<const json::value*>;

const char* type_of(const json::value& value) {
  switch (value.kind()) {
    case json::kind::null:
      return "null";
    case json::kind::bool_:
      return "boolean";
    case json::kind::int64:
    case json::kind::uint64:
      return "integer";
    case json::kind::double_:
      return "number";
    case json::kind::string:
      return "string";
    case json::kind::array:
      return "array";
    case json::kind::object:
      return "object";
  }
  return "null";
}

json::object schema_of_all(std::string_view schema, const Examples& examples);

// add_members describes an object: what every example has is required.
void add_members(std::string_view schema, const Examples& objects, json::object* out) {
  json::object properties;
  json::array required;
  for (const auto& member : objects.back()->get_object()) {
    Examples values;
    for (const json::value* object : objects) {
      if (const json::value* value = object->get_object().if_contains(member.key()))
        values.push_back(value);
    }
    json::object property = schema_of_all(schema, values);
    property["description"] = help_of(schema, member.key());
    properties[member.key()] = std::move(property);
    if (values.size() == objects.size()) required.emplace_back(member.key());
  }
  (*out)["properties"] = std::move(properties);
  (*out)["required"] = std::move(required);
}

json::object schema_of_all(std::string_view schema, const Examples& examples) {
  json::array types;
  Examples objects;
  Examples items;
  bool are_uuids = true;
  for (const json::value* example : examples) {
    const json::value type(type_of(*example));
    if (std::find(types.begin(), types.end(), type) == types.end()) types.push_back(type);
    if (example->is_object()) objects.push_back(example);
    if (const auto* array = example->if_array()) {
      for (const json::value& item : *array) items.push_back(&item);
    }
    Uuid uuid{};
    are_uuids = are_uuids && example->is_string() && parse_uuid(example->get_string(), &uuid);
  }
  json::object out{{"type", types.size() == 1 ? types.front() : json::value(types)}};
  if (are_uuids) out["format"] = "uuid";
  if (!objects.empty()) add_members(schema, objects, &out);
  if (!items.empty()) out["items"] = schema_of_all(schema, items);
  return out;
}

// schema_of describes a record by how it is written, empty and full. The last example has everything.
json::object schema_of(std::string_view schema, const json::value& empty, const json::value& full) {
  return schema_of_all(schema, {&empty, &full});
}

// may_be restricts a member of a schema to some words.
template <typename Enum>
void may_be(json::object* schema, std::string_view member, const char* (*name)(Enum), Enum first,
            Enum last) {
  json::array words;
  for (int value = static_cast<int>(first); value <= static_cast<int>(last); ++value)
    words.emplace_back(name(static_cast<Enum>(value)));
  (*schema)["properties"].as_object()[member].as_object()["enum"] = std::move(words);
}

json::object job_schema() {
  Job full;
  full.created_at = full.started_at = full.updated_at = full.ended_at = 1;
  full.error = {Reason::kOther, Errc::kOk, "", ""};
  json::object schema = schema_of("Job", job_json(Job()), job_json(full));
  may_be(&schema, "kind", job_kind_name, JobKind::kRekey, JobKind::kDecommission);
  may_be(&schema, "state", job_state_name, JobState::kQueued, JobState::kIncomplete);
  may_be(&schema, "phase", job_phase_name, JobPhase::kNone, JobPhase::kDecommissioning);
  may_be(&schema, "requested", job_request_name, JobRequest::kNone, JobRequest::kCancel);
  may_be(&schema, "origin", job_origin_name, JobOrigin::kCommandLine, JobOrigin::kNative);
  return schema;
}

json::object keyset_schema() {
  KeysetInfo full;
  full.created_at = full.verified_at = 1;
  full.rekey_target = 1;
  json::object schema = schema_of("Keyset", keyset_json({}), keyset_json(full));
  may_be(&schema, "wrap", algorithm_name, WrapAlgorithm::kKw, WrapAlgorithm::kGcm);
  may_be(&schema, "custody", custody_name, Custody::kHost, Custody::kInToken);
  schema["properties"].as_object()["job"] = {
      {"anyOf", json::array{reference("Job"), json::object{{"type", "null"}}}},
      {"description", help_of("Keyset", "job")}};
  return schema;
}

json::object key_schema() {
  KeyInfo full;
  full.created_at = full.destroyed_at = 1;
  full.provider_id = 1;
  full.protectors.emplace_back();
  return schema_of("Key", key_json({}), key_json(full));
}

json::object census_schema() {
  Census full;
  full.versions.emplace_back().key_refs.emplace_back();
  full.versions.emplace_back(full.versions.front()).created_at = 1;
  return schema_of("Census", census_json({}), census_json(full));
}

json::object quarantined_schema() {
  QuarantinedDek full;
  full.record.version = 1;
  full.record.since = 1;
  return schema_of("QuarantinedDek", quarantined_json({}), quarantined_json(full));
}

json::object node_schema() {
  Node full;
  full.registered_at = full.last_heartbeat = 1;
  return schema_of("Node", node_json({}), node_json(full));
}

json::object account_schema() {
  Account full;
  full.role = Role::kAdmin;
  json::object schema = schema_of("Account", account_json({}), account_json(full));
  may_be(&schema, "role", role_name, Role::kAdmin, Role::kAudit);
  return schema;
}

json::object dek_schema() {
  DekInfo full;
  full.created_at = 1;
  return schema_of("Dek", dek_json({}), dek_json(full));
}

json::object error_schema() {
  const json::object bare{{"reason", ""}, {"message", ""}};
  const json::object whole{{"reason", ""}, {"message", ""}, {"hint", ""}};
  return schema_of("Error", json::object{{"error", bare}}, json::object{{"error", whole}});
}

struct Member {
  std::string_view name;
  json::object schema;
};

json::object object_with(std::initializer_list<Member> members) {
  json::object properties;
  json::array required;
  for (const Member& member : members) {
    properties[member.name] = member.schema;
    required.emplace_back(member.name);
  }
  return {
      {"type", "object"}, {"properties", std::move(properties)}, {"required", std::move(required)}};
}

json::object list_of(std::string_view schema) {
  return {{"type", "array"}, {"items", reference(schema)}};
}

json::object described(json::object schema, std::string_view help) {
  schema["description"] = help;
  return schema;
}

json::object schemas() {
  const json::object text{{"type", "string"}};
  const json::object uuids{{"type", "array"}, {"items", {{"type", "string"}, {"format", "uuid"}}}};
  const json::object next{{"type", json::array{"string", "null"}}};
  return {
      {"Error", error_schema()},
      {"Nothing", {{"type", "object"}}},
      {"Account", account_schema()},
      {"Cluster", schema_of("Cluster", cluster_json({}), cluster_json({}))},
      {"Job", job_schema()},
      {"JobStart",
       object_with({{"job", reference("Job")},
                    {"is_new", described({{"type", "boolean"}}, help_of("JobStart", "is_new"))}})},
      {"Jobs", object_with({{"jobs", list_of("Job")}})},
      {"Keyset", keyset_schema()},
      {"Keysets", object_with({{"keysets", list_of("Keyset")}})},
      {"Key", key_schema()},
      {"Keys", object_with({{"keys", list_of("Key")}})},
      {"Census", census_schema()},
      {"Dek", dek_schema()},
      {"Deks",
       object_with(
           {{"deks", list_of("Dek")},
            {"next", described(next, "`from` of the next page; null: this is the last.")}})},
      {"QuarantinedDek", quarantined_schema()},
      {"Quarantine",
       object_with({{"deks", list_of("QuarantinedDek")},
                    {"total", described({{"type", "integer"}}, "How many there are in all.")}})},
      {"Ids", object_with({{"ids", uuids}})},
      {"Node", node_schema()},
      {"Nodes", object_with({{"nodes", list_of("Node")}})}};
}

json::object make_document() {
  return {{"openapi", "3.1.0"},
          {"info",
           {{"title", "rewrapd"},
            {"version", "1"},
            {"description", "Keysets, DEKs, jobs and nodes. Errors have one shape."}}},
          {"security", json::array{json::object{{"basic", json::array()}},
                                   json::object{{"certificate", json::array()}}}},
          {"paths", paths()},
          {"components",
           {{"securitySchemes",
             {{"basic", {{"type", "http"}, {"scheme", "basic"}}},
              {"certificate", {{"type", "mutualTLS"}}}}},
            {"schemas", schemas()}}}};
}

}  // namespace

const json::object& open_api_document() {
  static const json::object kDocument = make_document();
  return kDocument;
}

}  // namespace rewrap::native
