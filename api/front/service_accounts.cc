// Forwarding to the service.
#include "api/front/service_accounts.h"

namespace rewrap {
namespace {

class ServiceAccounts : public AccountsBackend {
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

 private:
  Service* service_;
};

}  // namespace

std::unique_ptr<AccountsBackend> service_accounts(Service* service) {
  return std::make_unique<ServiceAccounts>(service);
}

}  // namespace rewrap
