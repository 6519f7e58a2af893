// Chooses the root by the URI's scheme.
#include "hsm/root.h"

#include <string_view>

#include "hsm/awskms/awskms_root.h"
#include "hsm/file/file_root.h"
#include "hsm/kmip/kmip_root.h"
#include "hsm/pkcs11/pkcs11_root.h"
#include "hsm/tpm2/tpm2_root.h"

namespace rewrap {
namespace {

enum class Scheme { kFile, kPkcs11, kTpm2, kAwsKms, kKmip, kUnknown };

Scheme scheme_of(std::string_view uri) {
  if (uri.starts_with("pkcs11:")) return Scheme::kPkcs11;
  if (uri.starts_with("file:")) return Scheme::kFile;
  if (uri.starts_with("tpm2:")) return Scheme::kTpm2;
  if (uri.starts_with("awskms:")) return Scheme::kAwsKms;
  if (uri.starts_with("kmip:")) return Scheme::kKmip;
  return Scheme::kUnknown;
}

Status no_such_scheme() {
  return {Errc::kInvalidArgument, "the root's URI has an unknown scheme",
          "known schemes: pkcs11: (a token), tpm2: (a TPM 2.0), awskms: (AWS KMS), kmip: (a KMIP "
          "server), file: (development only)"};
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
  if (scheme == Scheme::kTpm2) return open_tpm2_root(uri, options, ParentNeed::kUsable);
  if (scheme == Scheme::kAwsKms) return open_awskms_root(uri, options, KmsKeyNeed::kUsable);
  if (scheme == Scheme::kKmip) return open_kmip_root(uri, KmipKeyNeed::kUsable);
  return no_such_scheme();
}

Result<std::unique_ptr<Root>> open_root_for_probe(const std::string& uri,
                                                  const RootOptions& options) {
  REWRAP_TRY(check_uri(uri));
  const Scheme scheme = scheme_of(uri);
  if (scheme == Scheme::kFile) return open_file_root(uri, options);
  if (scheme == Scheme::kPkcs11) return open_pkcs11_root(uri, options, KeyNeed::kNone);
  if (scheme == Scheme::kTpm2) return open_tpm2_root(uri, options, ParentNeed::kNone);
  if (scheme == Scheme::kAwsKms) return open_awskms_root(uri, options, KmsKeyNeed::kNone);
  if (scheme == Scheme::kKmip) return open_kmip_root(uri, KmipKeyNeed::kNone);
  return no_such_scheme();
}

Status create_root_key(const std::string& uri, const RootOptions& options, Mechanism* made) {
  REWRAP_TRY(check_uri(uri));
  const Scheme scheme = scheme_of(uri);
  Mechanism ignored{};
  if (made == nullptr) made = &ignored;
  *made = scheme == Scheme::kTpm2 ? Mechanism::kTpm2Seal : Mechanism::kAesKeyWrap;
  if (scheme == Scheme::kFile) return create_file_root_key(uri, options);
  if (scheme == Scheme::kPkcs11) return create_pkcs11_root_key(uri, options, made);
  if (scheme == Scheme::kTpm2) return create_tpm2_root_key(uri);
  if (scheme == Scheme::kAwsKms) {
    return {Errc::kUnsupported, "KMS keys are made and named by AWS, not from here",
            "run aws kms create-key, and put the ARN that it prints into the URI"};
  }
  if (scheme == Scheme::kKmip) return create_kmip_root_key(uri);
  return no_such_scheme();
}

Result<std::size_t> flush_root(const std::string& uri) {
  REWRAP_TRY(check_uri(uri));
  const Scheme scheme = scheme_of(uri);
  if (scheme == Scheme::kTpm2) return flush_leftovers(uri);
  if (scheme == Scheme::kFile || scheme == Scheme::kPkcs11 || scheme == Scheme::kAwsKms ||
      scheme == Scheme::kKmip) {
    return Status(Errc::kUnsupported, "this kind of root is left clean by itself");
  }
  return no_such_scheme();
}

}  // namespace rewrap
