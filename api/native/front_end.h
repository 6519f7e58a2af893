// Native REST, everything under /v1, and what monitoring asks for: /healthz, /readyz, /metrics.
// It finds the route, asks who is there and whether that is allowed, checks query and body against the
// route's tables, calls the handler, and keeps the audit log.
#ifndef REWRAP_API_NATIVE_FRONT_END_H_
#define REWRAP_API_NATIVE_FRONT_END_H_

#include <functional>
#include <memory>
#include <string>

#include "api/front/authenticator.h"
#include "api/http/message.h"
#include "api/http/workers.h"
#include "api/service/service.h"

namespace rewrap::native {

// Any thread. Service and workers must outlive the front end, and it the server that has its handlers.
class FrontEnd {
 public:
  FrontEnd(Service* service, Workers* workers);

  // handler answers for /v1; 503 where the workers have no room. /v1/openapi.json needs no account.
  [[nodiscard]] HttpHandler handler();

  // metrics answers for /metrics with what `text` gives, which may ask the service. Needs an account
  // that may read, unless `is_public`.
  [[nodiscard]] HttpHandler metrics(std::function<std::string()> text, bool is_public);

  // health answers 200 as soon as it is called; ready 200 or 503, by Service::is_ready. Neither needs
  // an account, neither tells more than that.
  [[nodiscard]] HttpHandler health() const;
  [[nodiscard]] HttpHandler ready();

  // handle does one request for /v1 on the calling thread.
  HttpResponse handle(const HttpRequest& request);

 private:
  Service* service_;
  Workers* workers_;
  std::unique_ptr<AccountsBackend> accounts_;
  Authenticator authenticator_;
};

}  // namespace rewrap::native

#endif  // REWRAP_API_NATIVE_FRONT_END_H_
