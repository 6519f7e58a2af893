// The service: every operation of the daemon as a typed function, without sockets, HTTP or JSON. The
// front ends (ONTAP REST, Element JSON-RPC, native REST) translate to it; the command line uses
// parts of it.
//
//   front end -> Service::jobs(), keysets(), aws_kms(), kmip(), element(), nodes(), accounts()
//                   |                     \-> rekey/ (store, rekey, verify, census, gate)
//                   +-> service.db: what must survive; JobRunner: threads that do the jobs
//
// Thread rules: every function of every part may be called from any thread at once. Those whose
// comment says that they ask a root, AWS or a server can block for seconds; the others for a few
// milliseconds. None may be called from within a callback of Jobs::on_finished.
#ifndef REWRAP_API_SERVICE_SERVICE_H_
#define REWRAP_API_SERVICE_SERVICE_H_

#include <cstdint>
#include <memory>
#include <string>

#include "api/service/accounts.h"
#include "api/service/audit_log.h"
#include "api/service/aws_kms.h"
#include "api/service/element.h"
#include "api/service/jobs.h"
#include "api/service/keysets.h"
#include "api/service/kmip.h"
#include "api/service/nodes.h"
#include "api/service/root_access.h"
#include "engine/base/status.h"

namespace rewrap {

struct ServiceOptions {
  std::string store_directory;
  RootOptions root;  // for every root; its `stop` and `on_token_lost` are the service's own
  RootAccess access;

  // The root that guards the service key, under which secrets are stored and the audit log is keyed.
  // Empty: no secrets can be stored (kNoServiceKey), and the audit log has plain digests.
  std::string service_root_uri;

  std::string admin_keyset;       // ONTAP's admin SVM; empty: none
  std::string element_keyset;     // empty: Element's encryption at rest is disabled
  std::string internal_root_uri;  // Element's internal key management

  std::string cluster_name = "rewrap";
  std::string node_name = "rewrap-01";

  unsigned threads = 1;           // compute threads of each job
  unsigned max_running_jobs = 2;  // more are queued
  double default_rate = 0;        // DEKs per second of each new rekey; 0: no limit
  std::string implementation;     // empty: the best
  std::string audit_file;         // empty: no audit log
};

struct ServiceContext;

class Service {
 public:
  // open opens the store and the service's database (made if there is none), the service key, the
  // audit log, and goes on with every job that was queued or running. One service per store.
  // Errors: kConflict    another service works on this store
  //         kCorruption  the database is damaged; the hint says what to do
  //         kUnsupported the database is of a newer version
  //         the store's and the service root's own
  static Result<std::unique_ptr<Service>> open(ServiceOptions options);

  // The destructor stops as stop() does.
  ~Service();
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;

  // stop ends every running job between two commits, so that it goes on at the next start, calls
  // pending callbacks, and waits for its threads. Idempotent.
  void stop();

  [[nodiscard]] Jobs& jobs();
  [[nodiscard]] Keysets& keysets();
  [[nodiscard]] AwsKms& aws_kms();
  [[nodiscard]] Kmip& kmip();
  [[nodiscard]] Element& element();
  [[nodiscard]] Nodes& nodes();
  [[nodiscard]] Accounts& accounts();
  [[nodiscard]] AuditLog* audit();  // null if there is none

  // is_ready says whether the store and the database answer (/readyz). Does not ask roots.
  Status is_ready();

 private:
  explicit Service(std::unique_ptr<ServiceContext> context);
  std::unique_ptr<ServiceContext> context_;
};

}  // namespace rewrap

#endif  // REWRAP_API_SERVICE_SERVICE_H_
