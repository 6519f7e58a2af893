// The nodes of the cluster that this service presents, and their heartbeats. This process is a node
// itself; others are registered by the operator and must be heard of. Any thread.
#ifndef REWRAP_API_SERVICE_NODES_H_
#define REWRAP_API_SERVICE_NODES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "api/service/answer.h"
#include "api/service/job.h"
#include "api/service/jobs.h"

namespace rewrap {

// A node that was not heard of for so long has missed its heartbeat. Seconds.
inline constexpr std::uint64_t kHeartbeatLimit = 30;

struct Node {
  Uuid uuid{};
  std::string name;
  std::uint64_t registered_at = 0;
  std::uint64_t last_heartbeat = 0;  // 0: never
  bool is_local = false;             // this process: always online
  bool is_online = false;
};

// This installation as one cluster.
struct Cluster {
  Uuid uuid{};  // made with the database
  std::string name;
};

class Nodes {
 public:
  explicit Nodes(ServiceContext* context) : context_(context) {}

  Answer<Cluster> cluster();
  Answer<std::vector<Node>> list();  // the local one first, then by name
  // Reasons: kNoSuchNode
  Answer<Node> get(const Uuid& uuid);
  // Reasons: kNameTaken, kInvalidInput
  Answer<Node> add(const std::string& name, const Caller& caller);
  Answer<Done> remove(const std::string& name, const Caller& caller);
  Answer<Done> heartbeat(const std::string& name);
  // missing gives the nodes that have missed their heartbeat.
  Answer<std::vector<Node>> missing();

 private:
  ServiceContext* context_;
};

}  // namespace rewrap

#endif  // REWRAP_API_SERVICE_NODES_H_
