// The way of a request through the routes.
#include "api/native/front_end.h"

#include <algorithm>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <cmath>
#include <optional>
#include <utility>
#include <vector>

#include "api/front/printable.h"
#include "api/front/service_accounts.h"
#include "api/native/errors.h"
#include "api/native/handlers.h"
#include "api/native/open_api.h"
#include "api/native/routes.h"

namespace rewrap::native {
namespace {

namespace json = boost::json;

constexpr std::string_view kPrefix = "/v1";
constexpr std::size_t kMaxSegmentLen = 128;  // no name and no UUID is longer

HttpResponse json_response(int status, const json::object& body) {
  HttpResponse response;
  response.status = status;
  response.body = json::serialize(body) + "\n";
  return response;
}

std::vector<std::string_view> segments(std::string_view path) {
  std::vector<std::string_view> parts;
  while (!path.empty()) {
    path.remove_prefix(1);  // the slash
    const std::string_view part = path.substr(0, path.find('/'));
    parts.push_back(part);
    path.remove_prefix(part.size());
  }
  return parts;
}

// matches compares a path with a pattern; `*holes` gets what stands for each {...}.
bool matches(std::string_view pattern, std::string_view path, std::vector<std::string>* holes) {
  const auto wanted = segments(pattern);
  const auto given = segments(path);
  if (wanted.size() != given.size()) return false;
  holes->clear();
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (!wanted[i].starts_with('{')) {
      if (wanted[i] != given[i]) return false;
    } else if (given[i].empty() || given[i].size() > kMaxSegmentLen) {
      return false;
    } else {
      holes->emplace_back(given[i]);
    }
  }
  return true;
}

struct Match {
  const Route* route = nullptr;  // null: the path is known, the method is not
  std::vector<std::string> holes;
  std::string allow;  // empty: the path is not known
};

Match find_route(std::string_view path, std::string_view method) {
  Match match;
  std::vector<std::string> holes;
  for (const Route& route : routes()) {
    if (!matches(route.pattern, path, &holes)) continue;
    match.allow += (match.allow.empty() ? "" : ", ") + std::string(route.method);
    const bool is_head = method == "HEAD" && route.method == "GET";
    if (route.method != method && !is_head) continue;
    match.route = &route;
    match.holes = holes;
  }
  return match;
}

bool has_type(const json::value& value, FieldType type) {
  switch (type) {
    case FieldType::kString:
      return value.is_string();
    case FieldType::kInteger:
      return value.is_int64() || value.is_uint64();
    case FieldType::kNumber:
      return value.is_number() && std::isfinite(value.to_number<double>());
    case FieldType::kBoolean:
      return value.is_bool();
  }
  return false;
}

const Field* find_field(std::span<const Field> fields, std::string_view name) {
  const auto found = std::find_if(fields.begin(), fields.end(),
                                  [&](const Field& field) { return field.name == name; });
  return found == fields.end() ? nullptr : &*found;
}

// read_body gives the body, an object with what the route takes and nothing else.
Answer<json::object> read_body(const Route& route, const HttpRequest& request) {
  json::object body;
  if (!request.body.empty()) {
    boost::system::error_code error;
    json::value value = json::parse(json::string_view(request.body), error);
    if (error || !value.is_object()) return invalid("the body is not a JSON object");
    body = std::move(value.get_object());
  }
  for (const auto& [name, value] : body) {
    const Field* field = find_field(route.body, name);
    if (field == nullptr) return invalid("the body has a member that is not known here");
    if (!has_type(value, field->type)) return invalid("a member of the body has the wrong type");
  }
  for (const Field& field : route.body) {
    if (field.required && !body.contains(field.name))
      return invalid("the body lacks a member that is required");
  }
  return body;
}

std::optional<Failure> check_query(const Route& route, const HttpRequest& request) {
  for (const HttpQueryItem& item : request.query) {
    if (find_field(route.query, item.key) == nullptr)
      return invalid("the query has an item that is not known here");
    if (request.query_value(item.key)->data() != item.value.data())
      return invalid("the query has an item twice");
  }
  return std::nullopt;
}

AuditEvent event_of(const HttpRequest& request, const Account& account, const char* action) {
  AuditEvent event;
  event.action = action;
  event.user = account.name;
  event.origin = request.peer_address;
  event.object = request.method + " " + printable(request.path);
  event.request_id = request.id;
  return event;
}

Status append(Service* service, const AuditEvent& event) {
  return service->audit() == nullptr ? Status() : service->audit()->append(event);
}

// run audits around the handler: first that it is about to be done, so that nothing is done that the
// log does not hold, then how it went.
Answer<Reply> run(const Route& route, Call& call, const Account& account) {
  if (route.action == nullptr) return route.handler(call);
  AuditEvent event = event_of(*call.request, account, route.action);
  event.outcome = "started";
  if (const Status status = append(call.service, event); !status.ok()) return status;
  Answer<Reply> reply = route.handler(call);
  event.outcome = reply.ok() ? "ok" : "failed";
  event.detail = reason_name(reply.reason());
  if (const Status status = append(call.service, event); !status.ok()) return status;
  return reply;
}

HttpResponse forbidden(Service* service, const HttpRequest& request, const Account& account) {
  AuditEvent event = event_of(request, account, "native.denied");
  event.outcome = "denied";
  static_cast<void>(append(service, event));  // refused in any case
  return error_of_status(403);
}

HttpResponse method_not_allowed(const std::string& allow) {
  HttpResponse response = error_of_status(405);
  response.headers.push_back({"Allow", allow});
  return response;
}

std::string_view below_prefix(std::string_view path) {
  return path.starts_with(kPrefix) ? path.substr(kPrefix.size()) : std::string_view();
}

HttpHandler workers_or_503(Workers* workers, HttpHandler handler) {
  return on_workers(workers, std::move(handler),
                    [](const HttpRequest&) { return error_of_status(503); });
}

bool is_read(const HttpRequest& request) {
  return request.method == "GET" || request.method == "HEAD";
}

// says_json: a page of another origin can make a browser send a form or a plain text, and no JSON,
// unless it asks first (the Fetch standard's CORS preflight) and is told yes, which nobody here says.
bool says_json(const HttpRequest& request) {
  const std::string_view type = request.header("Content-Type").value_or("");
  return same_header_name(type.substr(0, type.find_first_of("; \t")), "application/json");
}

}  // namespace

FrontEnd::FrontEnd(Service* service, Workers* workers)
    : service_(service),
      workers_(workers),
      accounts_(service_accounts(service)),
      authenticator_(accounts_.get(), "native 401") {}

HttpHandler FrontEnd::handler() {
  return workers_or_503(workers_,
                        [this](const std::shared_ptr<const HttpRequest>& request,
                               const HttpRespond& respond) { respond(handle(*request)); });
}

HttpResponse FrontEnd::handle(const HttpRequest& request) {
  const std::string_view path = below_prefix(request.path);
  if (path == "/openapi.json" && is_read(request)) return json_response(200, open_api_document());
  const auto account = authenticator_.authenticate(request);
  if (!account) return error_of_status(401);
  Match match = find_route(path, request.method);
  if (match.allow.empty()) return error_of_status(404);
  if (match.route == nullptr) return method_not_allowed(match.allow);
  const Route& route = *match.route;
  if (!may(account->role, route.permission)) return forbidden(service_, request, *account);
  if (!request.body.empty() && !says_json(request)) return error_of_status(415);
  if (const auto failure = check_query(route, request)) return error_response(*failure);
  auto body = read_body(route, request);
  if (!body.ok()) return error_response(body.failure());
  Call call{service_,
            &request,
            &*account,
            std::move(match.holes),
            std::move(body).value(),
            Caller{JobOrigin::kNative, account->name, request.method + " " + request.path}};
  const Answer<Reply> reply = run(route, call, *account);
  if (!reply.ok()) return error_response(reply.failure());
  return json_response(reply.value().status, reply.value().body);
}

HttpHandler FrontEnd::metrics(std::function<std::string()> text, bool is_public) {
  return workers_or_503(
      workers_, [this, text = std::move(text), is_public](
                    const std::shared_ptr<const HttpRequest>& request, const HttpRespond& respond) {
        if (!is_public) {
          const auto account = authenticator_.authenticate(*request);
          if (!account) return respond(error_of_status(401));
          if (!may(account->role, Permission::kRead)) return respond(error_of_status(403));
        }
        if (!is_read(*request)) return respond(method_not_allowed("GET, HEAD"));
        HttpResponse response;
        response.content_type = "text/plain; version=0.0.4; charset=utf-8";
        response.body = text();
        respond(std::move(response));
      });
}

HttpHandler FrontEnd::health() const {
  return [](const std::shared_ptr<const HttpRequest>& /*request*/, const HttpRespond& respond) {
    respond(json_response(200, {{"status", "alive"}}));
  };
}

HttpHandler FrontEnd::ready() {
  return workers_or_503(workers_, [this](const std::shared_ptr<const HttpRequest>& /*request*/,
                                         const HttpRespond& respond) {
    const bool is_ready = service_->is_ready().ok();
    respond(json_response(is_ready ? 200 : 503, {{"status", is_ready ? "ready" : "not ready"}}));
  });
}

}  // namespace rewrap::native
