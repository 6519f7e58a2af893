// The cluster, its nodes, SVMs and key stores: read views.
#include <algorithm>
#include <utility>

#include "api/ontap/handlers.h"
#include "api/ontap/reply.h"
#include "api/ontap/resources.h"

namespace rewrap::ontap {
namespace {

namespace json = boost::json;

Error get_error(const Failure& failure) { return error_for(Operation::kGet, failure); }

// key_store_for asks the root of a keyset only where `ask_root` says so: it may take seconds.
Checked<json::object> key_store_for(const Call& call, const KeysetInfo& keyset,
                                    const std::vector<AwsKmsConfiguration>& configurations,
                                    bool ask_root) {
  const auto state = call.backend->keystore_state(keyset.name, ask_root);
  if (!state.ok()) return get_error(state.failure());
  const auto configuration =
      std::find_if(configurations.begin(), configurations.end(),
                   [&](const AwsKmsConfiguration& one) { return one.keyset_uuid == keyset.uuid; });
  return key_store_record(keyset, state.value(),
                          configuration == configurations.end() ? nullptr : &*configuration);
}

}  // namespace

Reply collection_reply(const Call& call, std::vector<json::object> records) {
  Page page = make_page(call.query, std::move(records), call.hal);
  Reply reply;
  if (call.query.return_records) reply.body["records"] = std::move(page.records);
  reply.body["num_records"] = page.num_records;
  json::object links;
  if (call.hal) links = self_link(target_of(call.path, call.request->query));
  if (page.has_more) {
    const std::string next =
        next_target(call.path, call.request->query, call.query.offset + page.num_records);
    links["next"] = link(next);
    reply.headers.push_back({"Link", "<" + next + ">; rel=\"next\""});
  }
  if (!links.empty()) reply.body["_links"] = std::move(links);
  return reply;
}

Reply instance_reply(const Call& call, const json::object& record) {
  Reply reply;
  reply.body = call.query.selection.project(record, call.hal);
  return reply;
}

Checked<Reply> get_cluster(Call& call) {
  const auto cluster = call.backend->cluster();
  if (!cluster.ok()) return get_error(cluster.failure());
  return instance_reply(call, cluster_record(cluster.value()));
}

Checked<Reply> list_nodes(Call& call) {
  const auto nodes = call.backend->nodes();
  if (!nodes.ok()) return get_error(nodes.failure());
  std::vector<json::object> records;
  for (const Node& node : nodes.value()) records.push_back(node_record(node));
  return collection_reply(call, std::move(records));
}

Checked<Reply> get_node(Call& call) {
  const auto nodes = call.backend->nodes();
  if (!nodes.ok()) return get_error(nodes.failure());
  for (const Node& node : nodes.value())
    if (node.uuid == call.uuid) return instance_reply(call, node_record(node));
  return not_found();
}

Checked<Reply> list_svms(Call& call) {
  const auto keysets = call.backend->keysets();
  if (!keysets.ok()) return get_error(keysets.failure());
  std::vector<json::object> records;
  for (const KeysetInfo& keyset : keysets.value())
    if (!keyset.is_admin) records.push_back(svm_record(keyset));
  return collection_reply(call, std::move(records));
}

Checked<Reply> get_svm(Call& call) {
  const auto keyset = call.backend->find_keyset(call.uuid);
  if (!keyset.ok() && keyset.reason() != Reason::kNoSuchKeyset) return get_error(keyset.failure());
  if (!keyset.ok() || keyset->is_admin) return not_found();
  return instance_reply(call, svm_record(keyset.value()));
}

Checked<Reply> list_key_stores(Call& call) {
  const auto keysets = call.backend->keysets();
  if (!keysets.ok()) return get_error(keysets.failure());
  const auto configurations = call.backend->aws_kms_list();
  if (!configurations.ok()) return get_error(configurations.failure());
  const bool ask_root = needed_fields(call.query).wants("state");
  std::vector<json::object> records;
  for (const KeysetInfo& keyset : keysets.value()) {
    REWRAP_ASSIGN(auto record, key_store_for(call, keyset, configurations.value(), ask_root));
    records.push_back(std::move(record));
  }
  return collection_reply(call, std::move(records));
}

Checked<Reply> get_key_store(Call& call) {
  const auto keysets = call.backend->keysets();
  if (!keysets.ok()) return get_error(keysets.failure());
  const auto configurations = call.backend->aws_kms_list();
  if (!configurations.ok()) return get_error(configurations.failure());
  for (const KeysetInfo& keyset : keysets.value()) {
    const bool is_its_own = keyset.uuid == call.uuid;
    const bool is_its_configurations = std::any_of(
        configurations->begin(), configurations->end(), [&](const AwsKmsConfiguration& one) {
          return one.uuid == call.uuid && one.keyset_uuid == keyset.uuid;
        });
    if (!is_its_own && !is_its_configurations) continue;
    REWRAP_ASSIGN(auto record, key_store_for(call, keyset, configurations.value(), true));
    // A keyset's own id names a store only while no configuration does.
    if (record["uuid"] == json::value(format_uuid(call.uuid))) return instance_reply(call, record);
  }
  return not_found();
}

}  // namespace rewrap::ontap
