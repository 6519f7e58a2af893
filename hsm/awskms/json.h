// A reader of JSON texts (RFC 8259) that copies nothing: what it gives are views of the text, which may
// hold a key and lies in locked memory. Any thread.
#ifndef REWRAP_HSM_AWSKMS_JSON_H_
#define REWRAP_HSM_AWSKMS_JSON_H_

#include <optional>
#include <string>
#include <string_view>

#include "engine/base/bytes.h"
#include "engine/base/secret_buffer.h"
#include "engine/base/status.h"

namespace rewrap {

// JsonObject is an object inside a text that must outlive it. Members are found by names that need no
// escapes. A name that is there twice is not found: which one counts would be a guess.
class JsonObject {
 public:
  // parse takes a text that is one object, nested at most 16 deep; none if it is anything else.
  static std::optional<JsonObject> parse(ByteView text);

  // object gives the member of that name, if it is an object.
  [[nodiscard]] std::optional<JsonObject> object(std::string_view name) const;

  // string gives what stands between the quotes of the member of that name, escapes as they are.
  [[nodiscard]] std::optional<ByteView> string(std::string_view name) const;

  // text gives a copy of a string member without secrets, its escapes undone; none if it holds what
  // is not ASCII.
  [[nodiscard]] std::optional<std::string> text(std::string_view name) const;

  // secret gives the same in locked memory. Its time depends on the escapes and the length.
  // Errors: kNotFound  no such member, or not of ASCII, or empty
  [[nodiscard]] Result<SecretBuffer> secret(std::string_view name) const;

 private:
  explicit JsonObject(std::string_view members) : members_(members) {}

  [[nodiscard]] std::optional<std::string_view> value(std::string_view name) const;

  std::string_view members_;  // from behind the opening brace; known to be right
};

}  // namespace rewrap

#endif  // REWRAP_HSM_AWSKMS_JSON_H_
