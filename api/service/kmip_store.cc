// The tables kmip_...
#include "api/service/kmip_store.h"

#include "rekey/records.h"

namespace rewrap {
namespace {

SecretPlace key_pair_place() { return {"kmip_key_pair", {}, "private_key"}; }

Status no_service_key() {
  return {Errc::kDenied, "no service key guards stored secrets",
          "name a root for it in the configuration of the service"};
}

Result<std::vector<std::string>> list_hosts(Database* database, std::int64_t server) {
  REWRAP_ASSIGN(
      Query query,
      database->query("SELECT host FROM kmip_hosts WHERE server_id = ? ORDER BY place", server));
  std::vector<std::string> hosts;
  for (;;) {
    REWRAP_ASSIGN(const bool found, query.next());
    if (!found) return hosts;
    hosts.push_back(query.text());
  }
}

}  // namespace

Result<std::vector<KmipProvider>> list_providers(Database* database) {
  REWRAP_ASSIGN(Query query, database->query("SELECT p.id, p.name, s.id FROM kmip_providers AS p"
                                             " LEFT JOIN kmip_servers AS s ON s.provider_id = p.id"
                                             " ORDER BY p.id, s.id"));
  std::vector<KmipProvider> providers;
  for (;;) {
    REWRAP_ASSIGN(const bool found, query.next());
    if (!found) return providers;
    const std::int64_t id = query.i64();
    std::string name = query.text();
    if (providers.empty() || providers.back().id != id)
      providers.push_back({id, std::move(name), false, {}});
    if (const auto server = query.optional_i64()) providers.back().server_ids.push_back(*server);
  }
}

Result<std::vector<KmipServer>> list_servers(Database* database) {
  REWRAP_ASSIGN(Query query,
                database->query("SELECT id, name, provider_id, port, ca_pem, certificate_pem"
                                " FROM kmip_servers ORDER BY id"));
  std::vector<KmipServer> servers;
  for (;;) {
    REWRAP_ASSIGN(const bool found, query.next());
    if (!found) return servers;
    KmipServer server;
    server.id = query.i64();
    server.name = query.text();
    server.provider_id = query.optional_i64();
    server.port = static_cast<std::uint16_t>(query.i64());
    server.ca_pem = query.text();
    server.certificate_pem = query.text();
    REWRAP_ASSIGN(server.hosts, list_hosts(database, server.id));
    servers.push_back(std::move(server));
  }
}

Result<KmipKeyPair> read_key_pair(Database* database, const SecretBox* box) {
  if (box == nullptr) return no_service_key();
  REWRAP_ASSIGN(Query query, database->query("SELECT sealed_private_key, request, public_key"
                                             " FROM kmip_key_pair"));
  REWRAP_ASSIGN(const bool found, query.next());
  if (!found) {
    return Status(Errc::kNotFound, "there is no key pair for KMIP",
                  "make one, and have its certificate request signed");
  }
  KmipKeyPair pair;
  const Bytes sealed = query.blob();
  pair.request_pem = query.text();
  pair.public_key = query.blob();
  REWRAP_ASSIGN(pair.private_key_pem, box->unseal(key_pair_place(), sealed));
  return pair;
}

Status save_key_pair(Database* database, const SecretBox* box, const KmipKeyPair& pair) {
  if (box == nullptr) return no_service_key();
  REWRAP_ASSIGN(const Bytes sealed,
                box->seal(key_pair_place(), pair.private_key_pem.expose_secret()));
  return database->run(
      "INSERT OR REPLACE INTO kmip_key_pair(id, sealed_private_key, request, public_key,"
      " created_at) VALUES(1, ?, ?, ?, ?)",
      sealed, pair.request_pem, pair.public_key, now_seconds());
}

}  // namespace rewrap
