// The error type of every layer: a small code, what happened, what to do next, and the failing C
// call's own code. Trivially copyable, no heap. Texts are literals, checked at compile time, so no
// secret can ever be in an error.
#ifndef REWRAP_ENGINE_BASE_STATUS_H_
#define REWRAP_ENGINE_BASE_STATUS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

namespace rewrap {

// Errc says what the caller can do about it. The values are stable: scripts and the C ABI see them.
enum class Errc : std::uint8_t {
  kOk = 0,
  kInvalidArgument = 1,  // the caller's input breaks a stated rule: mend the input
  kBufferTooSmall = 2,   // call again with the stated size
  kIntegrity = 3,        // wrong key or changed bytes; which check failed is not told
  kNotFound = 4,         // no such thing: check the name
  kAlreadyExists = 5,    // the name is taken: choose another, or use what is there
  kConflict = 6,         // another operation holds it: wait for that one
  kDenied = 7,  // the root or the system refused: check PIN and permissions, do not retry in a loop
  kUnavailable = 8,   // the root cannot be reached now: mend it, then run again
  kExhausted = 9,     // a named limit was met: raise it or free something
  kCorruption = 10,   // stored bytes are damaged: run verify, restore from a copy
  kIo = 11,           // the operating system failed a read or write: see the native code
  kUnsupported = 12,  // this build, CPU, token or store format cannot do that
  kInternal = 13,     // a bug of ours
  kRefused = 14,      // a safety gate said no: see the reason
};

// errc_name gives the code as a word, e.g. "integrity".
const char* errc_name(Errc code);

// Native names the library whose error number travels along.
enum class Native : std::uint8_t {
  kNone,
  kPosix,
  kPkcs11,
  kLmdb,
  kOpenssl,
  kTpm2,
  kKmip,
  kCurl,
  kAwsKms,
  kSqlite
};

// Literal is a string constant. The consteval constructor refuses anything made at run time.
class Literal {
 public:
  // NOLINTNEXTLINE(google-explicit-constructor): a literal should pass without ceremony
  consteval Literal(const char* text) : text_(text) {}
  [[nodiscard]] constexpr const char* c_str() const { return text_; }

 private:
  const char* text_;
};

class [[nodiscard]] Status {
 public:
  constexpr Status() = default;

  // A failure found by our own code. `hint` says the next step; "" if `message` already does.
  constexpr Status(Errc code, Literal message, Literal hint = "")
      : message_(message.c_str()), hint_(hint.c_str()), code_(code) {}

  // from_native records that the C function `call` returned `number`. `text` must live for ever (a
  // static table).
  static Status from_native(Errc code, Native native, std::uint32_t number, const char* text,
                            Literal call, Literal message, Literal hint = "");

  // from_errno is from_native for the C library; it maps ENOSPC, EACCES, ENOENT and their like to
  // codes.
  static Status from_errno(int error, Literal call, Literal message, Literal hint = "");

  [[nodiscard]] constexpr bool ok() const { return code_ == Errc::kOk; }
  [[nodiscard]] constexpr Errc code() const { return code_; }
  [[nodiscard]] constexpr Native native() const { return native_; }
  [[nodiscard]] constexpr std::uint32_t native_number() const { return number_; }
  [[nodiscard]] constexpr const char* call() const { return call_; }
  [[nodiscard]] constexpr const char* message() const { return message_; }
  [[nodiscard]] constexpr const char* hint() const { return hint_; }

  // with_hint gives the same failure another next step, when the caller knows better than the
  // callee.
  [[nodiscard]] Status with_hint(Literal hint) const;

  // describe writes "message (C_Login: CKR_PIN_INCORRECT, 0xa0)"; the hint is left to the caller to
  // place.
  [[nodiscard]] std::string describe() const;

 private:
  const char* message_ = "";
  const char* hint_ = "";
  const char* call_ = "";
  const char* native_text_ = "";
  std::uint32_t number_ = 0;
  Errc code_ = Errc::kOk;
  Native native_ = Native::kNone;
};

// Result<T> is a T or the Status that says why there is none.
template <typename T>
class [[nodiscard]] Result {
 public:
  // NOLINTNEXTLINE(google-explicit-constructor): `return value;` and `return status;` are the point
  Result(T value) : value_(std::move(value)) {}
  // NOLINTNEXTLINE(google-explicit-constructor)
  Result(Status status) : status_(status) {
    if (status_.ok())
      status_ = Status(Errc::kInternal, "a result without a value was marked as success");
  }

  [[nodiscard]] bool ok() const { return value_.has_value(); }
  [[nodiscard]] const Status& status() const { return status_; }

  // value may be asked for only after ok(); anything else is a bug and ends the program.
  [[nodiscard]] T& value() & { return value_.value(); }
  [[nodiscard]] const T& value() const& { return value_.value(); }
  [[nodiscard]] T&& value() && { return std::move(value_).value(); }
  T* operator->() { return &value_.value(); }
  const T* operator->() const { return &value_.value(); }

 private:
  std::optional<T> value_;
  Status status_;
};

// NOLINTBEGIN(bugprone-macro-parentheses): names and declarations cannot stand in parentheses

// REWRAP_TRY(expr) returns from the enclosing function if `expr`, a Status, is a failure.
#define REWRAP_TRY(expr) REWRAP_TRY_IMPL_(REWRAP_JOIN_(status_, __COUNTER__), expr)
#define REWRAP_TRY_IMPL_(status, expr)                                 \
  do {                                                                 \
    if (::rewrap::Status status = (expr); !status.ok()) return status; \
  } while (false)

// REWRAP_ASSIGN(auto x, expr) declares x from a Result, or returns its failure from the enclosing
// function.
#define REWRAP_ASSIGN(decl, expr) \
  REWRAP_ASSIGN_IMPL_(REWRAP_JOIN_(result_, __COUNTER__), decl, expr)
#define REWRAP_ASSIGN_IMPL_(result, decl, expr) \
  auto result = (expr);                         \
  if (!result.ok()) return result.status();     \
  decl = std::move(result).value()
#define REWRAP_JOIN_(a, b) REWRAP_JOIN_IMPL_(a, b)
#define REWRAP_JOIN_IMPL_(a, b) a##b
// NOLINTEND(bugprone-macro-parentheses)

}  // namespace rewrap

#endif  // REWRAP_ENGINE_BASE_STATUS_H_
