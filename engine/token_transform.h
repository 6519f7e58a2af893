// Transforms whose far end is somebody else's key, perhaps inside a token: how DEKs come in and go
// out. The near end is a KEK of ours, wherever that is (make_transform.h).
#ifndef REWRAP_ENGINE_TOKEN_TRANSFORM_H_
#define REWRAP_ENGINE_TOKEN_TRANSFORM_H_

#include <memory>

#include "engine/implementation.h"
#include "hsm/wrapping_key.h"

namespace rewrap {

// make_import_transform re-wraps from `key` (algorithm `from`) to `to`, in whichever way the key
// allows; where its bytes can be read, `key_value` holds them and `implementation` does the work.
// `key` must outlive the transform. Errors: kUnsupported if the key's access cannot serve: inside a
// token GCM wraps are not opened, and C_UnwrapKey opens RFC 3394 only. On their way to a KEK that
// keeps DEKs in its token they pass through locked memory here.
Result<std::unique_ptr<Transform>> make_import_transform(const Implementation& implementation,
                                                         WrappingKey* key, const Kek* key_value,
                                                         WrapAlgorithm from, WrapSide to,
                                                         std::size_t dek_len);

// make_export_transform re-wraps from `from` to `key` (algorithm `to`, KW or KWP). Errors: as
// above; kRefused if DEKs would leave a token that is there to keep them.
Result<std::unique_ptr<Transform>> make_export_transform(const Implementation& implementation,
                                                         WrappingKey* key, const Kek* key_value,
                                                         WrapSide from, WrapAlgorithm to,
                                                         std::size_t dek_len);

}  // namespace rewrap

#endif  // REWRAP_ENGINE_TOKEN_TRANSFORM_H_
