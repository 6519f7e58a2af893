// A connection to a token that survives the loss of its session, its login, or the token itself.
// Work is given to it as an operation that can be done again from the start; when it fails because
// something was lost, the connection brings that back and does it again. A handle that leads to
// another key counts as lost; tokens that fail over to their twin are known to say nothing of it, so
// results are not believed without a proof. Any number of threads: one operation at a time per module
// in this process.
#ifndef REWRAP_HSM_PKCS11_CONNECTION_H_
#define REWRAP_HSM_PKCS11_CONNECTION_H_

#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <string>

#include "engine/base/secret_buffer.h"
#include "hsm/pkcs11/ecb.h"
#include "hsm/pkcs11/keys.h"
#include "hsm/pkcs11/session.h"

namespace rewrap {

// Remedy is what brings back what a failed call lost.
enum class Remedy {
  kNone,     // nothing was lost: the failure is the answer
  kSession,  // a new session, and a login if the token forgot it
  kModule,   // finalise, wait, initialise, find the token, log in
};

// remedy_of reads the table of what tokens answer when they were lost. Pure.
Remedy remedy_of(const Status& status);

// FoundKey is a key's handle on one session.
struct FoundKey {
  CK_OBJECT_HANDLE handle = CK_INVALID_HANDLE;
  bool is_copy = false;  // a copy in the session, because that is faster; else the token's own key
};

// ProvenKey is one that proved to be the right one.
struct ProvenKey {
  FoundKey found;
  KnownBlock known;  // by which each ECB call proves it again
};

// ProvableKey is a token key that can be found again, and told from any other that got its handle.
// Immutable; any thread.
class ProvableKey {
 public:
  ProvableKey() = default;
  ProvableKey(const ProvableKey&) = delete;
  ProvableKey& operator=(const ProvableKey&) = delete;
  virtual ~ProvableKey() = default;

  // find finds the key by its names.
  [[nodiscard]] virtual Result<FoundKey> find(Session& session) const = 0;

  // prove opens something that only the key opens, by `handle`, and gives a pair of its blocks where
  // it does ECB.
  // Errors: kDenied  it is another key; else what the token failed at. Never kIntegrity.
  [[nodiscard]] virtual Result<KnownBlock> prove(Session& session,
                                                 CK_OBJECT_HANDLE handle) const = 0;
};

class Connection {
 public:
  // open loads the module, finds the token, opens a read-only session and logs in. Nothing is tried
  // twice here. Errors as open_root.
  static Result<std::shared_ptr<Connection>> open(const Pkcs11Uri& uri, const RootOptions& options);

  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection();

  using Operation = std::function<Status(Session&)>;

  // run does `operation`, and does it again after each loss that could be mended. The operation must
  // write its results only when it succeeds, ask key() for its keys each time, and answer
  // kIntegrity where a wrap did not open or the token gave a code that may mean so. Such an answer
  // is believed only when it is given three times, each on a new session on which the keys proved
  // to be the right ones: a lost token must never be taken for a damaged key.
  // Errors: kUnavailable  lost, and not back within options.reconnect_limit, or stopped by
  //                       options.stop; or called in a forked child
  //         kDenied       lost, and the login cannot be repeated
  //         others        the operation's own
  Status run(const Operation& operation);

  // run_writing does so in a session in which the token's keys can be made and destroyed. run's cannot:
  // there, no session object that is destroyed by a handle gone astray is ever a key of the token.
  Status run_writing(const Operation& operation);

  // key gives the handle of `key` on the current session, found and proven since the last loss;
  // proven_key gives what the proof left, too. For operations only.
  Result<CK_OBJECT_HANDLE> key(const std::shared_ptr<const ProvableKey>& key);
  Result<ProvenKey> proven_key(const std::shared_ptr<const ProvableKey>& key);

  // confirm proves `keys` once more, by the handles that the operations used, and gives a number. If
  // an earlier confirm gave the same one, no operation since then can have used a handle that led to
  // another key. Errors: as run; kDenied if another key is under the name
  Result<std::uint64_t> confirm(std::initializer_list<std::shared_ptr<const ProvableKey>> keys);

  // forget lets go of what key() keeps for `key`. Any thread.
  void forget(const std::shared_ptr<const ProvableKey>& key);

  // calls is what calls to the token wait at (Module::call_mutex). Any thread.
  [[nodiscard]] std::recursive_mutex& calls() const { return session_->module().call_mutex(); }

  // scratch is locked memory for the output of calls. For operations only.
  [[nodiscard]] ByteSpan scratch() { return scratch_.expose_secret(); }
  static constexpr std::size_t kScratchLen = std::size_t{256} << 10;  // beyond, nothing got faster

  // token is the one that open found; no other is ever taken for it. Any thread.
  [[nodiscard]] const TokenIdentity& token() const { return token_; }

  // num_recoveries counts how often something was brought back. Any thread.
  [[nodiscard]] std::uint64_t num_recoveries() const { return num_recoveries_; }

 private:
  class Patience;
  using Keys = std::map<std::shared_ptr<const ProvableKey>, ProvenKey>;

  Connection(const RootOptions& options, std::unique_ptr<Session> session, SecretBuffer scratch);

  Status run_in(SessionMode mode, const Operation& operation);
  Status attempt(SessionMode mode, const Operation& operation);
  Status reconsider(const Status& suspicion, int* num_suspicions);
  Remedy remedy_for(const Status& failure);
  bool keys_hold();
  Status recover(Remedy remedy, const Status& failure, Patience* patience);
  Status renew_session();
  Status reconnect();
  Status await_token(const Status& failure, Patience* patience);

  RootOptions options_;
  std::unique_ptr<Session> session_;
  TokenIdentity token_;
  SecretBuffer scratch_;
  Keys keys_;  // those proven on the current session
  std::atomic<std::uint64_t> num_recoveries_{0};
  std::uint64_t num_doubts_ = 0;  // how often keys were given up that could not be proven once more
};

}  // namespace rewrap

#endif  // REWRAP_HSM_PKCS11_CONNECTION_H_
