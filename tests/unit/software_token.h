// A token made of software, for both custodies above a token: KEKs that count the calls made to
// them, and that fail at the call a test chooses. Key wrap is OpenSSL's, one key at a time.
#ifndef REWRAP_TESTS_UNIT_SOFTWARE_TOKEN_H_
#define REWRAP_TESTS_UNIT_SOFTWARE_TOKEN_H_

#include <cstddef>
#include <memory>
#include <mutex>
#include <utility>

#include "engine/base/bytes.h"
#include "engine/ecb_cipher.h"
#include "hsm/token_kek.h"

namespace rewrap::test {

// SoftwareToken counts the calls to all of its KEKs. Any thread.
class SoftwareToken {
 public:
  // fail_at makes call number `call` (from 1, counted from now) fail with kUnavailable, and all
  // later ones too if `for_good`; 0: none.
  void fail_at(std::size_t call, bool for_good = false);
  [[nodiscard]] std::size_t calls() const;

  // exchange_at makes the KEK `instead` be used for wrapping from call number `call` on, with no word,
  // until somebody confirms: then the right ones are found again.
  void exchange_at(std::size_t call, Bytes instead);
  // wrapped_under is the KEK that is really used where `key` is meant.
  [[nodiscard]] Bytes wrapped_under(const Bytes& key) const;
  std::uint64_t confirm();

  // call does one thing at a time, unless it is to fail.
  template <typename Body>
  Status call(Body body) {
    const std::lock_guard lock(mutex_);
    ++calls_;
    if (fail_at_ != 0 && (calls_ == fail_at_ || (for_good_ && calls_ > fail_at_)))
      return Status(Errc::kUnavailable, "the token went away");
    return body();
  }

  [[nodiscard]] std::recursive_mutex& held() const { return held_; }

 private:
  mutable std::recursive_mutex held_;
  mutable std::mutex mutex_;
  std::size_t calls_ = 0;
  std::size_t fail_at_ = 0;
  bool for_good_ = false;
  std::size_t exchange_at_ = 0;
  Bytes instead_;
  std::uint64_t num_exchanges_ = 0;
};

class SoftwareTokenKek final : public TokenKek {
 public:
  SoftwareTokenKek(std::shared_ptr<SoftwareToken> token, TokenCustody custody, Bytes key);

  [[nodiscard]] TokenCustody custody() const override { return custody_; }
  [[nodiscard]] std::size_t key_len() const override { return key_.size(); }
  [[nodiscard]] std::recursive_mutex& calls() const override { return token_->held(); }
  Result<std::uint64_t> confirm(TokenKek& to) override;
  Status ecb_encrypt(ByteSpan blocks) override;
  Status ecb_decrypt(ByteSpan blocks) override;
  Status rewrap_key(ByteView wrapped, TokenKek& to, ByteSpan out) override;
  Status check_key(ByteView wrapped) override;
  Status generate_key(ByteSpan wrapped) override;
  Status unwrap_key(ByteView wrapped, ByteSpan key) override;
  Status wrap_key(ByteView key, ByteSpan wrapped) override;

 private:
  // use is one call for a KEK of `custody`.
  template <typename Body>
  Status use(TokenCustody custody, Body body) {
    if (custody != custody_) return Status(Errc::kInternal, "the KEK was not made for that");
    return token_->call(body);
  }

  std::shared_ptr<SoftwareToken> token_;
  TokenCustody custody_;
  Bytes key_;
  std::unique_ptr<EcbCipher> aes_;
};

}  // namespace rewrap::test

#endif  // REWRAP_TESTS_UNIT_SOFTWARE_TOKEN_H_
