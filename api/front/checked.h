// A value, or the error of a front end to answer with. Plain data, any thread.
#ifndef REWRAP_API_FRONT_CHECKED_H_
#define REWRAP_API_FRONT_CHECKED_H_

#include <optional>
#include <utility>

namespace rewrap {

// CheckedOr<T, Error> is a T or an Error. Fits REWRAP_ASSIGN.
template <typename T, typename Error>
class [[nodiscard]] CheckedOr {
 public:
  // NOLINTBEGIN(google-explicit-constructor): `return value;` and `return error;` are the point
  CheckedOr(T value) : value_(std::move(value)) {}
  CheckedOr(Error error) : error_(std::move(error)) {}
  // NOLINTEND(google-explicit-constructor)

  [[nodiscard]] bool ok() const { return value_.has_value(); }
  [[nodiscard]] const Error& status() const { return error_; }
  [[nodiscard]] T& value() & { return value_.value(); }
  [[nodiscard]] const T& value() const& { return value_.value(); }
  [[nodiscard]] T&& value() && { return std::move(value_).value(); }

 private:
  std::optional<T> value_;
  Error error_;
};

}  // namespace rewrap

#endif  // REWRAP_API_FRONT_CHECKED_H_
