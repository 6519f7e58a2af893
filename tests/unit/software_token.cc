// The software token: EVP behind the interface of hsm/token_kek.h.
#include "tests/unit/software_token.h"

#include "hsm/random.h"
#include "tests/unit/openssl_reference.h"
#include "tests/unit/test_keys.h"

namespace rewrap::test {
namespace {

constexpr WrapAlgorithm kKw = WrapAlgorithm::kKw;

// open gives what is in a wrap to `then`.
template <typename Then>
Status open(ByteView kek, ByteView wrapped, Then then) {
  const std::optional<Bytes> key = openssl_unwrap(kKw, kek, wrapped);
  if (!key) return Status(Errc::kIntegrity, "it does not open");
  then(*key);
  return {};
}

}  // namespace

void SoftwareToken::fail_at(std::size_t call, bool for_good) {
  const std::lock_guard lock(mutex_);
  calls_ = 0;
  fail_at_ = call;
  for_good_ = for_good;
}

void SoftwareToken::exchange_at(std::size_t call, Bytes instead) {
  const std::lock_guard lock(mutex_);
  calls_ = 0;
  exchange_at_ = call;
  instead_ = std::move(instead);
}

// Inside call(), which holds the lock.
Bytes SoftwareToken::wrapped_under(const Bytes& key) const {
  return exchange_at_ != 0 && calls_ >= exchange_at_ ? instead_ : key;
}

std::uint64_t SoftwareToken::confirm() {
  if (exchange_at_ != 0 && calls_ >= exchange_at_) {
    exchange_at_ = 0;
    ++num_exchanges_;
  }
  return num_exchanges_;
}

std::size_t SoftwareToken::calls() const {
  const std::lock_guard lock(mutex_);
  return calls_;
}

SoftwareTokenKek::SoftwareTokenKek(std::shared_ptr<SoftwareToken> token, TokenCustody custody,
                                   Bytes key)
    : token_(std::move(token)),
      custody_(custody),
      key_(std::move(key)),
      aes_(make_openssl_ecb(make_kek(key_)).value()) {}

Result<std::uint64_t> SoftwareTokenKek::confirm(TokenKek& /*to*/) {
  std::uint64_t number = 0;
  REWRAP_TRY(token_->call([&]() -> Status {
    number = token_->confirm();
    return {};
  }));
  return number;
}

Status SoftwareTokenKek::ecb_encrypt(ByteSpan blocks) {
  return use(TokenCustody::kKekInToken, [&] { return aes_->encrypt(blocks); });
}

Status SoftwareTokenKek::ecb_decrypt(ByteSpan blocks) {
  return use(TokenCustody::kKekInToken, [&] { return aes_->decrypt(blocks); });
}

Status SoftwareTokenKek::rewrap_key(ByteView wrapped, TokenKek& to, ByteSpan out) {
  const auto& other = dynamic_cast<const SoftwareTokenKek&>(to);
  if (other.token_ != token_) return Status(Errc::kUnsupported, "a KEK of another token");
  return use(TokenCustody::kInToken, [&] {
    wipe(out);
    return open(key_, wrapped, [&](ByteView key) {
      copy_bytes(out, openssl_wrap(kKw, token_->wrapped_under(other.key_), key));
    });
  });
}

Status SoftwareTokenKek::check_key(ByteView wrapped) {
  return use(TokenCustody::kInToken, [&] { return open(key_, wrapped, [](ByteView) {}); });
}

Status SoftwareTokenKek::generate_key(ByteSpan wrapped) {
  return use(TokenCustody::kInToken, [&]() -> Status {
    Bytes key(wrapped.size() - kSemiblockLen);
    REWRAP_TRY(random_bytes(key));
    copy_bytes(wrapped, openssl_wrap(kKw, token_->wrapped_under(key_), key));
    return {};
  });
}

Status SoftwareTokenKek::unwrap_key(ByteView wrapped, ByteSpan key) {
  return use(TokenCustody::kInToken, [&] {
    return open(key_, wrapped, [&](ByteView opened) { copy_bytes(key, opened); });
  });
}

Status SoftwareTokenKek::wrap_key(ByteView key, ByteSpan wrapped) {
  return use(TokenCustody::kInToken, [&]() -> Status {
    copy_bytes(wrapped, openssl_wrap(kKw, token_->wrapped_under(key_), key));
    return {};
  });
}

}  // namespace rewrap::test
