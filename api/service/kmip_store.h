// KMIP providers, servers and the client's key pair as rows of the service's database.
#ifndef REWRAP_API_SERVICE_KMIP_STORE_H_
#define REWRAP_API_SERVICE_KMIP_STORE_H_

#include <optional>
#include <string>
#include <vector>

#include "api/service/database.h"
#include "api/service/kmip.h"
#include "api/service/secret_box.h"

namespace rewrap {

// What is_active means is for the caller, who knows the keysets: here it is false.
Result<std::vector<KmipProvider>> list_providers(Database* database);
Result<std::vector<KmipServer>> list_servers(Database* database);

struct KmipKeyPair {
  SecretBuffer private_key_pem;
  std::string request_pem;  // PKCS #10
  Bytes public_key;         // SubjectPublicKeyInfo, DER
};
// Errors: kNotFound there is none; kDenied there is no service key; kIntegrity
Result<KmipKeyPair> read_key_pair(Database* database, const SecretBox* box);
Status save_key_pair(Database* database, const SecretBox* box, const KmipKeyPair& pair);

}  // namespace rewrap

#endif  // REWRAP_API_SERVICE_KMIP_STORE_H_
