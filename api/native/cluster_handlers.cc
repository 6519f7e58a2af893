// This installation, its nodes, and who asks.
#include "api/native/handlers.h"
#include "api/native/resources.h"

namespace rewrap::native {

Answer<Reply> get_account(Call& call) { return Reply{200, account_json(*call.account)}; }

Answer<Reply> get_cluster(Call& call) {
  REWRAP_ANSWER(const Cluster cluster, call.service->nodes().cluster());
  return Reply{200, cluster_json(cluster)};
}

Answer<Reply> list_nodes(Call& call) {
  REWRAP_ANSWER(const auto nodes, call.service->nodes().list());
  return Reply{200, {{"nodes", array_of(nodes, node_json)}}};
}

Answer<Reply> add_node(Call& call) {
  REWRAP_ANSWER(const Node node, call.service->nodes().add(text_in(call, "name"), call.caller));
  return Reply{201, node_json(node)};
}

Answer<Reply> remove_node(Call& call) {
  REWRAP_ANSWER([[maybe_unused]] const Done done,
                call.service->nodes().remove(call.holes[0], call.caller));
  return Reply{};
}

Answer<Reply> node_heartbeat(Call& call) {
  REWRAP_ANSWER([[maybe_unused]] const Done done, call.service->nodes().heartbeat(call.holes[0]));
  return Reply{};
}

}  // namespace rewrap::native
