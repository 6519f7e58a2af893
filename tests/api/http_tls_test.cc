// TLS as clients meet it: versions, ciphers, client certificates in every state, reload.
#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include <fstream>
#include <mutex>

#include "api/http/tls_certificate.h"
#include "tests/api/http_fixture.h"
#include "tests/api/test_pki.h"

namespace rewrap {
namespace {

using test::ClientTls;
using test::HttpClient;
using test::TestCertificate;
using test::TestServer;

TEST(HttpTlsTest, SpeaksTls12And13Only) {
  TestServer server;
  for (const auto& [version, name] :
       {std::pair{TLS1_2_VERSION, "TLSv1.2"}, std::pair{TLS1_3_VERSION, "TLSv1.3"}}) {
    HttpClient client = server.tls({.min_version = version, .max_version = version});
    ASSERT_TRUE(client.connected()) << name;
    EXPECT_EQ(client.tls_version(), name);
    EXPECT_TRUE(client.get("/"));
  }
  for (const int version : {TLS1_VERSION, TLS1_1_VERSION}) {
    EXPECT_FALSE(
        server.tls({.min_version = version, .max_version = version, .ciphers = "ALL:@SECLEVEL=0"})
            .connected());
  }
  // Counted after the client has seen it.
  EXPECT_TRUE(test::eventually([&] { return server->counters().failed_handshakes == 2U; }));
}

TEST(HttpTlsTest, AcceptsForwardSecretAeadCiphersOnly) {
  TestServer server;
  const auto offer = [&](const std::string& ciphers) {
    return server.tls({.max_version = TLS1_2_VERSION, .ciphers = ciphers});
  };
  HttpClient good = offer("ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-SHA384");
  ASSERT_TRUE(good.connected());
  EXPECT_EQ(good.tls_cipher(), "ECDHE-ECDSA-AES128-GCM-SHA256");
  for (const char* ciphers :
       {"ECDHE-ECDSA-AES256-SHA384", "ECDHE-ECDSA-AES128-SHA", "AES256-GCM-SHA384", "AES128-SHA",
        "DHE-RSA-AES256-GCM-SHA384", "NULL:@SECLEVEL=0", "ADH:AECDH:@SECLEVEL=0",
        "ECDHE-ECDSA-AES128-CCM8"}) {
    EXPECT_FALSE(offer(ciphers).connected()) << ciphers;
  }
}

TEST(HttpTlsTest, AgreesOnHttp11) {
  TestServer server;
  EXPECT_TRUE(server.tls({.alpn = "http/1.1"}).connected());
  EXPECT_FALSE(server.tls({.alpn = "h2"}).connected());
}

TEST(HttpTlsTest, AnswersNoPlainHttpOnATlsPort) {
  TestServer server;
  HttpClient client(server.tls_port());
  client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_FALSE(client.read_reply());
  EXPECT_EQ(server->counters().requests, 0U);
}

TEST(HttpTlsTest, ShowsACertificateThatClientsCanVerify) {
  TestServer server;
  HttpClient client = server.tls({.ca = test::shared_certificate().certificate});
  ASSERT_TRUE(client.connected()) << "localhost, verified by the certificate itself";
  const auto info =
      check_certificate(test::shared_certificate().certificate, test::shared_certificate().key);
  ASSERT_TRUE(info.ok());
  EXPECT_EQ(client.server_fingerprint(), info->sha256);
  const test::TestPki pki;
  const TestCertificate other = pki.make("other", {.common_names = {"other"}});
  EXPECT_FALSE(server.tls({.ca = other.certificate}).connected()) << "control";
}

// ---- client certificates ----

class HttpClientCertificateTest : public ::testing::Test {
 protected:
  // ask makes a request with a certificate, and gives what the handler saw. A handshake that fails
  // fails the test: the API has to be able to answer.
  ClientCertificate ask(const TestCertificate* certificate, int version = 0) {
    ClientTls options{.max_version = version};
    if (certificate != nullptr) {
      options.certificate = certificate->certificate;
      options.key = certificate->key;
    }
    HttpClient client = server_.tls(options);
    EXPECT_TRUE(client.connected());
    EXPECT_TRUE(client.get("/")) << client.problem();
    return seen_;
  }

  test::TestPki pki_;
  TestCertificate ca_ = pki_.make("ca", {.common_names = {"CA"}, .is_ca = true});
  ClientCertificate seen_;
  TestServer server_{
      [this](const std::shared_ptr<const HttpRequest>& request, const HttpRespond& respond) {
        seen_ = request->client_certificate;
        respond({});
      },
      [this](HttpServerConfig* config) { config->tls.client_ca = ca_.certificate; }};
};

TEST_F(HttpClientCertificateTest, IsReadAndVerified) {
  const TestCertificate good =
      pki_.make("good",
                {.common_names = {"operator"},
                 .alternative_names = "DNS:a.example,email:o@a.example,URI:urn:x,IP:::1"},
                &ca_);
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    const ClientCertificate seen = ask(&good, version);
    EXPECT_TRUE(seen.presented);
    EXPECT_TRUE(seen.verified) << seen.error;
    EXPECT_EQ(seen.error, "");
    EXPECT_EQ(seen.common_name, "operator");
    EXPECT_EQ(
        seen.alternative_names,
        (std::vector<std::string>{"DNS:a.example", "email:o@a.example", "URI:urn:x", "IP:::1"}));
    const auto info = check_certificate(good.certificate, good.key);
    ASSERT_TRUE(info.ok());
    EXPECT_EQ(seen.sha256, info->sha256);
  }
}

TEST_F(HttpClientCertificateTest, MayBeMissing) {
  const ClientCertificate seen = ask(nullptr);
  EXPECT_FALSE(seen.presented);
  EXPECT_FALSE(seen.verified);
}

// Each of these gets through the handshake, is never taken for verified, and says why not.
TEST_F(HttpClientCertificateTest, IsReportedWhereItIsWrong) {
  const TestCertificate other_ca = pki_.make("ca2", {.common_names = {"CA"}, .is_ca = true});
  const std::vector<std::pair<TestCertificate, std::string>> cases = {
      {pki_.make("expired", {.common_names = {"x"}, .begins_in = -7'200, .ends_in = -3'600}, &ca_),
       "certificate has expired"},
      {pki_.make("early", {.common_names = {"x"}, .begins_in = 3'600, .ends_in = 7'200}, &ca_),
       "certificate is not yet valid"},
      {pki_.make("self", {.common_names = {"x"}}), "self-signed certificate"},
      {pki_.make("foreign", {.common_names = {"x"}}, &other_ca), "certificate signature failure"},
      {pki_.make("server", {.common_names = {"x"}, .extended_key_usage = "serverAuth"}, &ca_),
       "unsuitable certificate purpose"},
  };
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    for (const auto& [certificate, error] : cases) {
      const ClientCertificate seen = ask(&certificate, version);
      EXPECT_TRUE(seen.presented);
      EXPECT_FALSE(seen.verified) << error;
      EXPECT_EQ(seen.error, error);
      EXPECT_EQ(seen.sha256.size(), 64U);
    }
  }
  EXPECT_EQ(server_->counters().failed_handshakes, 0U);
}

TEST_F(HttpClientCertificateTest, HasNoNameThatReadsInTwoWays) {
  const TestCertificate zero =
      pki_.make("zero", {.common_names = {std::string("admin\0.evil", 11)}}, &ca_);
  EXPECT_EQ(ask(&zero).common_name, "");
  const TestCertificate two = pki_.make("two", {.common_names = {"admin", "guest"}}, &ca_);
  EXPECT_EQ(ask(&two).common_name, "");
  const TestCertificate none = pki_.make("none", {}, &ca_);
  EXPECT_EQ(ask(&none).common_name, "");
}

// A session that could be resumed would bring its old verdict along.
TEST_F(HttpClientCertificateTest, IsVerifiedInEachConnectionAnew) {
  SSL_CTX* context = SSL_CTX_new(TLS_client_method());
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    SSL_CTX_set_max_proto_version(context, version);
    SSL_SESSION* session = nullptr;
    for (int round = 0; round < 2; ++round) {
      BIO* connection =
          BIO_new_connect(("127.0.0.1:" + std::to_string(server_.tls_port())).c_str());
      ASSERT_EQ(BIO_do_connect(connection), 1);
      SSL* tls = SSL_new(context);
      SSL_set_bio(tls, connection, connection);
      if (session != nullptr) SSL_set_session(tls, session);
      ASSERT_EQ(SSL_connect(tls), 1);
      const std::string request = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
      char reply[1000];
      SSL_write(tls, request.data(), static_cast<int>(request.size()));
      EXPECT_GT(SSL_read(tls, reply, sizeof reply), 0);
      EXPECT_EQ(SSL_session_reused(tls), 0);
      SSL_SESSION_free(session);
      session = SSL_get1_session(tls);
      SSL_free(tls);
    }
    SSL_SESSION_free(session);
  }
  SSL_CTX_free(context);
}

// ---- reload ----

TEST(HttpTlsReloadTest, GivesNewConnectionsTheNewCertificateAndKeepsTheOld) {
  const test::TestPki pki;
  const TestCertificate first = pki.make("server", {.common_names = {"one"}});
  TestServer server(test::echo(), [&](HttpServerConfig* config) {
    config->tls.certificate = first.certificate;
    config->tls.key = first.key;
  });
  HttpClient old = server.tls();
  ASSERT_TRUE(old.get("/"));
  const std::string old_fingerprint = old.server_fingerprint();

  // A failed reload changes nothing.
  std::ofstream(first.certificate) << "not PEM";
  EXPECT_EQ(server->reload_certificate().code(), Errc::kInvalidArgument);
  EXPECT_EQ(server.tls().server_fingerprint(), old_fingerprint);

  pki.make("server", {.common_names = {"two"}});  // the same files
  ASSERT_TRUE(server->reload_certificate().ok());
  HttpClient fresh = server.tls();
  ASSERT_TRUE(fresh.get("/"));
  EXPECT_NE(fresh.server_fingerprint(), old_fingerprint);
  EXPECT_TRUE(old.get("/")) << "who was in stays in";
}

}  // namespace
}  // namespace rewrap
