// The table of nodes.
#include "api/service/nodes.h"

#include "api/service/context.h"
#include "rekey/records.h"

namespace rewrap {
namespace {

Failure no_such_node() {
  return {Reason::kNoSuchNode, Status(Errc::kNotFound, "there is no such node")};
}

Result<std::vector<Node>> read_nodes(Database* database, std::uint64_t now) {
  REWRAP_ASSIGN(Query query,
                database->query("SELECT uuid, name, registered_at, last_heartbeat FROM nodes"
                                " ORDER BY name"));
  std::vector<Node> nodes;
  for (;;) {
    REWRAP_ASSIGN(const bool found, query.next());
    if (!found) return nodes;
    Node node;
    node.uuid = query.uuid();
    node.name = query.text();
    node.registered_at = query.u64();
    node.last_heartbeat = query.u64();
    // A clock that was set back must not keep a silent node alive.
    node.is_online = node.last_heartbeat != 0 && node.last_heartbeat <= now &&
                     now - node.last_heartbeat <= kHeartbeatLimit;
    nodes.push_back(std::move(node));
  }
}

}  // namespace

Answer<Cluster> Nodes::cluster() {
  Cluster cluster;
  cluster.name = context_->options.cluster_name;
  const Status status = context_->db->read([&](Database& database) -> Status {
    REWRAP_ASSIGN(Query query, database.query("SELECT uuid FROM cluster"));
    REWRAP_ASSIGN(const bool found, query.next());
    if (found) cluster.uuid = query.uuid();
    return {};
  });
  if (!status.ok()) return status;
  return cluster;
}

Answer<std::vector<Node>> Nodes::list() {
  REWRAP_ANSWER(const Cluster cluster, this->cluster());
  const std::uint64_t now = now_seconds();
  std::vector<Node> nodes;
  const Status status = context_->db->read([&](Database& database) -> Status {
    REWRAP_ASSIGN(nodes, read_nodes(&database, now));
    return {};
  });
  if (!status.ok()) return status;
  Node local;
  local.uuid = key_uuid(cluster.uuid, 0);  // made from the cluster's: one local node each
  local.name = context_->options.node_name;
  local.last_heartbeat = now;
  local.is_local = true;
  local.is_online = true;
  nodes.insert(nodes.begin(), std::move(local));
  return nodes;
}

Answer<Node> Nodes::get(const Uuid& uuid) {
  REWRAP_ANSWER(const std::vector<Node> nodes, list());
  for (const Node& node : nodes) {
    if (node.uuid == uuid) return node;
  }
  return no_such_node();
}

Answer<Node> Nodes::add(const std::string& name, const Caller& caller) {
  if (!is_keyset_name(name)) {
    return Status(Errc::kInvalidArgument,
                  "a node's name is 1 to 64 characters of A-Z a-z 0-9 . _ -");
  }
  if (name == context_->options.node_name) {
    return Failure{Reason::kNameTaken,
                   Status(Errc::kAlreadyExists, "this is the name of the local node")};
  }
  Result<Uuid> uuid = random_uuid();
  if (!uuid.ok()) return uuid.status();
  Status status = audit(context_, caller, "node.add", "node " + name, "requested");
  if (!status.ok()) return status;
  status = context_->db->write([&](Database& database) {
    return database.run(
        "INSERT INTO nodes(name, uuid, registered_at, last_heartbeat)"
        " VALUES(?, ?, ?, 0)",
        name, uuid.value(), now_seconds());
  });
  if (!status.ok()) return status;
  return get(uuid.value());
}

Answer<Done> Nodes::remove(const std::string& name, const Caller& caller) {
  Status status = audit(context_, caller, "node.remove", "node " + name, "requested");
  if (!status.ok()) return status;
  std::int64_t removed = 0;
  status = context_->db->write([&](Database& database) -> Status {
    REWRAP_TRY(database.run("DELETE FROM nodes WHERE name = ?", name));
    removed = database.num_changed();
    return {};
  });
  if (!status.ok()) return status;
  if (removed == 0) return no_such_node();
  return Done{};
}

Answer<Done> Nodes::heartbeat(const std::string& name) {
  std::int64_t found = 0;
  const Status status = context_->db->note([&](Database& database) -> Status {
    REWRAP_TRY(
        database.run("UPDATE nodes SET last_heartbeat = ? WHERE name = ?", now_seconds(), name));
    found = database.num_changed();
    return {};
  });
  if (!status.ok()) return status;
  if (found == 0) return no_such_node();
  return Done{};
}

Answer<std::vector<Node>> Nodes::missing() {
  REWRAP_ANSWER(std::vector<Node> nodes, list());
  std::erase_if(nodes, [](const Node& node) { return node.is_online; });
  return nodes;
}

}  // namespace rewrap
