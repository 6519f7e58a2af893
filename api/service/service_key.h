// The service key's protector in the service's database. Any thread.
#ifndef REWRAP_API_SERVICE_SERVICE_KEY_H_
#define REWRAP_API_SERVICE_SERVICE_KEY_H_

#include <memory>
#include <optional>
#include <string_view>

#include "api/service/secret_box.h"
#include "api/service/service_db.h"
#include "hsm/protector.h"
#include "hsm/root.h"

namespace rewrap {

// What the audit log's key is derived for (SecretBox::derive).
inline constexpr std::string_view kAuditKeyPurpose = "audit log v1";

// read_service_key gives the protector; none if no service key was ever made. Errors: kCorruption
Result<std::optional<Protector>> read_service_key(ServiceDb* db);

// open_service_key opens the service key, or makes one in `root` at the first start.
Result<std::unique_ptr<SecretBox>> open_service_key(ServiceDb* db, Root* root);

}  // namespace rewrap

#endif  // REWRAP_API_SERVICE_SERVICE_KEY_H_
