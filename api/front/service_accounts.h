// The accounts of the real service, for the backends of all front ends.
#ifndef REWRAP_API_FRONT_SERVICE_ACCOUNTS_H_
#define REWRAP_API_FRONT_SERVICE_ACCOUNTS_H_

#include <memory>
#include <string_view>

#include "api/front/accounts_backend.h"
#include "api/service/service.h"

namespace rewrap {

// ServiceAccounts forwards what a backend asks about accounts; `Base` is AccountsBackend, or an
// interface above it. `service` must outlive it. Any thread.
template <typename Base>
class ServiceAccounts : public Base {
 public:
  explicit ServiceAccounts(Service* service) : service_(service) {}

  Answer<Account> log_in(std::string_view name, ByteView password) override {
    return service_->accounts().log_in(name, password);
  }
  Answer<Account> log_in_certificate(std::string_view common_name) override {
    return service_->accounts().log_in_certificate(common_name);
  }
  bool is_allowed(Role role, Permission permission) override { return may(role, permission); }
  Status audit(const AuditEvent& event) override {
    AuditLog* log = service_->audit();
    return log == nullptr ? Status() : log->append(event);
  }

 protected:
  Service* service_;
};

// service_accounts is for a front end that needs nothing else to be exchanged in tests.
std::unique_ptr<AccountsBackend> service_accounts(Service* service);

}  // namespace rewrap

#endif  // REWRAP_API_FRONT_SERVICE_ACCOUNTS_H_
