// Who asks: HTTP Basic (RFC 7617), or a client certificate that TLS has verified. Every front end has
// one, and says 401 in its own words. Any thread.
#ifndef REWRAP_API_FRONT_AUTHENTICATOR_H_
#define REWRAP_API_FRONT_AUTHENTICATOR_H_

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "api/front/accounts_backend.h"
#include "api/http/message.h"

namespace rewrap {

class Authenticator {
 public:
  using Clock = std::chrono::steady_clock;

  // How long a password that was right is remembered, as a keyed digest: a scrypt for each request
  // would leave no time for the requests. A password or a role that was changed goes on for so long.
  static constexpr std::chrono::seconds kRemember{10};
  // Before that is over, one request checks the password anew while the others go on: a client with
  // many connections would have each of them wait for a scrypt at the same moment.
  static constexpr std::chrono::seconds kRenew{2};
  static constexpr std::size_t kMaxRemembered = 1024;

  // `detail` goes with each refused log in into the audit log, e.g. "ontap 401"; a literal. A request
  // without any credentials is none.
  Authenticator(AccountsBackend* backend, const char* detail);
  ~Authenticator();
  Authenticator(const Authenticator&) = delete;
  Authenticator& operator=(const Authenticator&) = delete;

  // authenticate gives the account, or nothing: the same for every cause. Blocks for one scrypt.
  std::optional<Account> authenticate(const HttpRequest& request,
                                      Clock::time_point now = Clock::now());

 private:
  using Digest = std::array<std::uint8_t, 32>;
  struct Remembered {
    Account account;
    Clock::time_point until;
    bool renewing = false;  // a request is about to check it anew
  };

  std::optional<Account> log_in(const HttpRequest& request, std::string_view encoded,
                                Clock::time_point now);
  std::nullopt_t refuse(const HttpRequest& request, std::string_view name);
  bool recall(const Digest& digest, Clock::time_point now, Account* account);
  void forget(const Digest& digest);
  void remember(const Digest& digest, const Account& account, Clock::time_point now);

  AccountsBackend* backend_;
  const char* detail_;
  Digest key_{};
  std::mutex mutex_;
  std::map<Digest, Remembered> remembered_;
};

}  // namespace rewrap

#endif  // REWRAP_API_FRONT_AUTHENTICATOR_H_
