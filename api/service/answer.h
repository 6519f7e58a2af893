// What every operation of the service gives: a value, or why not. The reason is one that all front
// ends understand; each has one table from reasons to its own codes. Plain data, any thread.
#ifndef REWRAP_API_SERVICE_ANSWER_H_
#define REWRAP_API_SERVICE_ANSWER_H_

#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

#include "engine/base/status.h"

namespace rewrap {

// Reason says which condition stood in the way. Stored with jobs: never renumber.
enum class Reason : std::uint8_t {
  kNone = 0,
  kOther = 1,  // none of these: Status::code says what kind of failure it is

  // The request itself.
  kInvalidInput = 2,     // a value breaks a stated rule
  kNothingToChange = 3,  // a change without a changed value
  kEmptySecret = 4,      // a secret access key of no bytes
  kEmptyAccessKey = 5,   // an access key id of no characters
  kSkipVerifyAlone = 6,  // skip_verify without an access key id

  // What the request names.
  kNoSuchKeyset = 10,
  kNoSuchKey = 11,  // KEK version or DEK
  kNoSuchJob = 12,  // or purged, or no longer kept
  kNoAwsKms = 13,   // there is no AWS KMS configuration of that id, or for that keyset
  kNoSuchProvider = 14,
  kNoSuchServer = 15,
  kNoSuchAccount = 16,
  kNoSuchNode = 17,
  kNameTaken = 18,
  kAlreadyConfigured = 19,  // the keyset has an AWS KMS configuration already

  // The state of the keyset and of its root.
  kKeysetEmpty = 30,  // it has no DEK
  kRootBlocked = 31,  // the current KEK does not open: key disabled, gone, denied, unreachable
  kDeksInAdminKeyset = 32,  // DEKs that belong to this SVM still sit in the admin keyset
  kNodeMissing = 33,        // a registered node has missed its heartbeat
  kAdminKeyset = 34,        // not for the admin keyset
  kStillInUse = 35,         // DEKs still depend on what is to be removed
  kSwitching = 36,          // the keyset is being moved to another root
  kRekeyRunning = 37,
  kNotEnabled = 38,  // no keyset is configured for this front end
  kRefusedByGate = 39,

  // Jobs.
  kJobEnded = 50,
  kJobRunning = 51,     // only a paused job can be resumed
  kJobNotRunning = 52,  // only a running or queued job can be paused
  kJobCannotPause = 53,
  kJobCannotCancel = 54,
  kInterrupted = 55,  // the daemon stopped; the job goes on when it starts again
  kJobCancelled = 56,
  kDamagedDeks = 57,   // DEKs are in quarantine, or segments were left alone
  kVerifyFailed = 58,  // the verify after a rekey found damage
  kTokenLost = 59,     // the root or the token went away under a running job

  // Roots that are reached over the network.
  kCredentialsRejected = 70,
  kRootUnreachable = 71,
  kProviderActive = 72,  // keys made there are in use
  kProviderHasNoServer = 73,
  kLastServer = 74,      // the last server of an active provider
  kServerAssigned = 75,  // to another provider
  kCertificate = 76,     // not a certificate, or not for our key pair
  kNoKeyPair = 77,
  kNoServiceKey = 78,  // no root is configured that could guard stored secrets

  // The machine.
  kStorageFull = 90,
  kStorageFailed = 91,
  kTooMany = 92,  // a named limit was met
  kInternal = 93,
};

// reason_name gives it as a word for logs, metrics and JSON, e.g. "root_blocked"; find_reason is
// the inverse.
const char* reason_name(Reason reason);
std::optional<Reason> find_reason(std::string_view name);

// reason_of gives the nearest reason for a failure that nobody looked at more closely.
Reason reason_of(const Status& status);

struct Failure {
  Reason reason = Reason::kOther;
  Status status;  // message and hint for people, never with a secret in it
};

// Answer<T> is a T, or the Failure that says why there is none.
template <typename T>
class [[nodiscard]] Answer {
 public:
  // NOLINTBEGIN(google-explicit-constructor): `return value;` and `return failure;` are the point
  Answer(T value) : value_(std::move(value)) {}
  Answer(Failure failure) : failure_(failure) { never_ok(); }
  Answer(const Status& status) : failure_{reason_of(status), status} { never_ok(); }
  Answer(Result<T> result) {
    if (result.ok()) {
      value_ = std::move(result).value();
    } else {
      failure_ = {reason_of(result.status()), result.status()};
    }
  }
  // NOLINTEND(google-explicit-constructor)

  [[nodiscard]] bool ok() const { return value_.has_value(); }
  [[nodiscard]] const Failure& failure() const { return failure_; }
  [[nodiscard]] const Status& status() const { return failure_.status; }
  [[nodiscard]] Reason reason() const { return failure_.reason; }

  // value may be asked for only after ok(); anything else is a bug and ends the program.
  [[nodiscard]] T& value() & { return value_.value(); }
  [[nodiscard]] const T& value() const& { return value_.value(); }
  [[nodiscard]] T&& value() && { return std::move(value_).value(); }
  T* operator->() { return &value_.value(); }
  const T* operator->() const { return &value_.value(); }

 private:
  void never_ok() {
    if (failure_.status.ok()) {
      failure_ = {Reason::kInternal,
                  Status(Errc::kInternal, "an answer without a value was marked as success")};
    }
  }

  std::optional<T> value_;
  Failure failure_{Reason::kNone, {}};
};

// Done is the value of operations that have nothing else to say.
struct Done {};

// NOLINTBEGIN(bugprone-macro-parentheses): names and declarations cannot stand in parentheses
// REWRAP_ANSWER(decl, expr) declares from an Answer, or returns its failure from the enclosing
// function.
#define REWRAP_ANSWER(decl, expr) \
  REWRAP_ANSWER_IMPL_(REWRAP_JOIN_(answer_, __COUNTER__), decl, expr)
#define REWRAP_ANSWER_IMPL_(answer, decl, expr) \
  auto answer = (expr);                         \
  if (!answer.ok()) return answer.failure();    \
  decl = std::move(answer).value()
// NOLINTEND(bugprone-macro-parentheses)

}  // namespace rewrap

#endif  // REWRAP_API_SERVICE_ANSWER_H_
