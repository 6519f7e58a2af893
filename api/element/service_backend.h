// Backend by the real service.
#ifndef REWRAP_API_ELEMENT_SERVICE_BACKEND_H_
#define REWRAP_API_ELEMENT_SERVICE_BACKEND_H_

#include <memory>

#include "api/element/backend.h"
#include "api/service/service.h"

namespace rewrap::element {

// service_backend forwards each call; `service` must outlive it.
std::unique_ptr<Backend> service_backend(Service* service);

}  // namespace rewrap::element

#endif  // REWRAP_API_ELEMENT_SERVICE_BACKEND_H_
