// The way of a request: each step may end it.
#include "api/element/front_end.h"

#include <algorithm>
#include <utility>

#include "api/element/choices.h"
#include "api/element/envelope.h"
#include "api/element/methods.h"
#include "api/front/printable.h"

namespace rewrap::element {
namespace {

namespace json = boost::json;

// is_endpoint says whether the path is /json-rpc/<version>, with one slash at its end or without.
bool is_endpoint(std::string_view path) {
  constexpr std::string_view kPrefix = "/json-rpc/";
  if (!path.starts_with(kPrefix)) return false;
  path.remove_prefix(kPrefix.size());
  if (path.ends_with('/')) path.remove_suffix(1);
  return std::find(kVersions.begin(), kVersions.end(), path) != kVersions.end();
}

AuditEvent event_of(const HttpRequest& request, const Account& account, const Method& method) {
  AuditEvent event;
  event.action = "element." + std::string(method.name);
  event.user = account.name;
  event.origin = request.peer_address;
  event.object = printable(request.path);
  event.request_id = request.id;
  return event;
}

// objects_of says what a call is about, for the audit log: its ids.
std::string objects_of(const Params& params) {
  std::string objects;
  for (const char* name : {"keyProviderID", "keyServerID"}) {
    const auto id = params.integer(name);
    if (!id) continue;
    if (!objects.empty()) objects += " ";
    objects.append(name).append("=").append(std::to_string(*id));
  }
  return objects;
}

// run audits around the handler: first that it is about to be done, so that nothing is done that the
// log does not hold, then how it went.
Outcome run(const Method& method, AuditEvent event, Call& call) {
  if (method.effect != Effect::kChanges) return method.handler(call);
  const std::string objects = objects_of(call.params);
  if (!objects.empty()) event.object = objects;
  event.outcome = "started";
  if (!call.backend->audit(event).ok())
    return audit_failed("The audit log cannot be written: nothing was done.");
  Outcome outcome = method.handler(call);
  event.outcome = outcome.ok() ? "ok" : "failed";
  event.detail = outcome.ok() ? "" : outcome.status().name;
  if (!call.backend->audit(event).ok())
    return audit_failed("The audit log cannot be written: look what was done.");
  return outcome;
}

HttpResponse deny(Backend* backend, AuditEvent event, const json::value& id, const Method& method) {
  const Error error = permission_denied(method.name);
  event.action = "element.denied";
  event.object = method.name;
  event.outcome = "denied";
  event.detail = error.name;
  (void)backend->audit(event);  // refused in any case
  return error_response(id, error);
}

// answer does what the envelope asks for.
HttpResponse answer(Backend* backend, const HttpRequest& request, const Account& account,
                    Envelope envelope) {
  if (envelope.error) return error_response(envelope.id, *envelope.error);
  const Method* method = find_method(envelope.method);
  if (method == nullptr) return error_response(envelope.id, unknown_method(envelope.method));
  AuditEvent event = event_of(request, account, *method);
  if (method->permission && !backend->is_allowed(account.role, *method->permission))
    return deny(backend, std::move(event), envelope.id, *method);
  if (envelope.by_url && method->effect != Effect::kReads)
    return error_response(envelope.id, not_permitted("This method is for POST only."));
  auto params = Params::parse(method->params, envelope.params, envelope.by_url);
  if (!params.ok()) return error_response(envelope.id, params.status());
  const json::object unused = params.value().unused();
  Call call{backend, account, std::move(params).value(),
            Caller{JobOrigin::kElement, account.name, std::string(method->name)}, envelope.by_url};
  Outcome outcome = run(*method, std::move(event), call);
  if (!outcome.ok()) return error_response(envelope.id, outcome.status());
  return result_response(envelope.id, std::move(outcome).value(), unused);
}

}  // namespace

FrontEnd::FrontEnd(Backend* backend, Workers* workers)
    : backend_(backend), workers_(workers), authenticator_(backend, "element 401") {}

HttpHandler FrontEnd::handler() {
  return on_workers(
      workers_,
      [this](const std::shared_ptr<const HttpRequest>& request, const HttpRespond& respond) {
        respond(handle(*request));
      },
      [](const HttpRequest&) { return too_busy(); });
}

HttpResponse FrontEnd::handle(const HttpRequest& request) {
  const auto account = authenticator_.authenticate(request);
  if (!account) return unauthorised();
  if (!is_endpoint(request.path)) return http_error(404);
  if (request.method != "POST" && request.method != "GET" && request.method != "HEAD") {
    HttpResponse response = http_error(405);
    response.headers = {{"Allow", "POST, GET, HEAD"}};
    return response;
  }
  return answer(backend_, request, *account, read_envelope(request));
}

}  // namespace rewrap::element
