// The implementation `openssl`: every transform there is, on any CPU.
#ifndef REWRAP_ENGINE_OPENSSL_TRANSFORM_H_
#define REWRAP_ENGINE_OPENSSL_TRANSFORM_H_

#include <memory>

#include "engine/transform.h"

namespace rewrap {

// make_openssl serves every valid spec: KW and KWP step-sliced over EVP's AES-ECB, GCM by EVP, and
// where GCM is one of two sides both in a row (two_step.h). Errors: kInvalidArgument as validate;
// kExhausted, no locked memory.
Result<std::unique_ptr<Transform>> make_openssl(const TransformSpec& spec);

}  // namespace rewrap

#endif  // REWRAP_ENGINE_OPENSSL_TRANSFORM_H_
