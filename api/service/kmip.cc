// KMIP providers and servers: their rules, over kmip_store.h and kmip_certificate.h.
#include "api/service/kmip.h"

#include <algorithm>
#include <functional>

#include "api/service/context.h"
#include "api/service/job_store.h"
#include "api/service/kmip_certificate.h"
#include "api/service/kmip_store.h"
#include "rekey/records.h"

namespace rewrap {
namespace {

constexpr std::size_t kMaxNameLen = 255;
constexpr std::size_t kMaxHostLen = 253;

Failure no_such_provider() {
  return {Reason::kNoSuchProvider, Status(Errc::kNotFound, "there is no such key provider")};
}
Failure no_such_server() {
  return {Reason::kNoSuchServer, Status(Errc::kNotFound, "there is no such key server")};
}
Failure last_server() {
  return {Reason::kLastServer,
          Status(Errc::kRefused, "this is the last key server of an active key provider",
                 "rekey to another key management first")};
}

Failure provider_active() {
  return {Reason::kProviderActive,
          Status(Errc::kRefused, "keys made at this key provider are in use",
                 "rekey to another key management first")};
}
Failure server_assigned() {
  return {Reason::kServerAssigned,
          Status(Errc::kConflict,
                 "the key server has a key provider, or the provider a server, already",
                 "remove the server from the provider first")};
}

// has_keys says whether usable KEK versions of some keyset were made at a provider.
Result<bool> has_keys(ServiceContext* context, std::int64_t provider) {
  REWRAP_ASSIGN(const std::vector<KeysetRecord> keysets, list_keysets(context->store.get()));
  REWRAP_ASSIGN(const auto snapshot, context->store->snapshot());
  bool found = false;
  const auto look = [&](KekVersion /*version*/, ByteView value) -> Status {
    REWRAP_ASSIGN(const KekVersionRecord key, decode_kek_version(value));
    for (const Protector& protector : key.protectors) {
      const bool is_here = provider_of_uri(protector.root_uri) == provider;
      found = found || (key.state == KekState::kUsable && is_here);
    }
    return {};
  };
  for (const KeysetRecord& keyset : keysets)
    REWRAP_TRY(snapshot->for_each_kek_version(keyset.number, look));
  return found;
}

// is_active says whether a provider must stay: keys were made there, or a job that has not ended is
// to make one. The jobs come first: one that ends meanwhile has its key in the store by then.
Result<bool> is_active(ServiceContext* context, Database* database, std::int64_t provider) {
  REWRAP_ASSIGN(const std::vector<Job> jobs, active_jobs(database));
  for (const Job& job : jobs) {
    REWRAP_ASSIGN(const JobPlan plan, find_plan(database, job.handle));
    if (provider_of_uri(plan.root_uri) == provider) return true;
  }
  return has_keys(context, provider);
}

Answer<std::vector<KmipServer>> all_servers(ServiceContext* context) {
  std::vector<KmipServer> servers;
  const Status status = context->db->read([&](Database& database) -> Status {
    REWRAP_ASSIGN(servers, list_servers(&database));
    for (KmipServer& server : servers) {
      if (!server.provider_id) continue;
      REWRAP_ASSIGN(server.provider_is_active, is_active(context, &database, *server.provider_id));
    }
    return {};
  });
  if (!status.ok()) return status;
  return servers;
}

std::optional<Failure> check_server(ServiceContext* context, const KmipServer& server) {
  const bool hosts_are_good =
      !server.hosts.empty() && server.hosts.size() <= kMaxKmipHosts &&
      std::all_of(server.hosts.begin(), server.hosts.end(), [](const std::string& host) {
        return !host.empty() && host.size() <= kMaxHostLen &&
               host.find_first_not_of(
                   "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                   "0123456789-._:[]%") == std::string::npos;
      });
  if (!hosts_are_good || server.port == 0 || server.name.size() > kMaxNameLen) {
    return Failure{Reason::kInvalidInput,
                   Status(Errc::kInvalidArgument,
                          "a key server has 1 to 8 host names, a port and a name of at most 255 "
                          "characters")};
  }
  Status status = check_authorities(server.ca_pem);
  if (!status.ok()) return Failure{Reason::kCertificate, status};
  Bytes public_key;
  status = context->db->read([&](Database& database) -> Status {
    REWRAP_ASSIGN(Query query, database.query("SELECT public_key FROM kmip_key_pair"));
    REWRAP_ASSIGN(const bool found, query.next());
    if (found) public_key = query.blob();
    return {};
  });
  if (!status.ok()) return Failure{reason_of(status), status};
  status = check_client_certificate(server.certificate_pem, public_key);
  if (!status.ok()) return Failure{Reason::kCertificate, status};
  return std::nullopt;
}

Status write_hosts(Database& database, const KmipServer& server) {
  REWRAP_TRY(database.run("DELETE FROM kmip_hosts WHERE server_id = ?", server.id));
  for (std::size_t place = 0; place < server.hosts.size(); ++place) {
    REWRAP_TRY(database.run("INSERT INTO kmip_hosts(server_id, place, host) VALUES(?, ?, ?)",
                            server.id, static_cast<std::uint64_t>(place), server.hosts[place]));
  }
  return {};
}

// connect tries a server out, as it is given. Blocks on the network.
Answer<Done> connect(ServiceContext* context, const KmipServer& server) {
  const KmipTester& test = context->roots->access().test_kmip;
  if (!test) return Status(Errc::kUnsupported, "this build cannot reach KMIP servers");
  KmipTarget target;
  target.uri = server.provider_id ? kmip_uri(*server.provider_id) : "";
  target.hosts = server.hosts;
  target.port = server.port;
  target.ca_pem = server.ca_pem;
  target.certificate_pem = server.certificate_pem;
  const Status read = context->db->read([&](Database& database) -> Status {
    REWRAP_ASSIGN(KmipKeyPair pair, read_key_pair(&database, context->box.get()));
    target.private_key_pem = std::move(pair.private_key_pem);
    return {};
  });
  if (!read.ok()) {
    const bool none = read.code() == Errc::kNotFound || context->box == nullptr;
    return Failure{none ? Reason::kNoKeyPair : reason_of(read), read};
  }
  const Status status = test(target);
  if (status.ok()) return Done{};
  return Failure{
      status.code() == Errc::kDenied ? Reason::kCredentialsRejected : Reason::kRootUnreachable,
      status};
}

// The rules of taking away, for the transaction that does it: between a look and a deed a rekey
// could begin that makes its key there.
Answer<Done> check_deletable(ServiceContext* context, Database* database, std::int64_t provider) {
  REWRAP_ASSIGN(const bool active, is_active(context, database, provider));
  if (active) return provider_active();
  return Done{};
}

// check_removable refuses to take the last server from an active provider.
Answer<Done> check_removable(ServiceContext* context, Database* database, std::int64_t id) {
  REWRAP_ASSIGN(const std::vector<KmipServer> servers, list_servers(database));
  const auto server = std::find_if(servers.begin(), servers.end(),
                                   [&](const KmipServer& other) { return other.id == id; });
  if (server == servers.end()) return no_such_server();
  if (!server->provider_id) return Done{};
  REWRAP_ASSIGN(const bool active, is_active(context, database, *server->provider_id));
  const auto count = std::count_if(servers.begin(), servers.end(), [&](const KmipServer& other) {
    return other.provider_id == server->provider_id;
  });
  if (active && count <= 1) return last_server();
  return Done{};
}

// check_assignable: a provider has one server at most, and a server one provider.
Answer<Done> check_assignable(const std::vector<KmipServer>& servers, std::int64_t provider,
                              std::int64_t server) {
  for (const KmipServer& other : servers) {
    if (other.provider_id == provider || (other.id == server && other.provider_id))
      return server_assigned();
  }
  return Done{};
}

Answer<Done> done(const Status& status) {
  if (!status.ok()) return status;
  return Done{};
}

// change audits, then does `body` in one transaction: all of it or, if it refuses, nothing.
Answer<Done> change(ServiceContext* context, const Caller& caller, const char* action,
                    const std::string& object, const std::function<Answer<Done>(Database&)>& body) {
  Status status = audit(context, caller, action, object, "requested");
  if (!status.ok()) return status;
  Answer<Done> answer = Done{};
  status = context->db->write([&](Database& database) -> Status {
    answer = body(database);
    return answer.ok() ? Status() : answer.status();
  });
  if (!answer.ok()) return answer;
  return done(status);
}

std::string name_of(const char* kind, std::int64_t id) {
  return std::string(kind) + " " + std::to_string(id);
}

}  // namespace

Answer<Done> Kmip::create_key_pair(const CertificateSubject& subject, const Caller& caller) {
  if (context_->box == nullptr) {
    return Failure{Reason::kNoServiceKey,
                   Status(Errc::kDenied, "no service key guards stored secrets",
                          "name a root for it in the configuration of the service")};
  }
  const Result<KmipKeyPair> pair = make_key_pair(subject);
  if (!pair.ok()) return pair.status();
  return change(context_, caller, "kmip.key_pair", "key pair", [&](Database& database) {
    return done(save_key_pair(&database, context_->box.get(), pair.value()));
  });
}

Answer<std::string> Kmip::certificate_request() {
  std::string request;
  const Status status = context_->db->read([&](Database& database) -> Status {
    REWRAP_ASSIGN(Query query, database.query("SELECT request FROM kmip_key_pair"));
    REWRAP_ASSIGN(const bool found, query.next());
    if (found) request = query.text();
    return {};
  });
  if (!status.ok()) return status;
  if (!request.empty()) return request;
  return Failure{Reason::kNoKeyPair,
                 Status(Errc::kNotFound, "there is no key pair for KMIP", "make one first")};
}

Answer<KmipProvider> Kmip::create_provider(const std::string& name, const Caller& caller) {
  if (name.empty() || name.size() > kMaxNameLen) {
    return Status(Errc::kInvalidArgument, "a key provider's name is 1 to 255 characters long");
  }
  std::int64_t id = 0;
  REWRAP_ANSWER(
      [[maybe_unused]] const Done done,
      change(context_, caller, "kmip.provider.create", "key provider " + name,
             [&](Database& database) -> Answer<Done> {
               REWRAP_TRY(database.run("INSERT INTO kmip_providers(name) VALUES(?)", name));
               id = database.last_id();
               return Done{};
             }));
  return provider(id);
}

Answer<Done> Kmip::delete_provider(std::int64_t id, const Caller& caller) {
  REWRAP_ANSWER([[maybe_unused]] const KmipProvider found, provider(id));
  return change(context_, caller, "kmip.provider.delete", name_of("key provider", id),
                [&](Database& database) -> Answer<Done> {
                  REWRAP_ANSWER([[maybe_unused]] const Done deletable,
                                check_deletable(context_, &database, id));
                  REWRAP_TRY(database.run(
                      "UPDATE kmip_servers SET provider_id = NULL WHERE provider_id = ?", id));
                  return done(database.run("DELETE FROM kmip_providers WHERE id = ?", id));
                });
}

Answer<KmipProvider> Kmip::provider(std::int64_t id) {
  REWRAP_ANSWER(const std::vector<KmipProvider> all, providers(std::nullopt, std::nullopt));
  for (const KmipProvider& provider : all) {
    if (provider.id == id) return provider;
  }
  return no_such_provider();
}

Answer<std::vector<KmipProvider>> Kmip::providers(std::optional<bool> active,
                                                  std::optional<bool> has_server) {
  std::vector<KmipProvider> list;
  const Status status = context_->db->read([&](Database& database) -> Status {
    REWRAP_ASSIGN(list, list_providers(&database));
    for (KmipProvider& provider : list) {
      REWRAP_ASSIGN(provider.is_active, is_active(context_, &database, provider.id));
    }
    return {};
  });
  if (!status.ok()) return status;
  std::erase_if(list, [&](const KmipProvider& provider) {
    return (active && provider.is_active != *active) ||
           (has_server && provider.server_ids.empty() == *has_server);
  });
  return list;
}

Answer<Done> Kmip::test_provider(std::int64_t id) {
  REWRAP_ANSWER(const KmipProvider found, provider(id));
  if (found.server_ids.empty()) {
    return Failure{
        Reason::kProviderHasNoServer,
        Status(Errc::kNotFound, "the key provider has no key server", "assign one to it")};
  }
  return test_server(found.server_ids.front());
}

Answer<KmipServer> Kmip::create_server(const KmipServerSettings& settings, const Caller& caller) {
  KmipServer made;
  made.name = settings.name.value_or("");
  made.hosts = settings.hosts.value_or(std::vector<std::string>());
  made.port = settings.port.value_or(kKmipPort);
  made.ca_pem = settings.ca_pem.value_or("");
  made.certificate_pem = settings.certificate_pem.value_or("");
  if (const auto failure = check_server(context_, made)) return *failure;
  REWRAP_ANSWER(
      [[maybe_unused]] const Done done,
      change(context_, caller, "kmip.server.create", "key server " + made.name,
             [&](Database& database) -> Answer<Done> {
               REWRAP_TRY(database.run(
                   "INSERT INTO kmip_servers(name, provider_id, port, ca_pem,"
                   " certificate_pem) VALUES(?, NULL, ?, ?, ?)",
                   made.name, std::int64_t{made.port}, made.ca_pem, made.certificate_pem));
               made.id = database.last_id();
               return done(write_hosts(database, made));
             }));
  return server(made.id);
}

Answer<KmipServer> Kmip::modify_server(std::int64_t id, const KmipServerSettings& settings,
                                       const Caller& caller) {
  REWRAP_ANSWER(KmipServer changed, server(id));
  if (!settings.name && !settings.hosts && !settings.port && !settings.ca_pem &&
      !settings.certificate_pem) {
    return changed;
  }
  if (settings.name) changed.name = *settings.name;
  if (settings.hosts) changed.hosts = *settings.hosts;
  if (settings.port) changed.port = *settings.port;
  if (settings.ca_pem) changed.ca_pem = *settings.ca_pem;
  if (settings.certificate_pem) changed.certificate_pem = *settings.certificate_pem;
  if (const auto failure = check_server(context_, changed)) return *failure;
  REWRAP_ANSWER([[maybe_unused]] const Done connected, connect(context_, changed));
  REWRAP_ANSWER([[maybe_unused]] const Done done,
                change(context_, caller, "kmip.server.modify", name_of("key server", id),
                       [&](Database& database) -> Answer<Done> {
                         REWRAP_TRY(
                             database.run("UPDATE kmip_servers SET name = ?, port = ?, ca_pem = ?,"
                                          " certificate_pem = ? WHERE id = ?",
                                          changed.name, std::int64_t{changed.port}, changed.ca_pem,
                                          changed.certificate_pem, id));
                         return done(write_hosts(database, changed));
                       }));
  return server(id);
}

Answer<Done> Kmip::delete_server(std::int64_t id, const Caller& caller) {
  return change(context_, caller, "kmip.server.delete", name_of("key server", id),
                [&](Database& database) -> Answer<Done> {
                  REWRAP_ANSWER([[maybe_unused]] const Done removable,
                                check_removable(context_, &database, id));
                  return done(database.run("DELETE FROM kmip_servers WHERE id = ?", id));
                });
}

Answer<KmipServer> Kmip::server(std::int64_t id) {
  REWRAP_ANSWER(const std::vector<KmipServer> all, all_servers(context_));
  for (const KmipServer& server : all) {
    if (server.id == id) return server;
  }
  return no_such_server();
}

Answer<std::vector<KmipServer>> Kmip::servers(std::optional<std::int64_t> provider_id,
                                              std::optional<bool> provider_is_active,
                                              std::optional<bool> is_assigned) {
  REWRAP_ANSWER(std::vector<KmipServer> list, all_servers(context_));
  std::erase_if(list, [&](const KmipServer& server) {
    return (provider_id && server.provider_id != provider_id) ||
           (provider_is_active && server.provider_is_active != provider_is_active) ||
           (is_assigned && server.provider_id.has_value() != *is_assigned);
  });
  return list;
}

Answer<Done> Kmip::test_server(std::int64_t id) {
  REWRAP_ANSWER(const KmipServer found, server(id));
  return connect(context_, found);
}

Answer<Done> Kmip::add_server(std::int64_t provider_id, std::int64_t server_id,
                              const Caller& caller) {
  REWRAP_ANSWER([[maybe_unused]] const KmipProvider to, provider(provider_id));
  REWRAP_ANSWER(const KmipServer found, server(server_id));
  if (found.provider_id == provider_id) return Done{};
  REWRAP_ANSWER(const std::vector<KmipServer> servers, all_servers(context_));
  REWRAP_ANSWER([[maybe_unused]] const Done free,
                check_assignable(servers, provider_id, server_id));
  REWRAP_ANSWER([[maybe_unused]] const Done connected, connect(context_, found));
  return change(context_, caller, "kmip.server.assign", name_of("key server", server_id),
                [&](Database& database) -> Answer<Done> {
                  REWRAP_ASSIGN(const std::vector<KmipServer> now, list_servers(&database));
                  REWRAP_ANSWER([[maybe_unused]] const Done still_free,
                                check_assignable(now, provider_id, server_id));
                  return done(database.run("UPDATE kmip_servers SET provider_id = ? WHERE id = ?",
                                           provider_id, server_id));
                });
}

Answer<Done> Kmip::remove_server(std::int64_t server_id, const Caller& caller) {
  REWRAP_ANSWER(const KmipServer found, server(server_id));
  if (!found.provider_id) return Done{};
  return change(context_, caller, "kmip.server.unassign", name_of("key server", server_id),
                [&](Database& database) -> Answer<Done> {
                  REWRAP_ANSWER([[maybe_unused]] const Done removable,
                                check_removable(context_, &database, server_id));
                  return done(database.run(
                      "UPDATE kmip_servers SET provider_id = NULL WHERE id = ?", server_id));
                });
}

}  // namespace rewrap
