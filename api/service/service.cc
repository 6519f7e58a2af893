// Putting the service together, and taking it apart.
#include "api/service/service.h"

#include "api/service/context.h"
#include "api/service/service_key.h"
#include "rekey/rekey.h"

namespace rewrap {
namespace {

Result<std::unique_ptr<SecretBox>> open_box(const ServiceOptions& options, ServiceDb* db) {
  if (options.service_root_uri.empty()) return std::unique_ptr<SecretBox>();
  REWRAP_ASSIGN(const auto root, options.access.open(options.service_root_uri, options.root));
  return open_service_key(db, root.get());
}

Result<std::unique_ptr<AuditLog>> open_audit(const ServiceOptions& options, const SecretBox* box) {
  if (options.audit_file.empty()) return std::unique_ptr<AuditLog>();
  SecretBuffer key;
  if (box != nullptr) {
    REWRAP_ASSIGN(key, box->derive(kAuditKeyPurpose));
  }
  return AuditLog::open(options.audit_file, std::move(key));
}

}  // namespace

Result<std::unique_ptr<Service>> Service::open(ServiceOptions options) {
  if (options.threads == 0 || options.threads > kMaxThreads || options.max_running_jobs == 0) {
    return Status(Errc::kInvalidArgument,
                  "a service runs jobs one at a time at least, on 1 to 256 threads each");
  }
  auto context = std::make_unique<ServiceContext>();
  context->options = std::move(options);
  const ServiceOptions& given = context->options;
  REWRAP_ASSIGN(context->implementation, choose_implementation(given.implementation));
  REWRAP_ASSIGN(context->store, open_store(given.store_directory, OpenMode::kCreate));
  // Before anything is made: two services that start at once would make two service keys.
  REWRAP_ASSIGN(RunnerLock lock, RunnerLock::acquire(given.store_directory));
  REWRAP_ASSIGN(context->db, ServiceDb::open(given.store_directory));
  REWRAP_ASSIGN(context->box, open_box(given, context->db.get()));
  REWRAP_ASSIGN(context->audit_log, open_audit(given, context->box.get()));
  context->roots = std::make_unique<RootResolver>(given.root, given.access, context->db.get(),
                                                  context->box.get());
  RunnerParts parts;
  parts.store = context->store.get();
  parts.db = context->db.get();
  parts.roots = context->roots.get();
  parts.implementation = context->implementation;
  parts.audit = context->audit_log.get();
  parts.threads = given.threads;
  parts.max_running = given.max_running_jobs;
  REWRAP_ASSIGN(context->runner, JobRunner::start(parts, std::move(lock)));
  return std::unique_ptr<Service>(new Service(std::move(context)));
}

Service::Service(std::unique_ptr<ServiceContext> context) : context_(std::move(context)) {}

Service::~Service() { stop(); }

void Service::stop() { context_->runner->stop(); }

Jobs& Service::jobs() { return context_->jobs; }
Keysets& Service::keysets() { return context_->keysets; }
AwsKms& Service::aws_kms() { return context_->aws_kms; }
Kmip& Service::kmip() { return context_->kmip; }
Element& Service::element() { return context_->element; }
Nodes& Service::nodes() { return context_->nodes; }
Accounts& Service::accounts() { return context_->accounts; }
AuditLog* Service::audit() { return context_->audit_log.get(); }

Status Service::is_ready() {
  REWRAP_TRY(context_->store->snapshot().status());
  return context_->db->read([](Database& database) -> Status {
    REWRAP_ASSIGN(Query query, database.query("SELECT count(*) FROM cluster"));
    return query.next().status();
  });
}

}  // namespace rewrap
