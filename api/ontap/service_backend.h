// Backend by the real service.
#ifndef REWRAP_API_ONTAP_SERVICE_BACKEND_H_
#define REWRAP_API_ONTAP_SERVICE_BACKEND_H_

#include <memory>

#include "api/ontap/backend.h"
#include "api/service/service.h"

namespace rewrap::ontap {

// service_backend forwards each call; `service` must outlive it.
std::unique_ptr<Backend> service_backend(Service* service);

}  // namespace rewrap::ontap

#endif  // REWRAP_API_ONTAP_SERVICE_BACKEND_H_
