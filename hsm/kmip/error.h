// Result Reasons of KMIP as Status: a code for the caller, the standard's name and number for the
// log. Pure, any thread.
#ifndef REWRAP_HSM_KMIP_ERROR_H_
#define REWRAP_HSM_KMIP_ERROR_H_

#include <cstdint>

#include "engine/base/status.h"
#include "hsm/kmip/protocol.h"

namespace rewrap {

// kmip_failure is the failure of an operation that the server answered with Operation Failed and this
// Result Reason (KMIP 1.2, 9.1.3.2.29). The server's own text is not passed on: it is for people who
// trust the server, and could hold anything.
Status kmip_failure(kmip::Operation operation, std::uint32_t reason);

// kmip_operation_name gives the standard's name, e.g. "Get Attributes".
Literal kmip_operation_name(kmip::Operation operation);

}  // namespace rewrap

#endif  // REWRAP_HSM_KMIP_ERROR_H_
