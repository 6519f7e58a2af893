// A running server with a self-signed certificate, for tests.
#ifndef REWRAP_TESTS_API_HTTP_FIXTURE_H_
#define REWRAP_TESTS_API_HTTP_FIXTURE_H_

#include <functional>
#include <memory>
#include <string>

#include "api/http/server.h"
#include "tests/api/http_client.h"

namespace rewrap::test {

// shared_certificate gives the files of a self-signed certificate, made once per process.
const TlsFiles& shared_certificate();

// echo answers with what it was asked: "METHOD path|key=value;|body".
HttpHandler echo();

class TestServer {
 public:
  // Listens plain and with TLS on free ports. Ends the program with a message if it does not start.
  explicit TestServer(HttpHandler handler = echo(),
                      const std::function<void(HttpServerConfig*)>& change = nullptr);

  [[nodiscard]] std::uint16_t plain_port() const { return server_->addresses()[0].port; }
  [[nodiscard]] std::uint16_t tls_port() const { return server_->addresses()[1].port; }
  [[nodiscard]] HttpClient plain() const { return HttpClient(plain_port()); }
  [[nodiscard]] HttpClient tls(const ClientTls& options = {}) const {
    return {tls_port(), options};
  }
  HttpServer* operator->() { return server_.get(); }

  // destroy ends the server as its owner would by letting it go.
  void destroy() { server_.reset(); }

 private:
  std::unique_ptr<HttpServer> server_;
};

// eventually waits for what another thread is about to do: two seconds at most.
bool eventually(const std::function<bool()>& condition);

}  // namespace rewrap::test

#endif  // REWRAP_TESTS_API_HTTP_FIXTURE_H_
