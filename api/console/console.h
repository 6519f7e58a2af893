// The web console: one page for /console that shows and steers through /v1 what this service does. The
// page is the same for everybody and holds no data: a browser asks for those by itself, with the name
// and password that its user types in. No account, no state, no service behind it.
#ifndef REWRAP_API_CONSOLE_CONSOLE_H_
#define REWRAP_API_CONSOLE_CONSOLE_H_

#include "api/http/message.h"

namespace rewrap::console {

// answer gives the page for /console, its parts for /console/<name>, and leads to it from "/". Errors,
// as pages in plain words: 404, 405. Any thread; takes microseconds.
HttpResponse answer(const HttpRequest& request);

// error_page says a status in the words of RFC 9110.
HttpResponse error_page(int status);

HttpHandler handler();

}  // namespace rewrap::console

#endif  // REWRAP_API_CONSOLE_CONSOLE_H_
