// Exchange with tpm2-tools.
#include "hsm/tpm2/blob_file.h"

#include <unistd.h>

#include <cerrno>
#include <fstream>

#include "hsm/secret_file.h"
#include "hsm/tpm2/seal.h"
#include "hsm/tpm2/tpm2_protector.h"

namespace rewrap {
namespace {

constexpr std::size_t kMaxFileLen = 2048;  // the two together fit into a protector

Status write_one(const std::string& path, ByteView content) {
  const Status status = write_key_file(path, content);
  if (status.code() != Errc::kAlreadyExists) return status;
  return {Errc::kAlreadyExists, "a file of a sealed KEK exists",
          "name another, or remove it first"};
}

Result<Bytes> read_one(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    return Status::from_errno(errno, "open", "a file of the sealed KEK cannot be opened",
                              "tpm2_create -u NAME.pub -r NAME.priv makes both");
  }
  std::string content(kMaxFileLen + 1, '\0');
  file.read(content.data(), static_cast<std::streamsize>(content.size()));
  if (file.bad()) return Status(Errc::kIo, "a file of the sealed KEK cannot be read");
  if (!file.eof()) {
    return Status(Errc::kInvalidArgument, "a file of the sealed KEK is too long to be one",
                  "name what tpm2_create made with -u and -r");
  }
  const ByteView bytes = as_bytes(content).first(static_cast<std::size_t>(file.gcount()));
  return Bytes(bytes.begin(), bytes.end());
}

// in_import gives the failure the words for a caller who does not know where the files come from.
Status in_import(const Status& status) {
  if (status.code() != Errc::kIntegrity) return status;
  return {Errc::kDenied, "the sealed object does not load: sealed under another parent, or damaged",
          "check handle= in the URI, and which TPM this is"};
}

}  // namespace

Result<SealedFiles> export_sealed(const Protector& protector) {
  REWRAP_ASSIGN(SealedBlob blob, sealed_blob_of(protector));
  return SealedFiles{.pub = std::move(blob.pub), .priv = std::move(blob.priv)};
}

Status write_sealed(const std::string& prefix, const SealedFiles& files) {
  const std::string pub = prefix + ".pub";
  REWRAP_TRY(write_one(pub, files.pub));
  Status status = write_one(prefix + ".priv", files.priv);
  if (!status.ok()) unlink(pub.c_str());
  return status;
}

Result<SealedFiles> read_sealed(const std::string& prefix) {
  SealedFiles files;
  REWRAP_ASSIGN(files.pub, read_one(prefix + ".pub"));
  REWRAP_ASSIGN(files.priv, read_one(prefix + ".priv"));
  return files;
}

Result<ProtectedKek> import_sealed(const std::string& uri, const SealedFiles& files,
                                   ByteView context, const RootOptions& options) {
  REWRAP_ASSIGN(const Tpm2Uri parsed, parse_tpm2_uri(uri));
  if (parsed.counter != 0) {
    return Status(Errc::kInvalidArgument, "a sealed object cannot be imported with counter=",
                  "import it without, then reprotect it with counter=");
  }
  REWRAP_ASSIGN(const SecretBuffer pin, read_tpm_pin(parsed));
  REWRAP_ASSIGN(const auto tpm, Tpm::connect(parsed.tcti));
  REWRAP_ASSIGN(const Parent parent, find_parent(*tpm, parsed.handle));
  REWRAP_ASSIGN(SealedBlob blob, terms_now(*tpm, parent, parsed));
  blob.pub = files.pub;
  blob.priv = files.priv;
  REWRAP_TRY(in_import(check_sealed(*tpm, parent, blob)));
  const PinUse use = {.pin = pin.expose_secret(), .allow_final_try = options.allow_final_pin_try};
  auto kek = unseal(*tpm, parent, blob, use);
  if (!kek.ok()) return in_import(kek.status());
  ProtectedKek made;
  made.kek = std::move(kek).value();
  REWRAP_ASSIGN(made.protector, make_protector(uri, blob, made.kek.expose_secret(), context));
  return made;
}

}  // namespace rewrap
