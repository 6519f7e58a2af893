// Bodies, by Boost.JSON's event parser: depth, sizes and doubles are checked as they come.
#include "api/ontap/body.h"

#include <algorithm>
#include <boost/json/basic_parser_impl.hpp>
#include <set>
#include <utility>

#include "api/front/printable.h"
#include "api/ontap/choices.h"

namespace rewrap::ontap {
namespace {

namespace json = boost::json;

// Flattener is the handler of the parser: objects become prefixes, all else becomes a field.
class Flattener {
 public:
  static constexpr std::size_t max_object_size = std::size_t(-1);
  static constexpr std::size_t max_array_size = std::size_t(-1);
  static constexpr std::size_t max_key_size = std::size_t(-1);
  static constexpr std::size_t max_string_size = std::size_t(-1);

  std::vector<BodyField> fields;
  std::optional<Error> error;

  using Code = boost::system::error_code;

  bool on_document_begin(Code& /*code*/) { return true; }
  bool on_document_end(Code& /*code*/) { return true; }
  bool on_object_begin(Code& /*code*/) {
    prefix_lens_.push_back(prefix_.size());
    if (prefix_lens_.size() > 1) prefix_ += std::exchange(key_, {}) + ".";
    return true;
  }
  bool on_object_end(std::size_t /*size*/, Code& /*code*/) {
    prefix_.resize(prefix_lens_.back());
    prefix_lens_.pop_back();
    return true;
  }
  bool on_array_begin(Code& code) {
    const std::string path = prefix_ + key_;
    if (prefix_lens_.empty()) return fail(invalid_json("it is not an object"), &code);
    return fail(
        simple_error(400, 262255, "Field \"" + printable(path) + "\" takes no array.", path),
        &code);
  }
  bool on_array_end(std::size_t /*size*/, Code& /*code*/) { return true; }
  bool on_key_part(json::string_view part, std::size_t /*size*/, Code& /*code*/) {
    key_part_.append(part.data(), part.size());
    return true;
  }
  bool on_key(json::string_view part, std::size_t /*size*/, Code& code) {
    key_part_.append(part.data(), part.size());
    key_ = std::exchange(key_part_, {});
    if (key_.empty()) return fail(unexpected_argument(prefix_), &code);
    return true;
  }
  bool on_string_part(json::string_view part, std::size_t /*size*/, Code& /*code*/) {
    text_.insert(text_.end(), part.begin(), part.end());
    return true;
  }
  bool on_string(json::string_view part, std::size_t /*size*/, Code& code) {
    text_.insert(text_.end(), part.begin(), part.end());
    BodyField field;
    field.kind = BodyField::Kind::kString;
    field.text = std::exchange(text_, {});
    return add(std::move(field), &code);
  }
  bool on_number_part(json::string_view /*part*/, Code& /*code*/) { return true; }
  bool on_int64(std::int64_t value, json::string_view /*part*/, Code& code) {
    BodyField field;
    field.kind = BodyField::Kind::kInteger;
    field.integer = value;
    return add(std::move(field), &code);
  }
  bool on_uint64(std::uint64_t /*value*/, json::string_view /*part*/, Code& code) {
    return add_kind(BodyField::Kind::kNumber, &code);  // above every int64
  }
  bool on_double(double /*value*/, json::string_view /*part*/, Code& code) {
    return add_kind(BodyField::Kind::kNumber, &code);
  }
  bool on_bool(bool value, Code& code) {
    BodyField field;
    field.kind = BodyField::Kind::kBoolean;
    field.flag = value;
    return add(std::move(field), &code);
  }
  bool on_null(Code& code) { return add_kind(BodyField::Kind::kNull, &code); }
  bool on_comment_part(json::string_view /*part*/, Code& /*code*/) { return true; }
  bool on_comment(json::string_view /*part*/, Code& /*code*/) { return true; }

 private:
  bool add_kind(BodyField::Kind kind, Code* code) {
    BodyField field;
    field.kind = kind;
    return add(std::move(field), code);
  }

  bool add(BodyField field, Code* code) {
    if (prefix_lens_.empty()) return fail(invalid_json("it is not an object"), code);
    field.path = prefix_ + std::exchange(key_, {});
    if (field.path.starts_with("_links.") || field.path.find("._links.") != std::string::npos)
      return true;
    if (!seen_.insert(field.path).second) return fail(given_twice(field.path), code);
    if (seen_.size() > kMaxBodyFields) return fail(invalid_json("it has too many fields"), code);
    fields.push_back(std::move(field));
    return true;
  }

  bool fail(Error what, Code* code) {
    error = std::move(what);
    *code = json::error::exception;  // any code stops the parser
    return false;
  }

  std::string prefix_;
  std::vector<std::size_t> prefix_lens_;  // one for each open object
  std::string key_;
  std::string key_part_;
  WipedBytes text_;
  std::set<std::string> seen_;
};

bool is_blank(std::string_view text) {
  return text.find_first_not_of(" \t\r\n") == std::string_view::npos;
}

// has_control finds bytes that have no place in names and addresses, nor in a log.
bool has_control(std::string_view text, bool allow_lines) {
  return std::any_of(text.begin(), text.end(), [&](char c) {
    const auto byte = static_cast<unsigned char>(c);
    if (allow_lines && (c == '\n' || c == '\r' || c == '\t')) return false;
    return byte < 0x20 || byte == 0x7f;
  });
}

bool fits_text(const Field& field, const BodyField& given) {
  if (given.kind != BodyField::Kind::kString) return false;
  const std::string_view text = given.view();
  if (field.access == Access::kWo)  // any bytes but zero, which would cut it short somewhere
    return text.size() <= kMaxTextLen && text.find('\0') == std::string_view::npos;
  const bool is_json = field.path == "encryption_context";
  if (text.size() > (is_json ? kMaxContextLen : kMaxTextLen) || has_control(text, is_json))
    return false;
  if (field.type == FieldType::kEnum) return is_one_of(field.values, text);
  DekId uuid{};
  return field.type != FieldType::kUuid || parse_uuid(text, &uuid);
}

bool fits(const Field& field, const BodyField& given) {
  switch (field.type) {
    case FieldType::kBoolean:
      return given.kind == BodyField::Kind::kBoolean;
    case FieldType::kInteger:
      return given.kind == BodyField::Kind::kInteger && given.integer >= field.min &&
             given.integer <= field.max;
    case FieldType::kString:
    case FieldType::kUuid:
    case FieldType::kTime:
    case FieldType::kEnum:
      break;
  }
  return fits_text(field, given);
}

// shown gives a value for a message; of a write-only field it shows nothing.
std::string shown(const Field& field, const BodyField& given) {
  if (field.access == Access::kWo) return "***";
  switch (given.kind) {
    case BodyField::Kind::kNull:
      return "null";
    case BodyField::Kind::kBoolean:
      return given.flag ? "true" : "false";
    case BodyField::Kind::kInteger:
      return std::to_string(given.integer);
    case BodyField::Kind::kNumber:
      return "number";
    case BodyField::Kind::kString:
      break;
  }
  return std::string(given.view());
}

std::optional<Error> check_field(FieldTable table, const BodyField& given, Change change) {
  const Field* field = find_field(table, given.path);
  if (field == nullptr) {
    const bool is_object = std::any_of(table.begin(), table.end(), [&](const Field& candidate) {
      return is_below(candidate.path, given.path);
    });
    if (is_object) return invalid_value("value", given.path, "object");
    return unexpected_argument(given.path);
  }
  if (change == Change::kCreate && !is_creatable(field->access))
    return simple_error(
        400, 262196, "Field \"" + given.path + "\" cannot be set in this operation.", given.path);
  if (change == Change::kModify && !is_modifiable(field->access))
    return simple_error(400, 262203, "Field \"" + given.path + "\" cannot be set in a PATCH.",
                        given.path);
  if (!fits(*field, given))
    return invalid_value(shown(*field, given), given.path, type_name(*field));
  return std::nullopt;
}

}  // namespace

Checked<Body> Body::parse(std::string_view text) {
  Body body;
  if (is_blank(text)) return body;
  if (text.size() > kMaxBodyLen) return invalid_json("it is too long");
  json::parse_options options;
  options.max_depth = kMaxBodyDepth;
  json::basic_parser<Flattener> parser(options);
  boost::system::error_code code;
  std::size_t used = parser.write_some(false, text.data(), text.size(), code);
  if (parser.handler().error) return *parser.handler().error;
  while (!code && used < text.size() && is_blank(text.substr(used, 1))) ++used;
  if (code == json::error::too_deep) return invalid_json("it is too deep");
  if (code || used < text.size()) return invalid_json("see its syntax");
  body.fields_ = std::move(parser.handler().fields);
  return body;
}

const BodyField* Body::find(std::string_view path) const {
  const auto field = std::find_if(fields_.begin(), fields_.end(), [&](const BodyField& candidate) {
    return candidate.path == path;
  });
  return field == fields_.end() ? nullptr : &*field;
}

std::string Body::text_of(std::string_view path) const {
  const BodyField* field = find(path);
  return field == nullptr ? std::string() : std::string(field->view());
}

std::optional<Error> check_body(FieldTable table, const Body& body, Change change) {
  for (const BodyField& field : body.fields())
    if (auto error = check_field(table, field, change)) return error;
  if (change == Change::kModify) return std::nullopt;
  for (const Field& field : table)
    if (field.required && body.find(field.path) == nullptr) return missing_value(field.path);
  return std::nullopt;
}

Result<SecretBuffer> secret_of(const BodyField& field) {
  if (field.text.empty()) return SecretBuffer();
  return SecretBuffer::copy_of(as_bytes(field.view()));
}

}  // namespace rewrap::ontap
