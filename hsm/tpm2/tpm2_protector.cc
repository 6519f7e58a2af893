// Making and reading protectors of the TPM root.
#include "hsm/tpm2/tpm2_protector.h"

#include <utility>

#include "hsm/secret_file.h"
#include "hsm/tpm2/seal.h"

namespace rewrap {

Result<SecretBuffer> read_tpm_pin(const Tpm2Uri& uri) {
  if (uri.pin_file.empty()) return SecretBuffer();
  REWRAP_ASSIGN(SecretBuffer pin, read_pin_file(uri.pin_file));
  REWRAP_TRY(check_pin(std::as_const(pin).expose_secret()));
  return pin;
}

Result<SealedBlob> terms_now(Tpm& tpm, const Parent& parent, const Tpm2Uri& uri) {
  SealedBlob terms;
  terms.parent_name = parent.name;
  terms.needs_pin = !uri.pin_file.empty();
  terms.pcrs = uri.pcrs;
  REWRAP_ASSIGN(terms.pcr_values, tpm.read_pcrs(uri.pcrs));
  return terms;
}

Result<Protector> make_protector(const std::string& uri, const SealedBlob& blob, ByteView kek,
                                 ByteView context) {
  if (!is_aes_key_len(kek.size()))
    return Status(Errc::kInvalidArgument, "a KEK has 16, 24 or 32 bytes");
  Protector protector;
  protector.root_uri = uri;
  protector.mechanism = Mechanism::kTpm2Seal;
  protector.key_ref = "tpm2-parent=" + encode_hex(blob.parent_name);
  if (blob.counter != 0)
    protector.key_ref += std::string(kCounterField) + std::to_string(blob.counter);
  protector.blob = encode_sealed_blob(blob);
  REWRAP_ASSIGN(protector.check, check_value(kek, protector, context));
  const bool stores = decode_protector(encode_protector(protector)).ok();
  if (!stores || !decode_sealed_blob(protector.blob).ok()) {
    return Status(Errc::kInvalidArgument, "the root's URI or the sealed KEK is too long to store",
                  "use a shorter URI");
  }
  return protector;
}

Result<SealedBlob> sealed_blob_of(const Protector& protector) {
  if (protector.mechanism != Mechanism::kTpm2Seal) {
    return Status(Errc::kUnsupported,
                  "the protector was made by a mechanism that this root does not know",
                  "open it with a URI of the root that made it");
  }
  return decode_sealed_blob(protector.blob);
}

}  // namespace rewrap
