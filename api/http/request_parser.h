// Bytes in, requests out: HTTP/1.1 framing with limits, no sockets. One thread at a time.
#ifndef REWRAP_API_HTTP_REQUEST_PARSER_H_
#define REWRAP_API_HTTP_REQUEST_PARSER_H_

#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "api/http/limits.h"
#include "api/http/message.h"

namespace rewrap {

// RequestParser reads one request after the other from a stream of bytes. What it says depends on the
// bytes alone, never on how they were cut into reads. `limits` must outlive it.
class RequestParser {
 public:
  enum class Progress {
    kNeedMore,  // read into room(), commit, parse again
    kHeader,    // once for a request with a body: header read, body to come; parse again
    kDone,      // take() it, then next()
    kBad,       // answer with status() and close: the stream has lost its beat
  };

  explicit RequestParser(const HttpLimits& limits);
  RequestParser(const RequestParser&) = delete;
  RequestParser& operator=(const RequestParser&) = delete;
  ~RequestParser();

  // room is where the next bytes go, at least one after kNeedMore; commit says how many came.
  std::span<char> room();
  void commit(std::size_t len);

  Progress parse();

  // started is true from the first byte of a request until next(); empty lines before one (RFC 9112
  // section 2.2) do not count.
  [[nodiscard]] bool started() const;

  // What follows is known from kHeader on.
  [[nodiscard]] bool in_body() const;
  [[nodiscard]] std::size_t max_body_len() const;  // Content-Length, or the limit if chunked
  // The client waits for "100 Continue", and none of the body has come.
  [[nodiscard]] bool expects_continue() const;
  [[nodiscard]] bool keep_alive() const;

  // status is that of kBad; method and path are what could be read, or "".
  [[nodiscard]] int status() const;
  [[nodiscard]] std::string method() const;
  [[nodiscard]] std::string path() const;

  // take gives the request with everything but id, peer, TLS and time.
  std::shared_ptr<HttpRequest> take();

  // next makes ready for the next request; bytes read too far are kept.
  void next();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace rewrap

#endif  // REWRAP_API_HTTP_REQUEST_PARSER_H_
