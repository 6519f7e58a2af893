// Chooses the root by the URI's scheme.
#include "hsm/root.h"

#include <string_view>

#include "hsm/file/file_root.h"
#include "hsm/pkcs11/pkcs11_root.h"

namespace rewrap {
namespace {

enum class Scheme { kFile, kPkcs11, kLater, kUnknown };

Scheme scheme_of(std::string_view uri) {
  if (uri.starts_with("pkcs11:")) return Scheme::kPkcs11;
  if (uri.starts_with("file:")) return Scheme::kFile;
  for (const std::string_view later : {"tpm2:", "awskms:", "kmip:"}) {
    if (uri.starts_with(later)) return Scheme::kLater;
  }
  return Scheme::kUnknown;
}

Status no_such_scheme(Scheme scheme) {
  if (scheme == Scheme::kLater) {
    return {Errc::kUnsupported, "this kind of root is not in this version", "use a pkcs11: root"};
  }
  return {Errc::kInvalidArgument, "the root's URI has an unknown scheme",
          "known schemes: pkcs11: (a token), file: (development only)"};
}

Status check_uri(const std::string& uri) {
  if (uri.size() <= kMaxRootUriLen) return {};
  return {Errc::kInvalidArgument, "the root's URI is longer than 2048 bytes"};
}

Status stays_on_host() {
  return {Errc::kUnsupported, "this kind of root holds no KEKs of its own",
          "use --custody host, or a pkcs11: root"};
}

}  // namespace

Result<Protector> Root::protect(const SecretBuffer& /*kek*/, ByteView /*context*/) {
  return Status(Errc::kUnsupported, "this kind of root does not take a KEK that exists already");
}

Result<ProtectedTokenKek> Root::create_in_token(TokenCustody /*custody*/, std::size_t /*kek_len*/,
                                                ByteView /*context*/) {
  return stays_on_host();
}

Result<std::shared_ptr<TokenKek>> Root::open_in_token(const Protector& /*protector*/,
                                                      ByteView /*context*/) {
  return stays_on_host();
}

Status Root::activate(const Protector& /*protector*/) { return {}; }

Result<std::unique_ptr<Root>> open_root(const std::string& uri, const RootOptions& options) {
  REWRAP_TRY(check_uri(uri));
  const Scheme scheme = scheme_of(uri);
  if (scheme == Scheme::kFile) return open_file_root(uri, options);
  if (scheme == Scheme::kPkcs11) return open_pkcs11_root(uri, options, KeyNeed::kUsable);
  return no_such_scheme(scheme);
}

Result<std::unique_ptr<Root>> open_root_for_probe(const std::string& uri,
                                                  const RootOptions& options) {
  REWRAP_TRY(check_uri(uri));
  const Scheme scheme = scheme_of(uri);
  if (scheme == Scheme::kFile) return open_file_root(uri, options);
  if (scheme == Scheme::kPkcs11) return open_pkcs11_root(uri, options, KeyNeed::kNone);
  return no_such_scheme(scheme);
}

Status create_root_key(const std::string& uri, const RootOptions& options) {
  REWRAP_TRY(check_uri(uri));
  const Scheme scheme = scheme_of(uri);
  if (scheme == Scheme::kFile) return create_file_root_key(uri, options);
  if (scheme == Scheme::kPkcs11) return create_pkcs11_root_key(uri, options);
  return no_such_scheme(scheme);
}

}  // namespace rewrap
