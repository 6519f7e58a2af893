// Routes, and the way of a request through them.
#include "api/ontap/front_end.h"

#include <algorithm>
#include <array>
#include <utility>

#include "api/front/printable.h"
#include "api/ontap/body.h"
#include "api/ontap/choices.h"
#include "api/ontap/handlers.h"
#include "api/ontap/query.h"
#include "api/ontap/reply.h"
#include "api/ontap/resources.h"

namespace rewrap::ontap {
namespace {

namespace json = boost::json;

using Table = FieldTable (*)();

struct Route {
  std::string_view pattern;  // below /api; {} is a UUID
  std::string_view method;
  Permission permission;
  QueryKind kind;
  Table fields;        // of the resource, for the query
  Table body;          // what a body may hold; null: nothing
  Change change;       // how it is checked
  const char* action;  // in the audit log; null: nothing is changed
  Checked<Reply> (*handler)(Call&);
};

constexpr auto kRead = Permission::kRead;
constexpr auto kRekey = Permission::kRekey;
constexpr auto kConfigure = Permission::kConfigure;

constexpr Route list_route(std::string_view pattern, Table fields,
                           Checked<Reply> (*handler)(Call&)) {
  return {pattern,         "GET",   kRead,  QueryKind::kCollection, fields, nullptr,
          Change::kCreate, nullptr, handler};
}
constexpr Route get_route(std::string_view pattern, Table fields,
                          Checked<Reply> (*handler)(Call&)) {
  return {pattern,         "GET",   kRead,  QueryKind::kInstance, fields, nullptr,
          Change::kCreate, nullptr, handler};
}

constexpr std::array kRoutes = {
    get_route("/cluster", cluster_fields, get_cluster),
    list_route("/cluster/nodes", node_fields, list_nodes),
    get_route("/cluster/nodes/{}", node_fields, get_node),
    list_route("/cluster/jobs", job_fields, list_jobs),
    get_route("/cluster/jobs/{}", job_fields, get_job),
    Route{"/cluster/jobs/{}", "PATCH", kRekey, QueryKind::kPatch, job_fields, nullptr,
          Change::kModify, "ontap.job", patch_job},
    list_route("/svm/svms", svm_fields, list_svms),
    get_route("/svm/svms/{}", svm_fields, get_svm),
    list_route("/security/key-stores", key_store_fields, list_key_stores),
    get_route("/security/key-stores/{}", key_store_fields, get_key_store),
    list_route("/security/aws-kms", aws_kms_fields, list_aws_kms),
    Route{"/security/aws-kms", "POST", kConfigure, QueryKind::kPost, aws_kms_fields, aws_kms_fields,
          Change::kCreate, "ontap.aws-kms.create", create_aws_kms},
    get_route("/security/aws-kms/{}", aws_kms_fields, get_aws_kms),
    Route{"/security/aws-kms/{}", "PATCH", kConfigure, QueryKind::kPatch, aws_kms_fields,
          aws_kms_fields, Change::kModify, "ontap.aws-kms.modify", patch_aws_kms},
    Route{"/security/aws-kms/{}", "DELETE", kConfigure, QueryKind::kDelete, aws_kms_fields, nullptr,
          Change::kModify, "ontap.aws-kms.delete", delete_aws_kms},
    Route{"/security/aws-kms/{}/rekey-internal", "POST", kRekey, QueryKind::kPost, aws_kms_fields,
          nullptr, Change::kCreate, "ontap.rekey-internal", rekey_internal},
    Route{"/security/aws-kms/{}/rekey-external", "POST", kRekey, QueryKind::kPost, aws_kms_fields,
          rekey_external_fields, Change::kCreate, "ontap.rekey-external", rekey_external},
    Route{"/security/aws-kms/{}/restore", "POST", kRekey, QueryKind::kPost, aws_kms_fields, nullptr,
          Change::kCreate, "ontap.restore", restore_keys},
};

// normal_path gives the path below /api without doubled and trailing slashes; nothing elsewhere.
std::optional<std::string> normal_path(std::string_view path) {
  std::string normal;
  for (const char c : path)
    if (c != '/' || !normal.ends_with('/')) normal.push_back(c);
  while (normal.ends_with('/')) normal.pop_back();
  constexpr std::string_view kPrefix = "/api";
  if (normal != kPrefix && !normal.starts_with("/api/")) return std::nullopt;
  return normal.substr(kPrefix.size());
}

// matches compares a path with a pattern; `*uuid` gets the segment for {}.
bool matches(std::string_view pattern, std::string_view path, std::string_view* uuid) {
  const std::size_t hole = pattern.find("{}");
  if (hole == std::string_view::npos) return pattern == path;
  if (!path.starts_with(pattern.substr(0, hole))) return false;
  const std::string_view rest = path.substr(hole);
  *uuid = rest.substr(0, rest.find('/'));
  return !uuid->empty() && rest.substr(uuid->size()) == pattern.substr(hole + 2);
}

struct Match {
  const Route* route = nullptr;  // null: the path is known, the method is not
  bool known = false;
  std::string_view uuid;
  std::string allow = "OPTIONS";
};

Match find_route(std::string_view path, std::string_view method) {
  Match match;
  for (const Route& route : kRoutes) {
    if (!matches(route.pattern, path, &match.uuid)) continue;
    match.known = true;
    match.allow.append(", ").append(route.method);
    if (route.method == "GET") match.allow += ", HEAD";
    if (route.method == method || (route.method == "GET" && method == "HEAD")) match.route = &route;
  }
  return match;
}

AuditEvent event_of(const Call& call, const Route& route) {
  AuditEvent event;
  event.action = route.action;
  event.user = call.caller.user;
  event.origin = call.request->peer_address;
  event.object = call.path;
  event.request_id = call.request->id;
  return event;
}

// check_request_body says whether the body fits the route.
std::optional<Error> check_request_body(const Route& route, const Body& body) {
  if (route.body != nullptr) return check_body(route.body(), body, route.change);
  if (body.empty()) return std::nullopt;
  if (route.method == "GET" || route.method == "DELETE") return body_not_allowed();
  return unexpected_argument(body.fields().front().path);
}

HttpResponse response_of(Reply reply, bool hal) {
  HttpResponse response = json_response(reply.status, reply.body, hal);
  for (HttpHeader& header : reply.headers) response.headers.push_back(std::move(header));
  return response;
}

// job_response answers for a job that succeeded (201) or is still under way (202). The link to the job
// is there whatever the client accepts.
HttpResponse job_response(int status, const StartedJob& started, bool with_record, bool hal) {
  json::object body{{"job", job_link(format_uuid(started.job.uuid))}};
  if (with_record) {
    body["num_records"] = 1;
    body["records"] = json::array{started.record};
  }
  HttpResponse response = json_response(status, body, hal);
  if (!started.location.empty()) response.headers.push_back({"Location", started.location});
  return response;
}

// ended_response answers after the wait. A job that is gone by then was there when it was started.
HttpResponse ended_response(const Answer<Job>& job, const StartedJob& started, bool with_record,
                            bool hal) {
  if (!job.ok() || !has_ended(job->state)) return job_response(202, started, false, hal);
  if (job->state == JobState::kSucceeded) return job_response(201, started, with_record, hal);
  if (kFailedJobIsError) return error_response(job_error_for(job.value()), hal);
  return job_response(202, started, false, hal);
}

// respond_job waits for the job as long as the client wants to. Nothing here blocks, so that the
// service's own thread may call back.
void respond_job(Backend* backend, const Call& call, StartedJob started,
                 const HttpRespond& respond) {
  if (call.query.return_timeout == 0) return respond(job_response(202, started, false, call.hal));
  const auto deadline =
      std::chrono::steady_clock::now() + std::chrono::seconds(call.query.return_timeout);
  const Uuid uuid = started.job.uuid;
  backend->on_finished(
      uuid, deadline,
      [started = std::make_shared<const StartedJob>(std::move(started)), hal = call.hal,
       with_record = call.query.return_records, respond](const Answer<Job>& job) {
        respond(ended_response(job, *started, with_record, hal));
      });
}

HttpResponse options_response(const Match& match, bool hal) {
  HttpResponse response = json_response(200, {}, hal);
  response.headers.push_back({"Allow", match.allow});
  return response;
}

// make_call checks query and body, and puts a call together.
Checked<Call> make_call(Backend* backend, const HttpRequest& request, const Route& route,
                        std::string_view uuid_text, const std::string& path, const Account& account,
                        bool hal) {
  Uuid uuid{};
  if (!uuid_text.empty() && !parse_uuid(uuid_text, &uuid)) return malformed_uuid(uuid_text);
  REWRAP_ASSIGN(auto query, parse_query(route.fields(), request.query, route.kind,
                                        route.handler == &patch_job));
  REWRAP_ASSIGN(auto body, Body::parse(request.body));
  if (auto error = check_request_body(route, body)) return *error;
  Caller caller{JobOrigin::kOntap, account.name, request.method + " /api" + path};
  return Call{backend, &request,         "/api" + path,   uuid,
              hal,     std::move(query), std::move(body), std::move(caller)};
}

// run audits around the handler: first that it is about to be done, so that nothing is done that the
// log does not hold, then how it went.
Checked<Reply> run(Backend* backend, const Route& route, Call& call) {
  if (route.action == nullptr) return route.handler(call);
  AuditEvent event = event_of(call, route);
  event.outcome = "started";
  if (!backend->audit(event).ok())
    return simple_error(500, 65562, "The audit log cannot be written: nothing was done.");
  auto reply = route.handler(call);
  event.outcome = reply.ok() ? "ok" : "failed";
  event.detail = std::to_string(reply.ok() ? 0 : reply.status().code);
  if (!backend->audit(event).ok())
    return simple_error(500, 65562, "The audit log cannot be written: look what was done.");
  return reply;
}

void audit_denied(Backend* backend, const HttpRequest& request, const Account& account) {
  AuditEvent event;
  event.action = "ontap.denied";
  event.user = account.name;
  event.origin = request.peer_address;
  event.object = request.method + " " + printable(request.path);
  event.outcome = "denied";
  event.detail = "6";
  event.request_id = request.id;
  (void)backend->audit(event);  // refused in any case
}

}  // namespace

FrontEnd::FrontEnd(Backend* backend, Workers* workers)
    : backend_(backend), workers_(workers), authenticator_(backend, "ontap 401") {}

HttpHandler FrontEnd::handler() {
  return on_workers(
      workers_,
      [this](const std::shared_ptr<const HttpRequest>& request, const HttpRespond& respond) {
        handle(request, respond);
      },
      [](const HttpRequest&) { return error_response(too_busy()); });
}

void FrontEnd::handle(const std::shared_ptr<const HttpRequest>& request,
                      const HttpRespond& respond) {
  const bool hal = wants_hal(request->header("Accept"));
  const auto refuse = [&](const Error& error) { respond(error_response(error, hal)); };

  const auto account = authenticator_.authenticate(*request);
  if (!account) return refuse(unauthorised());
  const auto path = normal_path(request->path);
  if (!path) return refuse(unknown_path());
  const Match match = find_route(*path, request->method);
  if (!match.known) return refuse(unknown_path());
  if (request->method == "OPTIONS") return respond(options_response(match, hal));
  if (match.route == nullptr) {
    HttpResponse response = error_response(method_not_supported(), hal);
    response.headers.push_back({"Allow", match.allow});
    return respond(std::move(response));
  }
  if (!backend_->is_allowed(account->role, match.route->permission)) {
    audit_denied(backend_, *request, *account);
    return refuse(permission_denied());
  }
  auto call = make_call(backend_, *request, *match.route, match.uuid, *path, *account, hal);
  if (!call.ok()) return refuse(call.status());
  auto reply = run(backend_, *match.route, call.value());
  if (!reply.ok()) return refuse(reply.status());
  Reply done = std::move(reply).value();
  if (done.job) return respond_job(backend_, call.value(), std::move(*done.job), respond);
  respond(response_of(std::move(done), hal));
}

}  // namespace rewrap::ontap
