// The PKCS#11 root.
#include "hsm/pkcs11/pkcs11_root.h"

#include <utility>

#include "hsm/key_wrap_root.h"
#include "hsm/pkcs11/pkcs11_token_kek.h"
#include "hsm/pkcs11/probe.h"
#include "hsm/pkcs11/root_key.h"

namespace rewrap {
namespace {

constexpr std::size_t kRandomIdLen = 16;
constexpr char kDefaultLabel[] = "rewrap-root";

class Pkcs11Root final : public KeyWrapRoot {
 public:
  Pkcs11Root(std::string uri, const RootOptions& options, std::unique_ptr<Session> session,
             RootKey key)
      : KeyWrapRoot(std::move(uri)),
        options_(options),
        session_(std::move(session)),
        key_(std::move(key)) {}

  Result<ProtectedTokenKek> create_in_token(TokenCustody custody, std::size_t kek_len,
                                            ByteView context) override {
    REWRAP_ASSIGN(const auto connection, token_connection());
    return create_token_kek(connection, uri(), custody, kek_len, context);
  }

  Result<std::shared_ptr<TokenKek>> open_in_token(const Protector& protector,
                                                  ByteView context) override {
    REWRAP_ASSIGN(const auto connection, token_connection());
    return open_token_kek(connection, protector, context);
  }

  Status destroy(const Protector& protector) override {
    if (!root_keeps_state(protector.mechanism)) return {};
    REWRAP_ASSIGN(const auto connection, token_connection());
    return destroy_token_kek(connection, protector);
  }

  Status random(ByteSpan out) override {
    REWRAP_TRY(session_->check_process());
    return fill_random(*session_, out);
  }

  Result<RootReport> probe() override {
    REWRAP_TRY(session_->check_process());
    REWRAP_ASSIGN(const Pkcs11Uri parsed, parse_pkcs11_uri(uri()));
    return probe_token(*session_, key_,
                       [&] { return Session::open(parsed, SessionMode::kReadWrite, options_); });
  }

 protected:
  Status ready() override {
    REWRAP_TRY(session_->check_process());
    return key_.status;
  }

  [[nodiscard]] const std::string& key_ref() const override { return key_.key_ref; }

  [[nodiscard]] Mechanism mechanism() const override { return key_.guard.mechanism; }

  Result<Bytes> seal_new_key(std::size_t len, ByteView binding) override {
    return rewrap::seal_new_key(*session_, key_.guard, len, binding);
  }

  Result<Bytes> seal_key(const SecretBuffer& key, ByteView binding) override {
    return rewrap::seal_key(*session_, key_.guard, key, binding);
  }

  Result<SecretBuffer> open_key(ByteView blob, ByteView binding) override {
    return rewrap::open_key(*session_, key_.guard, blob, binding);
  }

  Status try_key(ByteView blob, ByteView binding) override {
    return rewrap::try_key(*session_, key_.guard, blob, binding);
  }

 private:
  // token_connection is what this root's TokenKeks share, made when the first one is asked for. The
  // token was there when the root was opened: that it is not found now is no kNotFound, which callers
  // take for a KEK that is gone.
  Result<std::shared_ptr<Connection>> token_connection() {
    REWRAP_TRY(check_process());
    if (connection_ == nullptr) {
      REWRAP_ASSIGN(const Pkcs11Uri parsed, parse_pkcs11_uri(uri()));
      auto connection = Connection::open(parsed, options_);
      if (connection.status().code() == Errc::kNotFound) {
        return Status(Errc::kUnavailable, "the root's token is not there any more",
                      "bring the token back, then run this again");
      }
      REWRAP_ASSIGN(connection_, std::move(connection));
    }
    return connection_;
  }

  RootOptions options_;
  std::unique_ptr<Session> session_;
  std::shared_ptr<Connection> connection_;
  RootKey key_;
};

// check_name_is_free looks at both kinds of root key, since open_root would find either.
Status check_name_is_free(Session& session, const Pkcs11Uri& uri) {
  for (const CK_OBJECT_CLASS key_class : {CKO_SECRET_KEY, CKO_PRIVATE_KEY}) {
    const auto existing = find_key(session, key_class, uri.object, uri.id);
    if (existing.ok() || existing.status().code() == Errc::kConflict) {
      return {Errc::kAlreadyExists, "the token already has a key of that name",
              "choose another object= or id="};
    }
    if (existing.status().code() != Errc::kNotFound) return existing.status();
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<Root>> open_pkcs11_root(const std::string& uri, const RootOptions& options,
                                               KeyNeed need) {
  REWRAP_ASSIGN(const Pkcs11Uri parsed, parse_pkcs11_uri(uri));
  if (need == KeyNeed::kUsable && !parsed.names_key()) {
    return Status(Errc::kInvalidArgument, "the URI names no root key",
                  "add object=LABEL or id=%01 to the URI");
  }
  REWRAP_ASSIGN(auto session, Session::open(parsed, SessionMode::kReadOnly, options));
  RootKey key = find_root_key(*session, parsed);
  if (need == KeyNeed::kUsable) REWRAP_TRY(key.status);
  return std::unique_ptr<Root>(
      std::make_unique<Pkcs11Root>(uri, options, std::move(session), std::move(key)));
}

Status create_pkcs11_root_key(const std::string& uri, const RootOptions& options, Mechanism* made) {
  REWRAP_ASSIGN(const Pkcs11Uri parsed, parse_pkcs11_uri(uri));
  if (!parsed.names_key()) {
    return {Errc::kInvalidArgument, "the URI names no root key",
            "add object=LABEL or id=%01 to the URI"};
  }
  REWRAP_ASSIGN(const auto session, Session::open(parsed, SessionMode::kReadWrite, options));
  REWRAP_TRY(check_name_is_free(*session, parsed));
  REWRAP_ASSIGN(*made, choose_mechanism(*session));
  Bytes id = parsed.id;
  if (id.empty()) {
    id.resize(kRandomIdLen);
    REWRAP_TRY(fill_random(*session, id));
  }
  const std::string label = parsed.object.empty() ? kDefaultLabel : parsed.object;
  return make_root_key(*session, *made, label, id);
}

}  // namespace rewrap
