// A protector is the record from which a root gives a KEK back: what is stored beside the wrapped
// DEKs. Nothing in it is secret. Plain data, any thread.
#ifndef REWRAP_HSM_PROTECTOR_H_
#define REWRAP_HSM_PROTECTOR_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "engine/base/bytes.h"
#include "engine/base/secret_buffer.h"
#include "engine/base/status.h"

namespace rewrap {

// Mechanism is how the root guards the KEK. The values are stored: never renumber.
enum class Mechanism : std::uint8_t {
  kAesKeyWrap = 1,  // RFC 3394, PKCS#11 CKM_AES_KEY_WRAP
  kAesGcm = 2,      // AES-GCM under the root key: IV (12 bytes), ciphertext, tag (16 bytes)
  kRsaOaep = 3,     // RSAES-OAEP (RFC 8017) with SHA-1 and MGF1-SHA1, to the root's RSA key
  kTpm2Seal = 4,    // a sealed data object of a TPM 2.0
  kTokenKey = 5,    // the KEK is itself a key of the token, and stays there
  kAwsKms = 6,      // a ciphertext of AWS KMS, the context in its EncryptionContext
};

// mechanism_name gives the standard's name, e.g. "AES-KW (RFC 3394)".
const char* mechanism_name(Mechanism mechanism);

// root_keeps_state says whether a root itself keeps something for each protector of this mechanism,
// which Root::destroy then has to remove. Elsewhere the blob is all there is of a KEK.
constexpr bool root_keeps_state(Mechanism mechanism) { return mechanism == Mechanism::kTokenKey; }

// is_aes_key_len says whether a KEK may have `len` bytes.
constexpr bool is_aes_key_len(std::size_t len) { return len == 16 || len == 24 || len == 32; }

inline constexpr std::string_view kCounterField = ";counter=";

struct Protector {
  std::string root_uri;  // as given by the operator; never holds a PIN
  Mechanism mechanism = Mechanism::kAesKeyWrap;
  // Which root key, in the root's own terms: token serial, label and id. A TPM's counter is named at
  // the end, behind kCounterField.
  std::string key_ref;
  Bytes blob;    // the KEK, wrapped under the root key
  Bytes canary;  // a throwaway key, wrapped likewise: tells "wrong root" from "damaged blob"
  std::array<std::uint8_t, 16> check{};  // check_value() of the KEK and the context it was made for
};

// counter_of names the counter at one value of which alone the protector opens: equal for protectors
// that one Root::activate makes valid or dead together. Empty if there is none. It is that root's own
// name, so protectors of two TPMs may have counters of one name. Views into `protector`.
std::string_view counter_of(const Protector& protector);

// Limits on what encode_protector takes and decode_protector accepts, in bytes.
inline constexpr std::size_t kMaxRootUriLen = 2048;
inline constexpr std::size_t kMaxKeyRefLen = 512;
inline constexpr std::size_t kMaxBlobLen =
    6144;  // an AWS KMS ciphertext, the largest that any root makes

// encode_protector and decode_protector give and take the stored form: length-prefixed fields,
// big-endian.
// encode: empty, which does not decode, if a field is over its limit; roots never make such a one.
// decode: kCorruption if it is not exactly one protector.
Bytes encode_protector(const Protector& protector);
Result<Protector> decode_protector(ByteView stored);

// check_value binds a KEK to its protector and to `context` (keyset and version, chosen by the
// caller): the first 16 bytes of HMAC-SHA256 under HKDF-SHA256(KEK, "rewrap protector check v1")
// over the context, the mechanism, the key reference and the blob. Compared with secrets_equal
// after every unwrap, so that protectors cannot be exchanged.
// Errors: kInternal if OpenSSL fails.
Result<std::array<std::uint8_t, 16>> check_value(ByteView kek, const Protector& protector,
                                                 ByteView context);

}  // namespace rewrap

#endif  // REWRAP_HSM_PROTECTOR_H_
