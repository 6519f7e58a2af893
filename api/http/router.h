// Which handler answers for which path. No sockets.
#ifndef REWRAP_API_HTTP_ROUTER_H_
#define REWRAP_API_HTTP_ROUTER_H_

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "api/http/message.h"

namespace rewrap {

// Front is what answers below one path.
struct HttpFront {
  // "/api" answers for /api, /api/ and everything below, not for /apis.
  std::string prefix;
  HttpHandler handler;
  // The answer to a request that does not reach the handler; see HttpServerConfig::error_shape.
  std::function<HttpResponse(int status)> error_shape = {};
};

// HttpRouter is filled before the server starts, and only read from then on: any thread.
class HttpRouter {
 public:
  // add: a longer prefix counts before a shorter one, in whatever order they come.
  void add(HttpFront front);

  // handler and error_shape give what HttpServer wants; the router must outlive it. A path of nobody
  // gets a 404.
  [[nodiscard]] HttpHandler handler() const;
  [[nodiscard]] std::function<HttpResponse(int status, std::string_view path)> error_shape() const;

 private:
  [[nodiscard]] const HttpFront* find(std::string_view path) const;

  std::vector<HttpFront> fronts_;  // the longest prefix first
};

}  // namespace rewrap

#endif  // REWRAP_API_HTTP_ROUTER_H_
