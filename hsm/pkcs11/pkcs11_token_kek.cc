// TokenKek over a Connection.
#include "hsm/pkcs11/pkcs11_token_kek.h"

#include <algorithm>
#include <atomic>
#include <utility>

#include "hsm/pkcs11/ecb.h"
#include "hsm/pkcs11/error.h"
#include "hsm/pkcs11/token_key.h"

namespace rewrap {
namespace {

constexpr std::size_t kIdLen = 16;
constexpr std::size_t kCheckKeyLen = 32;
constexpr std::size_t kSemiblockLen = 8;
constexpr std::size_t kMinCallLen = 1024;
constexpr std::size_t kMinDekLen = 16;
constexpr std::size_t kMaxDekLen = 64;

bool is_dek_len(std::size_t len) {
  return len >= kMinDekLen && len <= kMaxDekLen && len % kSemiblockLen == 0;
}

bool is_wrap_of(std::size_t wrapped_len, std::size_t dek_len) {
  return is_dek_len(dek_len) && wrapped_len == dek_len + kSemiblockLen;
}

Status wrong_lengths() {
  return {Errc::kInvalidArgument, "a DEK has 16 to 64 bytes, a multiple of 8, and its wrap 8 more"};
}

Status wrong_custody() {
  return {Errc::kInternal, "the KEK was asked for a use that its custody does not have"};
}

Status another_token() {
  return {Errc::kRefused, "a DEK can only go to another KEK of the same token",
          "stay with the token: in this custody the DEKs never leave it"};
}

class Pkcs11TokenKek final : public TokenKek {
 public:
  Pkcs11TokenKek(std::shared_ptr<Connection> connection, std::shared_ptr<const TokenKey> key)
      : connection_(std::move(connection)), key_(std::move(key)) {}
  ~Pkcs11TokenKek() override { connection_->forget(key_); }

  [[nodiscard]] TokenCustody custody() const override { return key_->kind().custody; }
  [[nodiscard]] std::size_t key_len() const override { return key_->kind().len; }
  [[nodiscard]] std::recursive_mutex& calls() const override { return connection_->calls(); }

  Result<std::uint64_t> confirm(TokenKek& to) override;

  Status ecb_encrypt(ByteSpan blocks) override { return ecb(Direction::kEncrypt, blocks); }
  Status ecb_decrypt(ByteSpan blocks) override { return ecb(Direction::kDecrypt, blocks); }

  Status rewrap_key(ByteView wrapped, TokenKek& to, ByteSpan out) override;
  Status check_key(ByteView wrapped) override;
  Status generate_key(ByteSpan wrapped) override;
  Status unwrap_key(ByteView wrapped, ByteSpan key) override;
  Status wrap_key(ByteView key, ByteSpan wrapped) override;

 private:
  [[nodiscard]] bool is_same_token(const Pkcs11TokenKek& other) const {
    return other.key_->name().serial == key_->name().serial;
  }
  Status ecb(Direction direction, ByteSpan blocks);
  Status ecb_chunk(Direction direction, ByteSpan chunk);

  std::shared_ptr<Connection> connection_;
  std::shared_ptr<const TokenKey> key_;
  std::atomic<std::size_t> max_call_len_ = Connection::kScratchLen;  // less once a token refused it
};

// handle_exchanged is what a token should have said.
Status handle_exchanged(Direction direction) {
  return check(
      CKR_KEY_HANDLE_INVALID,
      direction == Direction::kEncrypt ? Literal("C_Encrypt") : Literal("C_Decrypt"),
      "the KEK's handle leads to another key: a block whose answer is known came back wrong",
      "see whether the token failed over to a copy, and in what state that is");
}

Status Pkcs11TokenKek::ecb(Direction direction, ByteSpan blocks) {
  if (custody() != TokenCustody::kKekInToken) return wrong_custody();
  if (blocks.size() % kAesBlockLen != 0)
    return {Errc::kInvalidArgument, "ECB needs whole blocks of 16 bytes"};
  // Each chunk is an operation of its own, so that a loss costs one chunk, and other threads get
  // their turn in between.
  while (!blocks.empty()) {
    const std::size_t len = std::min(blocks.size(), max_call_len_.load() - kAesBlockLen);
    const Status status = ecb_chunk(direction, blocks.first(len));
    const std::size_t call_len = len + kAesBlockLen;
    if (is_too_long_for_token(status) && call_len > kMinCallLen) {
      max_call_len_ = std::max(call_len / 2 / kAesBlockLen * kAesBlockLen, kMinCallLen);
      continue;
    }
    REWRAP_TRY(status);
    blocks = blocks.subspan(len);
  }
  return {};
}

// ecb_chunk works on a copy, since the input must still be there for another attempt. The known block
// goes along as the last one: ECB checks nothing, and a handle that silently leads to another key
// would wrap the DEKs under that.
Status Pkcs11TokenKek::ecb_chunk(Direction direction, ByteSpan chunk) {
  return connection_->run([&](Session& session) -> Status {
    REWRAP_ASSIGN(const ProvenKey kek, connection_->proven_key(key_));
    const bool encrypts = direction == Direction::kEncrypt;
    const ByteSpan blocks = connection_->scratch().first(chunk.size() + kAesBlockLen);
    const ByteSpan known = blocks.last(kAesBlockLen);
    copy_bytes(blocks, chunk);
    copy_bytes(known, encrypts ? kek.known.plain : kek.known.cipher);
    Status status = run_ecb(session, kek.found.handle, direction, blocks, blocks);
    if (status.ok() && !secrets_equal(known, encrypts ? kek.known.cipher : kek.known.plain))
      status = handle_exchanged(direction);
    if (status.ok()) copy_bytes(chunk, blocks.first(chunk.size()));
    wipe(blocks);
    return status;
  });
}

Result<std::uint64_t> Pkcs11TokenKek::confirm(TokenKek& to) {
  const auto* target = dynamic_cast<const Pkcs11TokenKek*>(&to);
  if (target == nullptr || !is_same_token(*target)) return another_token();
  return connection_->confirm({key_, target->key_});
}

Status Pkcs11TokenKek::rewrap_key(ByteView wrapped, TokenKek& to, ByteSpan out) {
  const auto* target = dynamic_cast<const Pkcs11TokenKek*>(&to);
  if (custody() != TokenCustody::kInToken || to.custody() != custody()) return wrong_custody();
  if (target == nullptr || !is_same_token(*target)) return another_token();
  if (out.size() != wrapped.size() || !is_wrap_of(wrapped.size(), out.size() - kSemiblockLen))
    return wrong_lengths();
  const Status status = connection_->run([&](Session& session) -> Status {
    REWRAP_ASSIGN(const CK_OBJECT_HANDLE old_kek, connection_->key(key_));
    REWRAP_ASSIGN(const CK_OBJECT_HANDLE new_kek, connection_->key(target->key_));
    REWRAP_ASSIGN(SessionObject dek,
                  unwrap_inside(session, old_kek, wrapped, Readability::kWrapOnly));
    REWRAP_TRY(wrap_inside(session, new_kek, dek.handle(), out));
    return dek.destroy();
  });
  if (!status.ok()) wipe(out);
  return status;
}

Status Pkcs11TokenKek::check_key(ByteView wrapped) {
  if (custody() != TokenCustody::kInToken) return wrong_custody();
  if (!is_wrap_of(wrapped.size(), wrapped.size() - kSemiblockLen)) return wrong_lengths();
  return connection_->run([&](Session& session) -> Status {
    REWRAP_ASSIGN(const CK_OBJECT_HANDLE kek, connection_->key(key_));
    REWRAP_ASSIGN(SessionObject dek, unwrap_inside(session, kek, wrapped, Readability::kWrapOnly));
    return dek.destroy();
  });
}

Status Pkcs11TokenKek::generate_key(ByteSpan wrapped) {
  if (custody() != TokenCustody::kInToken) return wrong_custody();
  if (!is_wrap_of(wrapped.size(), wrapped.size() - kSemiblockLen)) return wrong_lengths();
  const Status status = connection_->run([&](Session& session) -> Status {
    REWRAP_ASSIGN(const CK_OBJECT_HANDLE kek, connection_->key(key_));
    REWRAP_ASSIGN(SessionObject dek, generate_inside(session, wrapped.size() - kSemiblockLen));
    REWRAP_TRY(wrap_inside(session, kek, dek.handle(), wrapped));
    return dek.destroy();
  });
  if (!status.ok()) wipe(wrapped);
  return status;
}

Status Pkcs11TokenKek::unwrap_key(ByteView wrapped, ByteSpan key) {
  if (custody() != TokenCustody::kInToken) return wrong_custody();
  if (!is_wrap_of(wrapped.size(), key.size())) return wrong_lengths();
  const Status status = connection_->run([&](Session& session) -> Status {
    REWRAP_ASSIGN(const CK_OBJECT_HANDLE kek, connection_->key(key_));
    REWRAP_ASSIGN(const SecretBuffer value, unwrap_bytes(session, kek, custody(), wrapped));
    copy_bytes(key, value.expose_secret());
    return {};
  });
  if (!status.ok()) wipe(key);
  return status;
}

Status Pkcs11TokenKek::wrap_key(ByteView key, ByteSpan wrapped) {
  if (custody() != TokenCustody::kInToken) return wrong_custody();
  if (!is_wrap_of(wrapped.size(), key.size())) return wrong_lengths();
  const Status status = connection_->run([&](Session& session) -> Status {
    REWRAP_ASSIGN(const CK_OBJECT_HANDLE kek, connection_->key(key_));
    REWRAP_ASSIGN(const Bytes made, wrap_bytes(session, kek, custody(), key));
    copy_bytes(wrapped, made);
    return {};
  });
  if (!status.ok()) wipe(wrapped);
  return status;
}

// --- Making ---

Status fill_random(Connection& connection, ByteSpan out) {
  return connection.run([&](Session& session) {
    return check(session.api().C_GenerateRandom(session.handle(), out.data(), out.size()),
                 "C_GenerateRandom", "the token gives no random bytes");
  });
}

Result<TokenKeyName> new_name(Connection& connection) {
  constexpr std::size_t kNumTellingBytes = 4;
  TokenKeyName name;
  name.serial = connection.token().serial;
  name.id.resize(kIdLen);
  REWRAP_TRY(fill_random(connection, name.id));
  name.label = kTokenKekPrefix;
  name.label += encode_hex(ByteView(name.id).first(kNumTellingBytes));
  return name;
}

// wrap_check_key wraps `check_key` under the new KEK, which nothing can prove yet.
Result<Bytes> wrap_check_key(Connection& connection, const TokenKeyName& name, TokenCustody custody,
                             const SecretBuffer& check_key) {
  Bytes blob;
  REWRAP_TRY(connection.run([&](Session& session) -> Status {
    REWRAP_ASSIGN(const CK_OBJECT_HANDLE kek, find_secret_key(session, name.label, name.id));
    REWRAP_ASSIGN(blob, wrap_bytes(session, kek, custody, check_key.expose_secret()));
    return {};
  }));
  return blob;
}

Result<Protector> make_protector(Connection& connection, const std::string& root_uri,
                                 const TokenKeyName& name, TokenCustody custody, ByteView context) {
  Protector protector;
  protector.root_uri = root_uri;
  protector.mechanism = Mechanism::kTokenKey;
  protector.key_ref = encode_key_ref(name);
  REWRAP_ASSIGN(SecretBuffer check_key, SecretBuffer::create(kCheckKeyLen));
  REWRAP_TRY(fill_random(connection, check_key.expose_secret()));
  REWRAP_ASSIGN(protector.canary, wrap_check_key(connection, name, custody, check_key));
  REWRAP_TRY(fill_random(connection, check_key.expose_secret()));
  REWRAP_ASSIGN(protector.blob, wrap_check_key(connection, name, custody, check_key));
  REWRAP_ASSIGN(protector.check, check_value(check_key.expose_secret(), protector, context));
  if (!decode_protector(encode_protector(protector)).ok()) {
    return Status(Errc::kInvalidArgument, "the root's URI or key name is too long to store",
                  "use a shorter URI");
  }
  return protector;
}

// --- Opening ---

// try_blob says whether `blob`, one of the protector's two, opens under the key, which nothing has
// proven yet; the check key goes to `*check_key`.
Status try_blob(Connection& connection, const TokenKeyName& name, TokenCustody custody,
                const Protector& protector, ByteView blob, SecretBuffer* check_key) {
  return connection.run([&](Session& session) -> Status {
    REWRAP_ASSIGN(const CK_OBJECT_HANDLE kek, find_token_key(session, name, protector));
    REWRAP_ASSIGN(*check_key, unwrap_bytes(session, kek, custody, blob));
    return {};
  });
}

Status damaged_blob() {
  return {Errc::kCorruption,
          "the protector's blob is damaged: the KEK in the token is the right one",
          "restore the protector from a copy of the store"};
}

bool is_blob_len(std::size_t len) { return len == kCheckKeyLen + kSemiblockLen; }

// prove_for_the_first_time tells a damaged protector from another key, which later proofs need not.
Status prove_for_the_first_time(Connection& connection, const TokenKeyName& name,
                                TokenCustody custody, const Protector& protector,
                                ByteView context) {
  SecretBuffer check_key;
  const Status opened =
      is_blob_len(protector.blob.size())
          ? try_blob(connection, name, custody, protector, protector.blob, &check_key)
          : Status(Errc::kIntegrity, "the protector's blob has a wrong length");
  if (opened.code() == Errc::kIntegrity) {
    if (!is_blob_len(protector.canary.size())) return damaged_blob();
    const Status canary =
        try_blob(connection, name, custody, protector, protector.canary, &check_key);
    if (canary.ok()) return damaged_blob();
    if (canary.code() != Errc::kIntegrity) return canary;
    return {Errc::kDenied,
            "another key is under the KEK's name: neither the blob nor the canary opens",
            "bring back the token that the KEK was made in, or restore the protector"};
  }
  REWRAP_TRY(opened);
  REWRAP_ASSIGN(const auto check, check_value(check_key.expose_secret(), protector, context));
  if (secrets_equal(check, protector.check)) return {};
  return {
      Errc::kCorruption, "the protector does not belong here: its check value is wrong",
      "restore the protector from a copy of the store; it may have been exchanged with another"};
}

Result<TokenKeyName> name_in_this_token(const Connection& connection, const Protector& protector) {
  REWRAP_ASSIGN(TokenKeyName name, decode_key_ref(protector.key_ref));
  if (name.serial == connection.token().serial) return name;
  return Status(Errc::kDenied, "the KEK is in another token than the one its URI leads to now",
                "bring back the token whose serial number the protector names");
}

}  // namespace

Result<ProtectedTokenKek> create_token_kek(const std::shared_ptr<Connection>& connection,
                                           const std::string& root_uri, TokenCustody custody,
                                           std::size_t kek_len, ByteView context) {
  if (kek_len != 16 && kek_len != 24 && kek_len != 32)
    return Status(Errc::kInvalidArgument, "a KEK has 16, 24 or 32 bytes");
  REWRAP_ASSIGN(const TokenKeyName name, new_name(*connection));
  const auto make = [&]() -> Result<ProtectedTokenKek> {
    REWRAP_TRY(connection->run_writing(
        [&](Session& session) { return generate_token_key(session, name, custody, kek_len); }));
    ProtectedTokenKek made;
    REWRAP_ASSIGN(made.protector, make_protector(*connection, root_uri, name, custody, context));
    // From here on only what is stored is used, so that a protector which does not work is never
    // given out.
    REWRAP_ASSIGN(made.kek, open_token_kek(connection, made.protector, context));
    return made;
  };
  auto made = make();
  if (!made.ok()) {
    (void)connection->run_writing(
        [&](Session& session) { return destroy_token_key(session, name); });
  }
  return made;
}

Result<std::shared_ptr<TokenKek>> open_token_kek(const std::shared_ptr<Connection>& connection,
                                                 const Protector& protector, ByteView context) {
  if (protector.mechanism != Mechanism::kTokenKey) {
    return Status(Errc::kUnsupported, "the protector's KEK is not a key of the token",
                  "it comes out of the root: open it with --custody host");
  }
  REWRAP_ASSIGN(const TokenKeyName name, name_in_this_token(*connection, protector));
  TokenKeyKind kind;
  REWRAP_TRY(connection->run([&](Session& session) -> Status {
    REWRAP_ASSIGN(const CK_OBJECT_HANDLE kek, find_token_key(session, name, protector));
    REWRAP_ASSIGN(kind, read_kind(session, kek));
    return {};
  }));
  REWRAP_TRY(prove_for_the_first_time(*connection, name, kind.custody, protector, context));
  auto key = std::make_shared<const TokenKey>(name, kind, protector, context);
  REWRAP_TRY(connection->run(
      [&](Session& /*session*/) -> Status { return connection->key(key).status(); }));
  return std::shared_ptr<TokenKek>(std::make_shared<Pkcs11TokenKek>(connection, std::move(key)));
}

Status destroy_token_kek(const std::shared_ptr<Connection>& connection,
                         const Protector& protector) {
  if (protector.mechanism != Mechanism::kTokenKey) return {};
  REWRAP_ASSIGN(const TokenKeyName name, name_in_this_token(*connection, protector));
  // kNotFound is the operation's answer until here, since only run() can tell a key that is gone from
  // one that a lost login hides.
  const Status destroyed = connection->run_writing([&](Session& session) -> Status {
    REWRAP_ASSIGN(const CK_OBJECT_HANDLE key, find_token_key(session, name, protector));
    return destroy_token_key(session, key);
  });
  return destroyed.code() == Errc::kNotFound ? Status() : destroyed;
}

}  // namespace rewrap
