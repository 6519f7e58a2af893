// Paths, types, and what browsers are told not to do.
#include "api/console/console.h"

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "api/console/assets.h"

namespace rewrap::console {
namespace {

constexpr std::string_view kPage = "/console";

// Nothing but the files here may run, be shown or be asked for; the page cannot be framed, sends no form
// by itself, and its script can turn no text into HTML (Trusted Types): what a name or an error
// message holds stays text. CSP level 3.
constexpr const char* kContentSecurityPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'";

void protect(HttpResponse* response) {
  response->headers = {{"Content-Security-Policy", kContentSecurityPolicy},
                       {"X-Frame-Options", "DENY"},
                       {"Referrer-Policy", "no-referrer"},
                       {"Cross-Origin-Opener-Policy", "same-origin"},
                       {"Cross-Origin-Resource-Policy", "same-origin"},
                       {"Permissions-Policy", "camera=(), geolocation=(), microphone=()"},
                       {"Cache-Control", "no-store"},
                       {"X-Content-Type-Options", "nosniff"}};
}

const char* type_of(std::string_view name) {
  if (name.ends_with(".css")) return "text/css; charset=utf-8";
  if (name.ends_with(".js")) return "text/javascript; charset=utf-8";
  if (name.ends_with(".svg")) return "image/svg+xml";
  return "text/html; charset=utf-8";
}

HttpResponse asset(std::string_view name) {
  for (const Asset& asset : kAssets) {
    if (asset.name != name) continue;
    HttpResponse response;
    response.content_type = type_of(name);
    response.body = asset.bytes;
    protect(&response);
    return response;
  }
  return error_page(404);
}

HttpResponse lead_to_page() {
  HttpResponse response = error_page(303);
  response.headers.push_back({"Location", std::string(kPage)});
  return response;
}

}  // namespace

HttpResponse error_page(int status) {
  HttpResponse response;
  response.status = status;
  response.content_type = "text/plain; charset=utf-8";
  response.body = std::string(http_reason(status)) + "\n";
  protect(&response);
  return response;
}

HttpResponse answer(const HttpRequest& request) {
  if (request.method != "GET" && request.method != "HEAD") {
    HttpResponse response = error_page(405);
    response.headers.push_back({"Allow", "GET, HEAD"});
    return response;
  }
  std::string_view path = request.path;
  if (path == "/") return lead_to_page();
  if (path == kPage) return asset("console.html");
  if (!path.starts_with(kPage)) return error_page(404);
  path.remove_prefix(kPage.size());
  return path == "/" ? lead_to_page() : asset(path.substr(1));
}

HttpHandler handler() {
  return [](const std::shared_ptr<const HttpRequest>& request, const HttpRespond& respond) {
    respond(answer(*request));
  };
}

}  // namespace rewrap::console
