// The one that is nothing else.
#include "api/front/service_accounts.h"

namespace rewrap {

std::unique_ptr<AccountsBackend> service_accounts(Service* service) {
  return std::make_unique<ServiceAccounts<AccountsBackend>>(service);
}

}  // namespace rewrap
