// Parsing by Boost.JSON with a fixed scratch buffer per line; writing by hand, since every field is
// of a safe alphabet.
#include "rekey/jsonl.h"

#include <array>
#include <boost/json.hpp>
#include <utility>

#include "engine/base/codec.h"

namespace rewrap {
namespace {

namespace json = boost::json;

Status invalid(Literal message) { return Status(Errc::kInvalidArgument, message); }
Status bad_len() {
  return invalid("\"wrapped\" has a length that no DEK of 16, 24, 32, 48 or 64 bytes gives");
}

struct Alg {
  std::string_view name;
  WrapAlgorithm algorithm;
  std::size_t kek_len;
};
constexpr std::array kAlgs = {
    Alg{"A128KW", WrapAlgorithm::kKw, 16},     Alg{"A192KW", WrapAlgorithm::kKw, 24},
    Alg{"A256KW", WrapAlgorithm::kKw, 32},     Alg{"A128KWP", WrapAlgorithm::kKwp, 16},
    Alg{"A192KWP", WrapAlgorithm::kKwp, 24},   Alg{"A256KWP", WrapAlgorithm::kKwp, 32},
    Alg{"A128GCMKW", WrapAlgorithm::kGcm, 16}, Alg{"A192GCMKW", WrapAlgorithm::kGcm, 24},
    Alg{"A256GCMKW", WrapAlgorithm::kGcm, 32},
};

// member gives a string member, or an empty view if it is absent or not a string.
std::string_view member(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(name);
  const json::string* text = value == nullptr ? nullptr : value->if_string();
  return text == nullptr ? std::string_view() : std::string_view(text->data(), text->size());
}

// decode_member decodes a member of a fixed length.
bool decode_member(const json::object& object, std::string_view name, std::size_t len, Bytes* out) {
  return decode_base64(member(object, name), out) && out->size() == len;
}

// parse_gcm puts the record together from its parts.
Status parse_gcm(const json::object& object, ByteView ciphertext, WrapLine* out) {
  if (!is_dek_len(ciphertext.size())) return bad_len();
  Bytes iv;
  Bytes tag;
  if (!decode_member(object, "iv", kGcmIvLen, &iv))
    return invalid("\"iv\" is not 12 bytes in base64");
  if (!decode_member(object, "tag", kGcmTagLen, &tag))
    return invalid("\"tag\" is not 16 bytes in base64");
  if (const json::value* aad = object.if_contains("aad")) {
    if (!aad->is_string() || !decode_base64(member(object, "aad"), &out->aad))
      return invalid("\"aad\" is not base64");
    if (out->aad.size() > kMaxForeignAadLen) return invalid("\"aad\" is longer than 1024 bytes");
  }
  out->dek_len = ciphertext.size();
  Encoder record;
  record.raw(iv);
  record.u32(0);
  record.raw(ciphertext);
  record.raw(tag);
  out->wrap = record.take();
  return {};
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
                  "\"alg\" is not one of A128KW, A192KW, A256KW, A128KWP, A192KWP, A256KWP, "
                  "A128GCMKW, A192GCMKW, A256GCMKW");
  }
  out.algorithm = alg->algorithm;
  out.kek_len = alg->kek_len;
  const std::string_view wrapped = member(*object, "wrapped");
  if (wrapped.empty() || !decode_base64(wrapped, &out.wrap))
    return invalid("\"wrapped\" is not base64");
  if (out.algorithm == WrapAlgorithm::kGcm) {
    const Bytes ciphertext = std::move(out.wrap);
    REWRAP_TRY(parse_gcm(*object, ciphertext, &out));
    return out;
  }
  const auto dek_len = dek_len_of_wrap(out.algorithm, out.wrap.size());
  if (!dek_len) return bad_len();
  out.dek_len = *dek_len;
  return out;
}

WrapMembers wrap_members(WrapAlgorithm algorithm, ByteView wrap, ByteView aad) {
  if (algorithm != WrapAlgorithm::kGcm) return {encode_base64(wrap), "", "", ""};
  const ByteView body = wrap.subspan(kGcmIvFieldLen);
  return {encode_base64(body.first(body.size() - kGcmTagLen)), encode_base64(wrap.first(kGcmIvLen)),
          encode_base64(body.last(kGcmTagLen)), encode_base64(aad)};
}

std::string format_wrap_line(const WrapToWrite& wrap) {
  const WrapMembers members = wrap_members(wrap.algorithm, wrap.wrap, wrap.aad);
  std::string line = "{\"id\":\"" + format_uuid(wrap.id) + "\",\"alg\":\"" +
                     alg_name(wrap.algorithm, wrap.kek_len) + '"';
  const auto add = [&line](std::string_view name, const std::string& text) {
    if (!text.empty()) ((line += ",\"") += name) += "\":\"" + text + '"';
  };
  add("wrapped", members.wrapped);
  add("iv", members.iv);
  add("tag", members.tag);
  add("aad", members.aad);
  if (wrap.kek_version != 0) line += ",\"kek_version\":" + std::to_string(wrap.kek_version);
  return line + "}\n";
}

}  // namespace rewrap
