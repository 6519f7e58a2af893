// Pages of other origins make a visitor's browser send requests, with the credentials that it holds for
// this server: a client certificate, or a name and password that it once asked for. This is the guard
// for every front end. Fetch Metadata (W3C), Origin (RFC 6454). No sockets, any thread.
#ifndef REWRAP_API_HTTP_CROSS_SITE_H_
#define REWRAP_API_HTTP_CROSS_SITE_H_

#include <functional>
#include <string_view>

#include "api/http/message.h"

namespace rewrap {

// is_cross_site says whether a browser sent the request for a page of another origin, and not because
// somebody followed a link: that may be read, as a page of its own. What is no browser says nothing
// of where a request comes from, and is let through.
bool is_cross_site(const HttpRequest& request);

// refuse_cross_site gives a handler that answers such a request with 403 in `shape`, and asks `handler`
// for all others.
HttpHandler refuse_cross_site(HttpHandler handler,
                              std::function<HttpResponse(int status, std::string_view path)> shape);

}  // namespace rewrap

#endif  // REWRAP_API_HTTP_CROSS_SITE_H_
