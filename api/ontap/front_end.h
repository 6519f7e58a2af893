// The ONTAP REST front end: everything under /api. It finds the route, asks who is there and whether
// that is allowed, checks query and body against the route's tables, calls the handler, keeps the
// audit log, and waits for jobs without a thread.
#ifndef REWRAP_API_ONTAP_FRONT_END_H_
#define REWRAP_API_ONTAP_FRONT_END_H_

#include <memory>

#include "api/front/authenticator.h"
#include "api/http/message.h"
#include "api/http/workers.h"
#include "api/ontap/backend.h"

namespace rewrap::ontap {

// Any thread. Backend and workers must outlive the front end, and it the server that has its handler.
// Answers to requests that wait for jobs may come later than that: they need nothing of it.
class FrontEnd {
 public:
  FrontEnd(Backend* backend, Workers* workers);

  // handler gives what the server is to call for /api and everything below; 429 where the workers
  // have no room.
  [[nodiscard]] HttpHandler handler();

  // handle does one request on the calling thread. It may block for as long as the service does.
  void handle(const std::shared_ptr<const HttpRequest>& request, const HttpRespond& respond);

 private:
  Backend* backend_;
  Workers* workers_;
  Authenticator authenticator_;
};

}  // namespace rewrap::ontap

#endif  // REWRAP_API_ONTAP_FRONT_END_H_
