// What browsers say of themselves; scripts cannot set any of these headers.
#include "api/http/cross_site.h"

#include <memory>
#include <utility>

namespace rewrap {
namespace {

bool is_read(const HttpRequest& request) {
  return request.method == "GET" || request.method == "HEAD";
}

// is_link: the answer is shown as a page of its own, out of reach of the page with the link.
bool is_link(const HttpRequest& request) {
  return is_read(request) && request.header("Sec-Fetch-Mode") == "navigate" &&
         request.header("Sec-Fetch-Dest") == "document";
}

// authority_of gives HOST:PORT of an origin; empty for "null", which is the origin of sandboxed pages
// and of files.
std::string_view authority_of(std::string_view origin) {
  const std::size_t slashes = origin.find("://");
  return slashes == std::string_view::npos ? std::string_view() : origin.substr(slashes + 3);
}

}  // namespace

bool is_cross_site(const HttpRequest& request) {
  if (const auto site = request.header("Sec-Fetch-Site"))
    return *site != "same-origin" && *site != "none" && !is_link(request);
  // A browser that is too old to say it, or a server that it does not take for secure.
  const auto origin = request.header("Origin");
  if (!origin) return false;
  const std::string_view host = request.header("Host").value_or("");
  return host.empty() || !same_header_name(authority_of(*origin), host);
}

HttpHandler refuse_cross_site(HttpHandler handler,
                              std::function<HttpResponse(int, std::string_view)> shape) {
  return [handler = std::move(handler), shape = std::move(shape)](
             const std::shared_ptr<const HttpRequest>& request, const HttpRespond& respond) {
    if (is_cross_site(*request)) return respond(shape(403, request->path));
    handler(request, respond);
  };
}

}  // namespace rewrap
