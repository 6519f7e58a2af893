// Parsing by Boost.JSON with a fixed scratch buffer per line; writing by hand, since every field is
// of a safe alphabet.
#include "rekey/jsonl.h"

#include <array>
#include <boost/json.hpp>

namespace rewrap {
namespace {

namespace json = boost::json;

Status invalid(Literal message) { return Status(Errc::kInvalidArgument, message); }

struct Alg {
  std::string_view name;
  WrapAlgorithm algorithm;
  std::size_t kek_len;
};
constexpr std::array kAlgs = {
    Alg{"A128KW", WrapAlgorithm::kKw, 16},   Alg{"A192KW", WrapAlgorithm::kKw, 24},
    Alg{"A256KW", WrapAlgorithm::kKw, 32},   Alg{"A128KWP", WrapAlgorithm::kKwp, 16},
    Alg{"A192KWP", WrapAlgorithm::kKwp, 24}, Alg{"A256KWP", WrapAlgorithm::kKwp, 32},
};

// member gives a string member, or an empty view if it is absent or not a string.
std::string_view member(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(name);
  const json::string* text = value == nullptr ? nullptr : value->if_string();
  return text == nullptr ? std::string_view() : std::string_view(text->data(), text->size());
}

}  // namespace

std::string alg_name(WrapAlgorithm algorithm, std::size_t kek_len) {
  for (const Alg& alg : kAlgs) {
    if (alg.algorithm == algorithm && alg.kek_len == kek_len) return std::string(alg.name);
  }
  return "unknown";
}

Result<WrapLine> parse_wrap_line(std::string_view line) {
  if (line.size() > kMaxLineLen) return invalid("the line is longer than 65536 bytes");
  std::array<unsigned char, 4096>
      scratch;  // NOLINT(cppcoreguidelines-pro-type-member-init): the resource hands it out
  json::monotonic_resource resource(scratch.data(), scratch.size());
  boost::system::error_code error;
  const json::value value = json::parse(line, error, &resource);
  if (error) return invalid("not a JSON object");
  const json::object* object = value.if_object();
  if (object == nullptr) return invalid("not a JSON object");

  WrapLine out;
  if (!parse_uuid(member(*object, "id"), &out.id)) return invalid("\"id\" is not a UUID");
  const std::string_view name = member(*object, "alg");
  const Alg* alg = nullptr;
  for (const Alg& candidate : kAlgs) {
    if (candidate.name == name) alg = &candidate;
  }
  if (alg == nullptr) {
    return Status(Errc::kUnsupported,
                  "\"alg\" is not one of A128KW, A192KW, A256KW, A128KWP, A192KWP, A256KWP");
  }
  out.algorithm = alg->algorithm;
  out.kek_len = alg->kek_len;
  const std::string_view wrapped = member(*object, "wrapped");
  if (wrapped.empty() || !decode_base64(wrapped, &out.wrap))
    return invalid("\"wrapped\" is not base64");
  const auto dek_len = dek_len_of_wrap(out.algorithm, out.wrap.size());
  if (!dek_len)
    return invalid("\"wrapped\" has a length that no DEK of 16, 24, 32, 48 or 64 bytes gives");
  out.dek_len = *dek_len;
  return out;
}

std::string format_wrap_line(const DekId& id, WrapAlgorithm algorithm, std::size_t kek_len,
                             ByteView wrap, KekVersion kek_version) {
  std::string line = "{\"id\":\"" + format_uuid(id) + "\",\"alg\":\"" +
                     alg_name(algorithm, kek_len) + "\",\"wrapped\":\"" + encode_base64(wrap) + '"';
  if (kek_version != 0) line += ",\"kek_version\":" + std::to_string(kek_version);
  return line + "}\n";
}

}  // namespace rewrap
