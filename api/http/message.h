// What a front end sees of HTTP: a request, a response, and the function between them. No socket, no
// Boost. RFC 9110 (semantics), RFC 9112 (HTTP/1.1), RFC 3986 (targets).
#ifndef REWRAP_API_HTTP_MESSAGE_H_
#define REWRAP_API_HTTP_MESSAGE_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/http/wiped_string.h"

namespace rewrap {

struct HttpHeader {
  std::string name;
  std::string value;
};

// One `key=value` of the query, percent-decoded, '+' read as a space. `?fields` gives an empty value,
// and so does `?fields=`.
struct HttpQueryItem {
  std::string key;
  std::string value;
};

// What the client proved about itself in the TLS handshake. A certificate that does not verify is
// reported here and not refused there, so that each API can say 401 in its own words.
struct ClientCertificate {
  bool presented = false;
  // Verified against the configured client CA: chain, dates, purpose. Trust the names below only
  // then.
  bool verified = false;
  std::string error;        // OpenSSL's words where presented and not verified, for the log
  std::string common_name;  // the subject's CN in UTF-8; empty if there is none or more than one
  // Subject alternative names, as "DNS:name", "email:name", "URI:name" or "IP:address".
  std::vector<std::string> alternative_names;
  std::string sha256;  // fingerprint of the whole certificate, 64 lower-case hex digits
};

// HttpRequest is whole when a handler gets it: body read, chunks joined, names decoded. Immutable
// from then on; any thread. Everything in it is wiped when it goes, for a header may be a password and
// a body a key. Header and body sizes are bounded by HttpLimits.
struct HttpRequest {
  HttpRequest() = default;
  HttpRequest(const HttpRequest&) = delete;
  HttpRequest& operator=(const HttpRequest&) = delete;
  ~HttpRequest();

  std::string method;    // as sent: "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"
  std::string target;    // as sent, e.g. "/api/cluster/jobs?fields=%2A"
  std::string raw_path;  // the path in it, not decoded, e.g. "/api/cluster/jobs"
  // The path with dot segments removed (RFC 3986 section 5.2.4) and then percent-decoded, once.
  // Never holds a zero byte; an encoded slash or backslash was refused before. "*" for `OPTIONS *`.
  std::string path;
  std::vector<HttpQueryItem> query;  // in the order sent, doubles kept
  std::vector<HttpHeader> headers;   // in the order sent, doubles kept
  WipedString body;

  std::string id;            // X-Request-Id if it was fit for a log, else made here
  std::string peer_address;  // "192.0.2.1", "2001:db8::1"
  std::uint16_t peer_port = 0;
  bool is_tls = false;
  ClientCertificate client_certificate;
  std::chrono::steady_clock::time_point received{};  // when its last byte came

  // header gives the first field of that name in any case. Host, Content-Length, Content-Type,
  // Authorization and Transfer-Encoding never come twice: such a request was refused.
  [[nodiscard]] std::optional<std::string_view> header(std::string_view name) const;

  // query_value gives the first item of that key, case as it is.
  [[nodiscard]] std::optional<std::string_view> query_value(std::string_view key) const;
};

// HttpResponse is what a handler gives back. The server adds Content-Length, Date, Connection,
// X-Request-Id and, unless they are set here, `Cache-Control: no-store` and
// `X-Content-Type-Options: nosniff`. For HEAD it keeps the length and leaves out the body. A status
// outside 200 to 599, or a header that holds a line break or breaks RFC 9110's grammar, becomes a 500.
struct HttpResponse {
  int status = 200;
  std::string content_type = "application/json";  // "": no such header
  std::vector<HttpHeader> headers;
  std::string body;
  bool close = false;  // close the connection after it
};

// http_reason gives the words of RFC 9110 section 15 for a status, e.g. "Not Found".
std::string_view http_reason(int status);

// plain_error gives {"error":"..."} in these words.
HttpResponse plain_error(int status);

// same_header_name compares as RFC 9110 section 5.1 wants it: ASCII case does not count.
bool same_header_name(std::string_view a, std::string_view b);

// HttpRespond takes the answer: from any thread, at any time, also after the client or the whole
// server is gone (the answer is dropped then). The first call counts, later ones do nothing; when the
// last copy goes without a call, the client gets a 500.
using HttpRespond = std::function<void(HttpResponse)>;

// HttpHandler answers requests. It is called on a network thread, from several at once if there are
// several: work of more than about a millisecond (password hashes, disk, tokens) goes to another
// thread, see api/http/workers.h. An exception from it gives a 500.
using HttpHandler = std::function<void(std::shared_ptr<const HttpRequest>, HttpRespond)>;

}  // namespace rewrap

#endif  // REWRAP_API_HTTP_MESSAGE_H_
