// What every front end asks of the service about accounts: the base of their backends. Any thread.
#ifndef REWRAP_API_FRONT_ACCOUNTS_BACKEND_H_
#define REWRAP_API_FRONT_ACCOUNTS_BACKEND_H_

#include <string_view>

#include "api/service/accounts.h"
#include "api/service/audit_log.h"

namespace rewrap {

class AccountsBackend {
 public:
  AccountsBackend() = default;
  AccountsBackend(const AccountsBackend&) = delete;
  AccountsBackend& operator=(const AccountsBackend&) = delete;
  virtual ~AccountsBackend() = default;

  virtual Answer<Account> log_in(std::string_view name, ByteView password) = 0;
  virtual Answer<Account> log_in_certificate(std::string_view common_name) = 0;
  virtual bool is_allowed(Role role, Permission permission) = 0;
  virtual Status audit(const AuditEvent& event) = 0;
};

}  // namespace rewrap

#endif  // REWRAP_API_FRONT_ACCOUNTS_BACKEND_H_
