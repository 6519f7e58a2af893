// Requests are read with a bounded depth and size; there is nothing secret in them but the header.
#include "api/element/envelope.h"

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <utility>

#include "api/element/choices.h"

namespace rewrap::element {
namespace {

namespace json = boost::json;

// echoed_id gives what goes back as `id`.
json::value echoed_id(const json::object& request) {
  const json::value* id = request.if_contains("id");
  if (id == nullptr) return nullptr;
  if (id->is_int64() || id->is_uint64()) return *id;
  if (id->is_string() && id->get_string().size() <= kMaxIdLen) return *id;
  return nullptr;
}

Envelope read_body(std::string_view text) {
  Envelope envelope;
  const auto fail = [&](Error error) {
    envelope.error = std::move(error);
    return std::move(envelope);
  };
  if (text.size() > kMaxBodyLen) return fail(malformed_request("it is too long"));
  json::parse_options options;
  options.max_depth = kMaxBodyDepth;
  boost::system::error_code code;
  json::value value = json::parse(text, code, {}, options);
  if (code) return fail(malformed_request("its body is not JSON"));
  if (!value.is_object()) return fail(malformed_request("its body is not an object"));
  json::object& request = value.get_object();
  envelope.id = echoed_id(request);

  const json::value* method = request.if_contains("method");
  if (method == nullptr || method->is_null()) return fail(missing_parameter("method"));
  if (!method->is_string()) return fail(wrong_type("method", "string"));
  envelope.method = std::string(method->get_string());
  json::value* params = request.if_contains("params");
  if (params == nullptr || params->is_null()) return envelope;
  if (!params->is_object()) return fail(wrong_type("params", "object"));
  envelope.params = std::move(params->get_object());
  return envelope;
}

Envelope read_query(const HttpRequest& request) {
  Envelope envelope;
  envelope.by_url = true;
  for (const HttpQueryItem& item : request.query) {
    const bool is_method = item.key == "method";
    if (is_method && envelope.method.empty()) {
      envelope.method = item.value;
    } else if (is_method || !envelope.params.emplace(item.key, item.value).second) {
      envelope.error = malformed_request("a parameter was given twice");
      return envelope;
    }
  }
  if (envelope.method.empty()) envelope.error = missing_parameter("method");
  return envelope;
}

HttpResponse json_response(const json::object& body) {
  HttpResponse response;
  response.body = json::serialize(body);
  return response;
}

}  // namespace

Envelope read_envelope(const HttpRequest& request) {
  return request.method == "POST" ? read_body(request.body) : read_query(request);
}

HttpResponse result_response(const json::value& id, json::object result,
                             const json::object& unused) {
  json::object body{{"id", id}};
  body["result"] = std::move(result);
  if (!unused.empty()) body["unusedParameters"] = unused;
  return json_response(body);
}

HttpResponse error_response(const json::value& id, const Error& error) {
  json::object body{{"id", id}};
  body["error"] = error_object(error);
  return json_response(body);
}

HttpResponse unauthorised() {
  HttpResponse response = http_error(401);
  response.headers = {{"WWW-Authenticate", "Basic realm=\"rewrap\", charset=\"UTF-8\""}};
  return response;
}

HttpResponse too_busy() {
  HttpResponse response =
      error_response(nullptr, exceeded_limit("Too many requests are being processed. Try again."));
  response.status = 429;
  response.headers = {{"Retry-After", "1"}};
  return response;
}

HttpResponse http_error(int status) {
  HttpResponse response;
  response.status = status;
  response.content_type = "text/html";
  const std::string words = std::to_string(status) + " " + std::string(http_reason(status));
  response.body = "<html><head><title>" + words + "</title></head><body><h1>" + words +
                  ".</h1></body></html>\n";
  return response;
}

}  // namespace rewrap::element
