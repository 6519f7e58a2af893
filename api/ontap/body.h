// Request bodies: JSON, read straight into a flat list of fields and checked against a table. There is
// no tree in between: what may be a secret is copied once, into memory that is wiped.
//
// What cannot be wiped: 4 KiB of Boost.JSON's own on the stack, through which only strings with
// escapes in them (\n, \u0041) go; the next calls overwrite it. The bytes as they came are the HTTP
// server's, which wipes them when the request is done.
#ifndef REWRAP_API_ONTAP_BODY_H_
#define REWRAP_API_ONTAP_BODY_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/http/wiped_string.h"
#include "api/ontap/errors.h"
#include "api/ontap/fields.h"
#include "engine/base/secret_buffer.h"

namespace rewrap::ontap {

struct BodyField {
  enum class Kind : std::uint8_t { kNull, kBoolean, kInteger, kNumber, kString };

  std::string path;  // dotted
  Kind kind = Kind::kNull;
  bool flag = false;
  std::int64_t integer = 0;
  WipedBytes text;  // UTF-8

  [[nodiscard]] std::string_view view() const { return {text.data(), text.size()}; }
};

class Body {
 public:
  // parse takes nothing at all, or one JSON object of at most kMaxBodyLen bytes. Links are dropped.
  // Errors: 262199 not JSON, or too long, deep or full; 262188 a field twice; 262255 an array
  static Checked<Body> parse(std::string_view text);

  [[nodiscard]] bool empty() const { return fields_.empty(); }
  [[nodiscard]] const std::vector<BodyField>& fields() const { return fields_; }
  [[nodiscard]] const BodyField* find(std::string_view path) const;
  // text_of gives a string, or an empty one. Not for secrets.
  [[nodiscard]] std::string text_of(std::string_view path) const;

 private:
  std::vector<BodyField> fields_;
};

enum class Change : std::uint8_t { kCreate, kModify };

// check_body says what is wrong with a body for a resource. That required fields are there is checked
// too for kCreate, but for "svm", which may come from elsewhere.
// Errors: 262179 unknown; 262196, 262203 not to be set here; 262197 a wrong value; 262212 missing
std::optional<Error> check_body(FieldTable table, const Body& body, Change change);

// secret_of copies a string into locked memory; an empty string gives an empty buffer.
// Errors: kExhausted  no memory can be locked
Result<SecretBuffer> secret_of(const BodyField& field);

}  // namespace rewrap::ontap

#endif  // REWRAP_API_ONTAP_BODY_H_
