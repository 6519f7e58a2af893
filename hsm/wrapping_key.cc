// Chooses the kind of wrapping key by the URI's scheme.
#include "hsm/wrapping_key.h"

#include "hsm/file/file_wrapping_key.h"
#include "hsm/pkcs11/pkcs11_wrapping_key.h"

namespace rewrap {

Result<std::unique_ptr<WrappingKey>> open_wrapping_key(const std::string& uri, WrappingUse use,
                                                       const RootOptions& options) {
  if (uri.size() > kMaxRootUriLen)
    return Status(Errc::kInvalidArgument, "the key's URI is longer than 2048 bytes");
  if (uri.starts_with("file:")) return open_file_wrapping_key(uri);
  if (uri.starts_with("pkcs11:")) return open_pkcs11_wrapping_key(uri, use, options);
  return Status(Errc::kInvalidArgument, "the wrapping key's URI has an unknown scheme",
                "known schemes: pkcs11: (a key in a token), file: (a raw key)");
}

}  // namespace rewrap
