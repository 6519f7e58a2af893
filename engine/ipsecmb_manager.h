// What the parts of the ipsec-mb implementation share: the library's manager, which holds its
// functions for this CPU and the state of its jobs.
#ifndef REWRAP_ENGINE_IPSECMB_MANAGER_H_
#define REWRAP_ENGINE_IPSECMB_MANAGER_H_

#include <intel-ipsec-mb.h>

#include <memory>

#include "engine/base/secret_buffer.h"
#include "engine/base/status.h"
#include "engine/transform.h"

namespace rewrap::ipsecmb {

// functions gives a manager for calls that keep no state in it (key expansion, GCM), or null if the
// library may not be used (ipsecmb_runs). One for the process; any thread.
const IMB_MGR* functions();

// Manager is one for jobs, in locked memory because nobody promises that no key bytes pass through
// its queues. Belongs to one thread.
class Manager {
 public:
  // Errors: kUnsupported  the library may not be used here
  //         kExhausted    no locked memory
  static Result<std::unique_ptr<Manager>> create();

  Manager(const Manager&) = delete;
  Manager& operator=(const Manager&) = delete;
  ~Manager();

  [[nodiscard]] IMB_MGR* get() const { return manager_; }

 private:
  Manager(SecretBuffer memory, IMB_MGR* manager) : memory_(std::move(memory)), manager_(manager) {}

  SecretBuffer memory_;
  IMB_MGR* manager_;
};

// make_gcm makes a transform with one side, a GCM one, of a spec that is valid. Errors:
// kUnsupported, kExhausted as above.
Result<std::unique_ptr<Transform>> make_gcm(const TransformSpec& spec);

}  // namespace rewrap::ipsecmb

#endif  // REWRAP_ENGINE_IPSECMB_MANAGER_H_
