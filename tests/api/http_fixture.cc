// The server under test.
#include "tests/api/http_fixture.h"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "api/http/tls_certificate.h"
#include "tests/api/test_pki.h"

namespace rewrap::test {

const TlsFiles& shared_certificate() {
  static const TestPki pki;
  static const TlsFiles files = [] {
    TlsFiles made{pki.path("server.crt"), pki.path("server.key"), ""};
    if (const Status status = make_self_signed(made.certificate, made.key); !status.ok()) {
      std::fprintf(stderr, "test server: %s\n", status.describe().c_str());
      std::abort();
    }
    return made;
  }();
  return files;
}

HttpHandler echo() {
  return [](const std::shared_ptr<const HttpRequest>& request, const HttpRespond& respond) {
    HttpResponse response;
    response.content_type = "text/plain";
    response.body = request->method + " " + request->path + "|";
    for (const HttpQueryItem& item : request->query)
      response.body += item.key + "=" + item.value + ";";
    response.body += "|" + std::string(request->body);
    respond(std::move(response));
  };
}

TestServer::TestServer(HttpHandler handler, const std::function<void(HttpServerConfig*)>& change) {
  HttpServerConfig config;
  config.listen = {{"127.0.0.1", 0, false}, {"127.0.0.1", 0, true}};
  config.tls = shared_certificate();
  if (change) change(&config);
  auto server = HttpServer::start(std::move(config), std::move(handler));
  if (!server.ok()) {
    std::fprintf(stderr, "test server: %s\n", server.status().describe().c_str());
    std::abort();
  }
  server_ = std::move(server).value();
}

bool eventually(const std::function<bool()>& condition) {
  for (int i = 0; i < 2'000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return false;
}

}  // namespace rewrap::test
