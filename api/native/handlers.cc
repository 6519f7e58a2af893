// Values out of paths, queries and bodies.
#include "api/native/handlers.h"

#include <charconv>

namespace rewrap::native {
namespace {

namespace json = boost::json;

// digits_in reads a whole number, and nothing else.
template <typename Number>
std::optional<Number> digits_in(std::string_view text) {
  Number number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

}  // namespace

Failure invalid(Literal message, Literal hint) {
  return {Reason::kInvalidInput, Status(Errc::kInvalidArgument, message, hint)};
}

std::string text_in(const Call& call, std::string_view name, std::string_view otherwise) {
  const json::value* value = call.body.if_contains(name);
  return std::string(value != nullptr ? std::string_view(value->as_string()) : otherwise);
}

double number_in(const Call& call, std::string_view name) {
  const json::value* value = call.body.if_contains(name);
  return value != nullptr ? value->to_number<double>() : 0.0;
}

bool flag_in(const Call& call, std::string_view name, bool otherwise) {
  const json::value* value = call.body.if_contains(name);
  return value != nullptr ? value->as_bool() : otherwise;
}

Answer<std::uint64_t> count_in(const Call& call, std::string_view name, std::uint64_t otherwise,
                               std::uint64_t max) {
  const json::value* value = call.body.if_contains(name);
  if (value == nullptr) return otherwise;
  const bool negative = value->is_int64() && value->get_int64() < 0;
  if (negative || value->to_number<std::uint64_t>() > max)
    return invalid("a number in the body is out of range");
  return value->to_number<std::uint64_t>();
}

Answer<Uuid> uuid_in(const Call& call, std::size_t hole) {
  Uuid uuid{};
  if (parse_uuid(call.holes[hole], &uuid)) return uuid;
  return invalid("the path holds no UUID where one is wanted");
}

Answer<KekVersion> version_in(const Call& call, std::size_t hole) {
  const auto version = digits_in<KekVersion>(call.holes[hole]);
  if (version && *version != 0) return *version;
  return invalid("the path holds no KEK version where one is wanted");
}

Answer<std::size_t> limit_in(const Call& call) {
  const auto text = call.request->query_value("limit");
  if (!text) return std::size_t{100};
  const auto limit = digits_in<std::size_t>(*text);
  if (limit && *limit != 0 && *limit <= kMaxLimit) return *limit;
  return invalid("limit is a number from 1 to 1000");
}

}  // namespace rewrap::native
