// AES-GCM wraps by OpenSSL's EVP interface, one key after another (SP 800-38D; the record is that
// of wrap_algorithm.h).
#ifndef REWRAP_ENGINE_OPENSSL_GCM_H_
#define REWRAP_ENGINE_OPENSSL_GCM_H_

#include <memory>

#include "engine/transform.h"

namespace rewrap {

// make_openssl_gcm makes the transforms that have one side, and that GCM: wrap, unwrap and check.
// Key i of a run is wrapped with invocation number first + i of its IvSource. The expanded key
// lives in OpenSSL's heap until the transform is destroyed, and is wiped then.
// Errors: kInvalidArgument  the spec is not valid, has two sides, or its side is not GCM
Result<std::unique_ptr<Transform>> make_openssl_gcm(const TransformSpec& spec);

}  // namespace rewrap

#endif  // REWRAP_ENGINE_OPENSSL_GCM_H_
