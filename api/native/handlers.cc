// Each handler translates one request, and no more.
#include "api/native/handlers.h"

#include <array>
#include <boost/json/array.hpp>
#include <charconv>
#include <utility>

#include "api/native/resources.h"
#include "rekey/records.h"

namespace rewrap::native {
namespace {

namespace json = boost::json;

std::string text(const Call& call, std::string_view name, std::string_view otherwise = {}) {
  const json::value* value = call.body.if_contains(name);
  return std::string(value != nullptr ? std::string_view(value->as_string()) : otherwise);
}

double number(const Call& call, std::string_view name) {
  const json::value* value = call.body.if_contains(name);
  return value != nullptr ? value->to_number<double>() : 0.0;
}

bool flag(const Call& call, std::string_view name, bool otherwise) {
  const json::value* value = call.body.if_contains(name);
  return value != nullptr ? value->as_bool() : otherwise;
}

Failure invalid(Literal message) {
  return {Reason::kInvalidInput, Status(Errc::kInvalidArgument, message)};
}

// count gives an integer from 0 to `max`. Checked already: it is an integer.
Answer<std::uint64_t> count(const Call& call, std::string_view name, std::uint64_t otherwise,
                            std::uint64_t max) {
  const json::value* value = call.body.if_contains(name);
  if (value == nullptr) return otherwise;
  const bool negative = value->is_int64() && value->get_int64() < 0;
  if (negative || value->to_number<std::uint64_t>() > max)
    return invalid("a number in the body is out of range");
  return value->to_number<std::uint64_t>();
}

Answer<Uuid> uuid_in(const Call& call, std::size_t hole) {
  Uuid uuid{};
  if (parse_uuid(call.holes[hole], &uuid)) return uuid;
  return invalid("the path holds no UUID where one is wanted");
}

template <typename Items, typename ToJson>
json::array array_of(const Items& items, ToJson to_json) {
  json::array array;
  for (const auto& item : items) array.push_back(to_json(item));
  return array;
}

Reply job_reply(const JobStart& start) {
  return {202, {{"job", job_json(start.job)}, {"is_new", start.is_new}}};
}

Answer<Reply> list_keysets(Call& call) {
  REWRAP_ANSWER(const auto keysets, call.service->keysets().list());
  return Reply{200, {{"keysets", array_of(keysets, keyset_json)}}};
}

Answer<WrapAlgorithm> algorithm_in(const Call& call) {
  const std::string name = text(call, "wrap", "kw");
  for (const auto algorithm : {WrapAlgorithm::kKw, WrapAlgorithm::kKwp, WrapAlgorithm::kGcm}) {
    if (name == algorithm_name(algorithm)) return algorithm;
  }
  return invalid("wrap is kw, kwp or gcm");
}

Answer<Reply> create_keyset(Call& call) {
  NewKeyset wanted;
  wanted.name = text(call, "name");
  wanted.root_uri = text(call, "root");
  REWRAP_ANSWER(wanted.algorithm, algorithm_in(call));
  REWRAP_ANSWER(wanted.dek_len, count(call, "dek_size", 32, 4096));
  const auto custody = find_custody(text(call, "custody", "host"));
  if (!custody) return invalid("custody is host, kek-in-token or in-token");
  wanted.custody = *custody;
  REWRAP_ANSWER(const KeysetInfo made, call.service->keysets().create(wanted, call.caller));
  return Reply{201, keyset_json(made)};
}

Answer<Reply> get_keyset(Call& call) {
  REWRAP_ANSWER(const KeysetInfo keyset, call.service->keysets().get(call.holes[0]));
  return Reply{200, keyset_json(keyset)};
}

Answer<Reply> list_keys(Call& call) {
  REWRAP_ANSWER(const auto keys, call.service->keysets().keys(call.holes[0]));
  return Reply{200, {{"keys", array_of(keys, key_json)}}};
}

Answer<Reply> get_census(Call& call) {
  REWRAP_ANSWER(const Census census, call.service->keysets().census(call.holes[0]));
  return Reply{200, census_json(census)};
}

Answer<Reply> generate_deks(Call& call) {
  REWRAP_ANSWER(const std::uint64_t how_many, count(call, "count", 1, Keysets::kMaxGenerate));
  REWRAP_ANSWER(const std::uint64_t size, count(call, "dek_size", 0, 4096));
  REWRAP_ANSWER(const auto ids,
                call.service->keysets().generate(call.holes[0], how_many, size, call.caller));
  return Reply{
      201, {{"ids", array_of(ids, [](const DekId& id) { return json::value(format_uuid(id)); })}}};
}

Answer<Reply> get_one_dek(Call& call) {
  REWRAP_ANSWER(const Uuid id, uuid_in(call, 1));
  REWRAP_ANSWER(const WrappedDek dek, call.service->keysets().get_dek(call.holes[0], id));
  return Reply{200, dek_json(dek)};
}

Answer<Reply> start_rekey(Call& call) {
  RekeyRequest wanted;
  wanted.keyset = call.holes[0];
  wanted.root_uri = text(call, "root");
  wanted.rate_limit = number(call, "rate");
  wanted.decommission = flag(call, "decommission", true);
  REWRAP_ANSWER(const JobStart start, call.service->jobs().start_rekey(wanted, call.caller));
  return job_reply(start);
}

Answer<Reply> start_reprotect(Call& call) {
  REWRAP_ANSWER(const JobStart start, call.service->jobs().start_reprotect(
                                          call.holes[0], text(call, "root"), call.caller));
  return job_reply(start);
}

Answer<Reply> start_verify(Call& call) {
  REWRAP_ANSWER(const JobStart start,
                call.service->jobs().start_verify(call.holes[0], call.caller));
  return job_reply(start);
}

Answer<Reply> start_restore(Call& call) {
  REWRAP_ANSWER(const JobStart start,
                call.service->jobs().start_restore(call.holes[0], call.caller));
  return job_reply(start);
}

Answer<Reply> start_decommission(Call& call) {
  const std::string& digits = call.holes[1];
  KekVersion version = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), version);
  if (error != std::errc() || end != digits.data() + digits.size() || version == 0)
    return invalid("the path holds no KEK version where one is wanted");
  REWRAP_ANSWER(const JobStart start,
                call.service->jobs().start_decommission(call.holes[0], version, call.caller));
  return job_reply(start);
}

Answer<Reply> list_jobs(Call& call) {
  JobFilter filter;
  filter.max = 1000;
  if (const auto keyset = call.request->query_value("keyset")) filter.keyset = *keyset;
  if (const auto state = call.request->query_value("state")) {
    filter.state = find_job_state(*state);
    if (!filter.state) return invalid("there is no such job state");
  }
  if (const auto kind = call.request->query_value("kind")) {
    filter.kind = find_job_kind(*kind);
    if (!filter.kind) return invalid("there is no such kind of job");
  }
  REWRAP_ANSWER(const auto jobs, call.service->jobs().list(filter));
  return Reply{200, {{"jobs", array_of(jobs, job_json)}}};
}

Answer<Reply> get_job(Call& call) {
  REWRAP_ANSWER(const Uuid uuid, uuid_in(call, 0));
  REWRAP_ANSWER(const Job job, call.service->jobs().get(uuid));
  return Reply{200, job_json(job)};
}

template <Answer<Job> (Jobs::*kAsk)(const Uuid&, const Caller&)>
Answer<Reply> steer_job(Call& call) {
  REWRAP_ANSWER(const Uuid uuid, uuid_in(call, 0));
  REWRAP_ANSWER(const Job job, (call.service->jobs().*kAsk)(uuid, call.caller));
  return Reply{200, job_json(job)};
}

Answer<Reply> set_rate(Call& call) {
  REWRAP_ANSWER(const Uuid uuid, uuid_in(call, 0));
  REWRAP_ANSWER(const Job job,
                call.service->jobs().set_rate(uuid, number(call, "rate"), call.caller));
  return Reply{200, job_json(job)};
}

Answer<Reply> list_nodes(Call& call) {
  REWRAP_ANSWER(const auto nodes, call.service->nodes().list());
  return Reply{200, {{"nodes", array_of(nodes, node_json)}}};
}

Answer<Reply> add_node(Call& call) {
  REWRAP_ANSWER(const Node node, call.service->nodes().add(text(call, "name"), call.caller));
  return Reply{201, node_json(node)};
}

Answer<Reply> remove_node(Call& call) {
  REWRAP_ANSWER(const Done done, call.service->nodes().remove(call.holes[0], call.caller));
  static_cast<void>(done);
  return Reply{};
}

Answer<Reply> node_heartbeat(Call& call) {
  REWRAP_ANSWER(const Done done, call.service->nodes().heartbeat(call.holes[0]));
  static_cast<void>(done);
  return Reply{};
}

constexpr std::array kKeysetFields = {
    Field{"name", FieldType::kString, true, "1 to 64 characters of A-Z a-z 0-9 . _ -"},
    Field{"root", FieldType::kString, true, "URI of the root that guards the KEKs"},
    Field{"wrap", FieldType::kString, false, "kw (default), kwp or gcm"},
    Field{"dek_size", FieldType::kInteger, false, "bytes of each new DEK; 32 by default"},
    Field{"custody", FieldType::kString, false, "host (default), kek-in-token or in-token"},
};
constexpr std::array kGenerateFields = {
    Field{"count", FieldType::kInteger, false, "how many DEKs, 1 by default"},
    Field{"dek_size", FieldType::kInteger, false, "bytes of each; the keyset's own by default"},
};
constexpr std::array kRekeyFields = {
    Field{"root", FieldType::kString, false, "URI of the new KEK's root; the present one's"},
    Field{"rate", FieldType::kNumber, false, "at most so many DEKs per second; 0: no limit"},
    Field{"decommission", FieldType::kBoolean, false, "destroy the old KEK at the end; true"},
};
constexpr std::array kReprotectFields = {
    Field{"root", FieldType::kString, true, "URI of the root that is to guard the KEKs"},
};
constexpr std::array kRateFields = {
    Field{"rate", FieldType::kNumber, true, "at most so many DEKs per second; 0: no limit"},
};
constexpr std::array kNodeFields = {
    Field{"name", FieldType::kString, true, "name of the node"},
};
constexpr std::array kJobQuery = {
    Field{"keyset", FieldType::kString, false, "only those of one keyset"},
    Field{"state", FieldType::kString, false, "only those in one state"},
    Field{"kind", FieldType::kString, false, "only those of one kind"},
};

constexpr auto kRead = Permission::kRead;
constexpr auto kRekey = Permission::kRekey;
constexpr auto kConfigure = Permission::kConfigure;

constexpr std::array kRoutes = {
    Route{"GET", "/keysets", kRead, nullptr, "All keysets.", 200, "Keysets", {}, {}, list_keysets},
    Route{"POST",
          "/keysets",
          kConfigure,
          "native.keyset.create",
          "Makes a keyset with KEK version 1.",
          201,
          "Keyset",
          kKeysetFields,
          {},
          create_keyset},
    Route{"GET",
          "/keysets/{keyset}",
          kRead,
          nullptr,
          "One keyset, and the job that works on it.",
          200,
          "Keyset",
          {},
          {},
          get_keyset},
    Route{"GET",
          "/keysets/{keyset}/keys",
          kRead,
          nullptr,
          "Its KEK versions, without any key.",
          200,
          "Keys",
          {},
          {},
          list_keys},
    Route{"GET",
          "/keysets/{keyset}/census",
          kRead,
          nullptr,
          "How many DEKs are under each KEK.",
          200,
          "Census",
          {},
          {},
          get_census},
    Route{"POST",
          "/keysets/{keyset}/deks",
          kConfigure,
          "native.dek.generate",
          "Makes random DEKs, and gives their ids.",
          201,
          "Ids",
          kGenerateFields,
          {},
          generate_deks},
    Route{"GET",
          "/keysets/{keyset}/deks/{id}",
          kRead,
          nullptr,
          "One wrapped DEK.",
          200,
          "Dek",
          {},
          {},
          get_one_dek},
    Route{"POST",
          "/keysets/{keyset}/rekey",
          kRekey,
          "native.rekey",
          "Moves every DEK to a new KEK; a rekey under way is given instead.",
          202,
          "JobStart",
          kRekeyFields,
          {},
          start_rekey},
    Route{"POST",
          "/keysets/{keyset}/reprotect",
          kRekey,
          "native.reprotect",
          "Moves the KEKs under another root key.",
          202,
          "JobStart",
          kReprotectFields,
          {},
          start_reprotect},
    Route{"POST",
          "/keysets/{keyset}/verify",
          kRekey,
          "native.verify",
          "Proves that every DEK opens.",
          202,
          "JobStart",
          {},
          {},
          start_verify},
    Route{"POST",
          "/keysets/{keyset}/restore",
          kRekey,
          "native.restore",
          "Opens every KEK in use once.",
          202,
          "JobStart",
          {},
          {},
          start_restore},
    Route{"POST",
          "/keysets/{keyset}/keys/{version}/decommission",
          kRekey,
          "native.decommission",
          "Destroys an old KEK version, if the gate lets it go.",
          202,
          "JobStart",
          {},
          {},
          start_decommission},
    Route{"GET",
          "/jobs",
          kRead,
          nullptr,
          "Jobs, newest first, at most 1000.",
          200,
          "Jobs",
          {},
          kJobQuery,
          list_jobs},
    Route{"GET",
          "/jobs/{uuid}",
          kRead,
          nullptr,
          "One job: progress, rate, time left.",
          200,
          "Job",
          {},
          {},
          get_job},
    Route{"PATCH",
          "/jobs/{uuid}",
          kRekey,
          "native.job.rate",
          "Throttles a job, running or not.",
          200,
          "Job",
          kRateFields,
          {},
          set_rate},
    Route{"POST",
          "/jobs/{uuid}/pause",
          kRekey,
          "native.job.pause",
          "Asks a job to stop between two commits.",
          200,
          "Job",
          {},
          {},
          steer_job<&Jobs::pause>},
    Route{"POST",
          "/jobs/{uuid}/resume",
          kRekey,
          "native.job.resume",
          "Goes on with a paused job.",
          200,
          "Job",
          {},
          {},
          steer_job<&Jobs::resume>},
    Route{"POST",
          "/jobs/{uuid}/cancel",
          kRekey,
          "native.job.cancel",
          "Asks a job to end; a rekey that was begun goes on with the next one.",
          200,
          "Job",
          {},
          {},
          steer_job<&Jobs::cancel>},
    Route{"GET",
          "/nodes",
          kRead,
          nullptr,
          "The nodes of the cluster.",
          200,
          "Nodes",
          {},
          {},
          list_nodes},
    Route{"POST",
          "/nodes",
          kConfigure,
          "native.node.add",
          "Registers a node.",
          201,
          "Node",
          kNodeFields,
          {},
          add_node},
    Route{"DELETE",
          "/nodes/{node}",
          kConfigure,
          "native.node.remove",
          "Removes a node.",
          200,
          "Nothing",
          {},
          {},
          remove_node},
    // No line in the audit log: it comes every few seconds, from every node.
    Route{"POST",
          "/nodes/{node}/heartbeat",
          kRekey,
          nullptr,
          "Says that a node is alive.",
          200,
          "Nothing",
          {},
          {},
          node_heartbeat},
};

}  // namespace

std::span<const Route> routes() { return kRoutes; }

}  // namespace rewrap::native
