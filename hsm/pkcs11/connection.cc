// Bringing back what was lost.
#include "hsm/pkcs11/connection.h"

#include <algorithm>
#include <thread>
#include <utility>

#include "hsm/pkcs11/error.h"
#include "hsm/pkcs11/login.h"

namespace rewrap {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr CK_RV kUnwrappingKeyHandleInvalid = 0xf0;  // missing in p11-kit's header

// How often an operation may fail on a token that was just brought back, before the failure is its
// answer: where its keys proved right on the same session before, and where there were none to ask.
constexpr int kMaxFailuresProven = 3;
constexpr int kMaxFailuresUnproven = 6;
constexpr int kNumSuspicions = 3;  // as many before damage is believed
constexpr int kNumSearches = 2;    // as many before another key is believed to be under a name
constexpr milliseconds kMaxPause{30'000};
constexpr milliseconds kStopInterval{20};

Remedy remedy_of_rv(CK_RV rv) {
  switch (rv) {
    case CKR_SESSION_HANDLE_INVALID:
    case CKR_SESSION_CLOSED:
    case CKR_USER_NOT_LOGGED_IN:
    case CKR_USER_ALREADY_LOGGED_IN:
    case CKR_OBJECT_HANDLE_INVALID:
    case CKR_KEY_HANDLE_INVALID:
    case CKR_WRAPPING_KEY_HANDLE_INVALID:
    case kUnwrappingKeyHandleInvalid:
    case CKR_OPERATION_ACTIVE:
    case CKR_OPERATION_NOT_INITIALIZED:
    case CKR_FUNCTION_CANCELED:
      return Remedy::kSession;
    case CKR_DEVICE_ERROR:
    case CKR_DEVICE_REMOVED:
    case CKR_TOKEN_NOT_PRESENT:
    case CKR_TOKEN_NOT_RECOGNIZED:
    case CKR_SLOT_ID_INVALID:
    case CKR_GENERAL_ERROR:
    case CKR_FUNCTION_FAILED:
    case CKR_CRYPTOKI_NOT_INITIALIZED:
      return Remedy::kModule;
    default:
      return Remedy::kNone;
  }
}

// may_pass says whether a token that gave this answer to a reconnect may be there later.
bool may_pass(const Status& status) {
  return status.code() == Errc::kUnavailable || status.code() == Errc::kNotFound ||
         remedy_of(status) != Remedy::kNone;
}

}  // namespace

Remedy remedy_of(const Status& status) {
  if (status.ok() || status.native() != Native::kPkcs11) return Remedy::kNone;
  return remedy_of_rv(status.native_number());
}

// Patience is how long one run() waits, all its losses together.
class Connection::Patience {
 public:
  explicit Patience(const RootOptions& options)
      : options_(options), pause_(options.reconnect_pause) {}

  // pause sleeps, longer each time. `failure` is what the token said last.
  Status pause(const Status& failure) {
    const auto now = Clock::now();
    if (!waiting_) end_ = now + options_.reconnect_limit;
    waiting_ = true;
    if (now >= end_) return give_up(failure);
    const auto wake = std::min(now + pause_, end_);
    pause_ = std::min(2 * pause_, kMaxPause);
    for (auto rest = wake - now; rest > rest.zero(); rest = wake - Clock::now()) {
      if (is_stopped()) {
        return {Errc::kUnavailable, "stopped while waiting for the token",
                "run it again when the token is back; it goes on where it stopped"};
      }
      std::this_thread::sleep_for(std::min<Clock::duration>(rest, kStopInterval));
    }
    return {};
  }

  [[nodiscard]] bool has_waited() const { return waiting_; }

 private:
  [[nodiscard]] bool is_stopped() const {
    return options_.stop != nullptr && options_.stop->load(std::memory_order_relaxed);
  }

  static Status give_up(const Status& failure) {
    constexpr Literal kHint =
        "bring the token back, then run this again; it goes on where it stopped";
    if (failure.code() == Errc::kUnavailable) return failure.with_hint(kHint);
    return {Errc::kUnavailable, "the token went away and did not come back in time", kHint};
  }

  const RootOptions& options_;
  milliseconds pause_;
  Clock::time_point end_;
  bool waiting_ = false;
};

Connection::Connection(const RootOptions& options, std::unique_ptr<Session> session,
                       SecretBuffer scratch)
    : options_(options),
      session_(std::move(session)),
      token_(session_->token()),
      scratch_(std::move(scratch)) {
  options_.ask_pin = nullptr;  // nobody is asked a second time
}

Connection::~Connection() {
  Module& module = session_->module();
  if (!module.check_process().ok()) return;
  const std::lock_guard lock(module.call_mutex());
  session_->close();
}

Result<std::shared_ptr<Connection>> Connection::open(const Pkcs11Uri& uri,
                                                     const RootOptions& options) {
  REWRAP_ASSIGN(SecretBuffer scratch, SecretBuffer::create(kScratchLen));
  REWRAP_ASSIGN(auto session, Session::open(uri, SessionMode::kReadOnly, options));
  // Not make_shared: the constructor is private.
  return std::shared_ptr<Connection>(
      new Connection(options, std::move(session), std::move(scratch)));
}

Status Connection::run(const Operation& operation) {
  return run_in(SessionMode::kReadOnly, operation);
}

Status Connection::run_writing(const Operation& operation) {
  return run_in(SessionMode::kReadWrite, operation);
}

Status Connection::run_in(SessionMode mode, const Operation& operation) {
  Module& module = session_->module();
  REWRAP_TRY(module.check_process());  // before the lock, which a child may find locked for ever
  const std::lock_guard lock(module.call_mutex());
  Patience patience(options_);
  int num_suspicions = 0;
  int num_failures = 0;
  for (;;) {
    Status status = attempt(mode, operation);
    if (status.code() == Errc::kIntegrity) {
      status = reconsider(status, &num_suspicions);
      if (status.ok()) continue;
      if (num_suspicions == kNumSuspicions) return status;
    }
    if (status.ok()) return {};
    const Remedy remedy = remedy_for(status);
    const int limit = keys_.empty() ? kMaxFailuresUnproven : kMaxFailuresProven;
    if (remedy == Remedy::kNone || ++num_failures >= limit) return status;
    num_suspicions = 0;
    REWRAP_TRY(recover(remedy, status, &patience));
  }
}

Status Connection::attempt(SessionMode mode, const Operation& operation) {
  if (!session_->check_process().ok()) {
    return check(CKR_SESSION_HANDLE_INVALID, "C_Initialize",
                 "the PKCS#11 module was restarted by another user of it");
  }
  session_->set_next_mode(mode);
  if (session_->mode() != mode) REWRAP_TRY(renew_session());
  return operation(*session_);
}

// reconsider is for a wrap that seems damaged: ok to look at it once more, kIntegrity if it has been
// looked at often enough, else what the token failed at meanwhile. Whatever the operation's return
// value, the same is done, and takes as long.
Status Connection::reconsider(const Status& suspicion, int* num_suspicions) {
  const Keys before = keys_;
  const auto num_doubts = num_doubts_ + (keys_hold() ? 0 : 1);
  REWRAP_TRY(renew_session());
  num_doubts_ = num_doubts;
  for (const auto& [key, proven] : before) REWRAP_TRY(this->key(key).status());
  if (++*num_suspicions < kNumSuspicions) return {};
  return suspicion;
}

// remedy_for sees what remedy_of cannot: a token that has forgotten the login hides its private
// keys, and says no more than that it finds none; and a handle that leads to another key may fail as
// that key does.
Remedy Connection::remedy_for(const Status& failure) {
  const Remedy remedy = remedy_of(failure);
  if (remedy != Remedy::kNone) return remedy;
  if (failure.code() == Errc::kNotFound) {
    const auto logged_in = session_->is_logged_in();
    if (!logged_in.ok()) return remedy_of(logged_in.status());
    if (!logged_in.value()) return Remedy::kSession;
  }
  return keys_hold() ? Remedy::kNone : Remedy::kSession;
}

// keys_hold proves all keys by the handles that they were found at.
bool Connection::keys_hold() {
  return std::all_of(keys_.begin(), keys_.end(), [&](const auto& entry) {
    const auto& [key, proven] = entry;
    return key->prove(*session_, proven.found.handle).ok();
  });
}

Status Connection::recover(Remedy remedy, const Status& failure, Patience* patience) {
  keys_.clear();
  ++num_doubts_;
  Status lost = failure;
  if (!session_->check_process().ok()) {
    lost = reconnect();  // to the module that somebody else has restarted already
    if (lost.ok() || !may_pass(lost)) return lost;
  } else if (remedy == Remedy::kSession && !patience->has_waited()) {
    // Once something took a restart, nothing less is tried again.
    lost = renew_session();
    if (lost.ok() || remedy_of(lost) == Remedy::kNone) return lost;
  }
  return await_token(lost, patience);
}

Status Connection::renew_session() {
  keys_.clear();
  ++num_doubts_;
  REWRAP_TRY(session_->replace_handle());
  REWRAP_TRY(log_in_again(*session_, options_.allow_final_pin_try));
  ++num_recoveries_;
  return {};
}

Status Connection::reconnect() {
  REWRAP_TRY(session_->reconnect(options_.allow_final_pin_try));
  ++num_recoveries_;
  return {};
}

Status Connection::await_token(const Status& failure, Patience* patience) {
  if (!patience->has_waited() && options_.on_token_lost) options_.on_token_lost(failure);
  Status last = failure;
  do {
    REWRAP_TRY(patience->pause(last));
    last = reconnect();
  } while (may_pass(last));
  return last;
}

Result<CK_OBJECT_HANDLE> Connection::key(const std::shared_ptr<const ProvableKey>& key) {
  REWRAP_ASSIGN(const ProvenKey proven, proven_key(key));
  return proven.found.handle;
}

Result<ProvenKey> Connection::proven_key(const std::shared_ptr<const ProvableKey>& key) {
  const auto kept = keys_.find(key);
  if (kept != keys_.end()) return kept->second;
  Status other;
  for (int i = 0; i < kNumSearches; ++i) {
    REWRAP_ASSIGN(const FoundKey found, key->find(*session_));
    const auto known = key->prove(*session_, found.handle);  // never kIntegrity: it is about wraps
    if (known.ok()) return keys_.emplace(key, ProvenKey{found, known.value()}).first->second;
    if (known.status().code() != Errc::kDenied) return known.status();
    other = known.status();  // or its handle was exchanged in the middle of the proof
  }
  return other;
}

Result<std::uint64_t> Connection::confirm(
    std::initializer_list<std::shared_ptr<const ProvableKey>> keys) {
  std::uint64_t number = 0;
  REWRAP_TRY(run([&](Session& session) -> Status {
    for (const auto& key : keys) {
      REWRAP_ASSIGN(const CK_OBJECT_HANDLE handle, this->key(key));
      REWRAP_TRY(key->prove(session, handle).status());
    }
    number = num_doubts_;
    return {};
  }));
  return number;
}

void Connection::forget(const std::shared_ptr<const ProvableKey>& key) {
  Module& module = session_->module();
  if (!module.check_process().ok()) return;
  const std::lock_guard lock(module.call_mutex());
  const auto known = keys_.find(key);
  if (known == keys_.end()) return;
  const FoundKey& found = known->second.found;
  const bool is_safe = session_->mode() == SessionMode::kReadOnly;  // see run_writing
  if (found.is_copy && is_safe && session_->check_process().ok())
    session_->api().C_DestroyObject(session_->handle(), found.handle);
  keys_.erase(known);
}

}  // namespace rewrap
