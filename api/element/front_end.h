// The Element JSON-RPC front end: everything under /json-rpc. It asks who is there, reads the
// envelope, finds the method, asks whether that is allowed, checks the parameters against the method's
// table, calls the handler, and keeps the audit log.
#ifndef REWRAP_API_ELEMENT_FRONT_END_H_
#define REWRAP_API_ELEMENT_FRONT_END_H_

#include <memory>

#include "api/element/backend.h"
#include "api/front/authenticator.h"
#include "api/http/message.h"
#include "api/http/workers.h"

namespace rewrap::element {

// Any thread. Backend and workers must outlive the front end, and it the server that has its handler.
class FrontEnd {
 public:
  FrontEnd(Backend* backend, Workers* workers);

  // handler gives what the server is to call for /json-rpc and everything below; 429 where the workers
  // have no room.
  [[nodiscard]] HttpHandler handler();

  // handle does one request on the calling thread. It may block for as long as the service does.
  HttpResponse handle(const HttpRequest& request);

 private:
  Backend* backend_;
  Workers* workers_;
  Authenticator authenticator_;
};

}  // namespace rewrap::element

#endif  // REWRAP_API_ELEMENT_FRONT_END_H_
