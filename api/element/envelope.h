// The envelope: what a request holds around its parameters, and what every answer looks like. Pure
// functions, any thread.
//
// Element speaks JSON-RPC in its own way: no version member, no batches, `params` is an object or
// absent, and an answer has either `result` or `error`, never a null one.
#ifndef REWRAP_API_ELEMENT_ENVELOPE_H_
#define REWRAP_API_ELEMENT_ENVELOPE_H_

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <optional>
#include <string>

#include "api/element/errors.h"
#include "api/http/message.h"

namespace rewrap::element {

struct Envelope {
  boost::json::value id;  // a string or an integer, as sent; null for everything else
  std::string method;     // as sent
  boost::json::object params;
  bool by_url = false;         // GET: all values are text, and nothing may be changed
  std::optional<Error> error;  // then only `id` counts, as far as it could be read
};

// read_envelope reads a POST's body, whatever its Content-Type, or the query of a GET.
Envelope read_envelope(const HttpRequest& request);

// result_response gives {"id":...,"result":{...}}, with "unusedParameters" beside it if there are any.
HttpResponse result_response(const boost::json::value& id, boost::json::object result,
                             const boost::json::object& unused);

// error_response gives {"id":...,"error":{"code":500,...}}, with HTTP status 200: clients look at no
// body of another one.
HttpResponse error_response(const boost::json::value& id, const Error& error);

// unauthorised gives 401 in HTML: a client looks for the words "401 Unauthorized." in it.
HttpResponse unauthorised();

// too_busy is 429, and an error of its own in the body.
HttpResponse too_busy();

// http_error is the text for all other statuses; see HttpServerConfig::error_shape. A client looks for
// the words "404 Not Found".
HttpResponse http_error(int status);

}  // namespace rewrap::element

#endif  // REWRAP_API_ELEMENT_ENVELOPE_H_
