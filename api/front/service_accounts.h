// The accounts of the real service, for a front end that needs nothing else to be exchanged in tests.
#ifndef REWRAP_API_FRONT_SERVICE_ACCOUNTS_H_
#define REWRAP_API_FRONT_SERVICE_ACCOUNTS_H_

#include <memory>

#include "api/front/accounts_backend.h"
#include "api/service/service.h"

namespace rewrap {

// service_accounts forwards each call; `service` must outlive it.
std::unique_ptr<AccountsBackend> service_accounts(Service* service);

}  // namespace rewrap

#endif  // REWRAP_API_FRONT_SERVICE_ACCOUNTS_H_
