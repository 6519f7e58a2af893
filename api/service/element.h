// Software encryption at rest as Element has it: one master key, which is the current KEK of one
// keyset (ServiceOptions::element_keyset). Asynchronous results are jobs, their handle is
// Job::handle. Any thread.
#ifndef REWRAP_API_SERVICE_ELEMENT_H_
#define REWRAP_API_SERVICE_ELEMENT_H_

#include <cstdint>
#include <optional>
#include <string>

#include "api/service/answer.h"
#include "api/service/jobs.h"
#include "api/service/keysets.h"

namespace rewrap {

struct SoftwareEncryption {
  std::string keyset;                        // the configured one; empty: none
  bool enabled = false;                      // a keyset is configured, and exists
  std::optional<KeyInfo> master_key;         // the current KEK
  std::optional<std::int64_t> rekey_handle;  // running or latest rekey, unless it was purged
};

// The two keys of a rekey, for the result and the details of a running one. new_key is absent until
// it is made. Known also after the old one is destroyed.
struct RekeyKeys {
  KeyInfo key_to_decommission;
  std::optional<KeyInfo> new_key;
  bool moves = false;  // from one management or provider to another
};

class Element {
 public:
  explicit Element(ServiceContext* context) : context_(context) {}

  // Reasons: none; a front end without a keyset is "disabled"
  Answer<SoftwareEncryption> info();

  // rekey makes a new master key: where the present one is (no management), internally (the root
  // ServiceOptions::internal_root_uri), or at a provider. Asks the present root; whether the new one
  // answers shows in the job.
  // Reasons: kNotEnabled, kNoSuchProvider, kInvalidInput (a provider is needed, or must not be
  //          there), kRootBlocked; and a rekey that runs already is given with is_new = false
  Answer<JobStart> rekey(std::optional<KeyManagement> management,
                         std::optional<std::int64_t> provider_id, const Caller& caller);

  // keys_of gives the keys of a rekey job. Reasons: kNoSuchKey
  Answer<RekeyKeys> keys_of(const Job& job);

 private:
  ServiceContext* context_;
};

}  // namespace rewrap

#endif  // REWRAP_API_SERVICE_ELEMENT_H_
