// A KEK as an object of its token: its names, how it is made, which attributes it must have, and the
// check key by which it is told from any other. Lengths are bytes. The functions take the session's
// thread; they may run as part of a Connection's operation, and again.
#ifndef REWRAP_HSM_PKCS11_TOKEN_KEY_H_
#define REWRAP_HSM_PKCS11_TOKEN_KEY_H_

#include <string>

#include "hsm/pkcs11/connection.h"
#include "hsm/protector.h"
#include "hsm/token_kek.h"

namespace rewrap {

// TokenKeyName is where a KEK is: what Protector::key_ref says of it.
struct TokenKeyName {
  std::string serial;  // the token's
  Bytes id;            // CKA_ID
  std::string label;   // CKA_LABEL, begins with kTokenKekPrefix
};

inline constexpr std::string_view kTokenKekPrefix = "rewrap-kek-";

std::string encode_key_ref(const TokenKeyName& name);

// decode_key_ref: kCorruption if it is not what encode_key_ref writes, or names a key that is not a
// KEK of ours: a changed store must not lead us to use, or destroy, some other key.
Result<TokenKeyName> decode_key_ref(const std::string& key_ref);

// generate_token_key makes an AES key of `len` bytes: a token object, PRIVATE, SENSITIVE, not
// EXTRACTABLE, not MODIFIABLE, with the two uses of `custody` and no other. What the token made is
// read back; a key with other attributes is destroyed again. A key of this name that is there
// already, from an attempt whose answer was lost, goes first.
// Errors: kUnsupported if the token does not make such a key, else what the token failed at
Status generate_token_key(Session& session, const TokenKeyName& name, TokenCustody custody,
                          std::size_t len);

// destroy_token_key removes the key.
// Errors: kNotFound  there is none, or the login was lost, which hides it
//         kConflict  there are several, which generate_token_key never made
Status destroy_token_key(Session& session, const TokenKeyName& name);
Status destroy_token_key(Session& session, CK_OBJECT_HANDLE key);

// find_token_key finds the KEK by its names; where several keys have them, as in a token that was
// restored into itself, the one that opens the protector's blob or its canary.
// Errors: kNotFound  there is none, or the login was lost
//         kDenied    several, none of which opens either
//         kConflict  several that do: the KEK is in the token more than once
Result<CK_OBJECT_HANDLE> find_token_key(Session& session, const TokenKeyName& name,
                                        const Protector& protector);

// TokenKeyKind is what a key's attributes allow.
struct TokenKeyKind {
  TokenCustody custody = TokenCustody::kInToken;
  std::size_t len = 0;
};

// read_kind reads the attributes.
// Errors: kRefused  the key can leave the token, or has uses of both families, or others
Result<TokenKeyKind> read_kind(Session& session, CK_OBJECT_HANDLE key);

// wrap_bytes and unwrap_bytes do RFC 3394 under the token key on a key of 16 to 64 bytes that is, or
// comes, outside; by C_WrapKey or by single blocks of ECB, as the custody has it. `first_step` as in
// unwrap_by_ecb, for kKekInToken only.
// Errors of unwrap_bytes: kIntegrity  it does not open, or the token gave a code that may mean so
Result<Bytes> wrap_bytes(Session& session, CK_OBJECT_HANDLE key, TokenCustody custody,
                         ByteView secret);
Result<SecretBuffer> unwrap_bytes(Session& session, CK_OBJECT_HANDLE key, TokenCustody custody,
                                  ByteView wrapped, KnownBlock* first_step = nullptr);

// unwrap_inside opens `wrapped` into a session key, a DEK that may leave only wrapped; or, if
// kReadable, as bytes. The token's type is AES for 16, 24 and 32 bytes, else generic secret.
// Errors: kIntegrity as unwrap_bytes
Result<SessionObject> unwrap_inside(Session& session, CK_OBJECT_HANDLE key, ByteView wrapped,
                                    Readability readability);

// generate_inside makes a random session key of `len` bytes that may leave only wrapped.
Result<SessionObject> generate_inside(Session& session, std::size_t len);

// wrap_inside wraps the session key `inside` into `out`, which it must fill exactly.
Status wrap_inside(Session& session, CK_OBJECT_HANDLE key, CK_OBJECT_HANDLE inside, ByteSpan out);

// TokenKey finds and proves one KEK of a token by its protector.
class TokenKey final : public ProvableKey {
 public:
  TokenKey(TokenKeyName name, TokenKeyKind kind, Protector protector, ByteView context)
      : name_(std::move(name)),
        kind_(kind),
        protector_(std::move(protector)),
        context_(context.begin(), context.end()) {}

  [[nodiscard]] const TokenKeyName& name() const { return name_; }
  [[nodiscard]] const TokenKeyKind& kind() const { return kind_; }

  // find gives a session copy where C_CopyObject works and the copy is as closed as the key.
  [[nodiscard]] Result<FoundKey> find(Session& session) const override;

  // prove opens the protector's blob and compares its check value. The known block is the first step
  // of that: the cipher block is in the store for all to see, the plain one tells nothing of the KEK.
  [[nodiscard]] Result<KnownBlock> prove(Session& session, CK_OBJECT_HANDLE handle) const override;

 private:
  TokenKeyName name_;
  TokenKeyKind kind_;
  Protector protector_;
  Bytes context_;
};

}  // namespace rewrap

#endif  // REWRAP_HSM_PKCS11_TOKEN_KEY_H_
